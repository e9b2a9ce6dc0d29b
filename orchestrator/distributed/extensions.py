"""Check before a run starts that every node of a Ray cluster has the experiment's extensions, in
the same version as the driver.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from orchestrator.config.execution import RayConfig
from orchestrator.config.extensions import GROUPS, Installed, installed
from orchestrator.errors import ClusterUnavailableError, ConfigError

_PATIENCE_SECONDS = 120.0

Versions = Mapping[str, Mapping[str, str]]
"""The `distribution version` of each installed extension, by entry-point group and kind."""


def check_extensions(used: Collection[Installed], execution: RayConfig) -> None:
    """Compare the extensions on every living node of the cluster with those of the driver.

    A cluster started on this machine is not checked, because it shares the driver's environment.

    Args:
        used: The extensions that the experiment, or a trial of it, uses.
        execution: The cluster.

    Raises:
        ConfigError: A node lacks an extension, or has another version of it.
        ClusterUnavailableError: The cluster does not answer.
    """
    if not used or execution.address is None:
        return
    for node, found in _versions_of_nodes(execution).items():
        for wanted in used:
            has = found[wanted.group].get(wanted.kind, "")
            if has != version_of(wanted):
                raise ConfigError(
                    f"node {node} of the cluster has {has or 'nothing that offers this kind'},"
                    f" but the driver has {version_of(wanted)}",
                    where=f"{GROUPS[wanted.group]} {wanted.kind}",
                    next_step="install the same version in the image of every node",
                )


def version_of(offered: Installed) -> str:
    """Return distribution and version of an extension as `distribution version`."""
    return f"{offered.distribution} {offered.version}"


def installed_versions() -> Versions:
    """Return the extensions installed in this process's environment, with their versions."""
    return {
        group: {kind: version_of(offered) for kind, offered in installed(group).items()}
        for group in GROUPS
    }


def _versions_of_nodes(execution: RayConfig) -> dict[str, Versions]:
    import ray  # noqa: PLC0415 - slow to import, and only needed for a cluster
    from ray.exceptions import RayError  # noqa: PLC0415 - likewise
    from ray.util.scheduling_strategies import (  # noqa: PLC0415 - likewise
        NodeAffinitySchedulingStrategy,
    )

    from orchestrator.distributed.cluster import cluster  # noqa: PLC0415 - likewise

    with cluster(execution, Path(os.devnull)):
        nodes = [node for node in ray.nodes() if node["Alive"]]
        tasks = {
            node["NodeManagerAddress"]: ray.remote(installed_versions)
            .options(
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            )
            .remote()
            for node in nodes
        }
        try:
            found = ray.get(list(tasks.values()), timeout=_PATIENCE_SECONDS)
        except RayError as error:
            raise ClusterUnavailableError(
                f"the cluster's nodes do not report their packages ({str(error).splitlines()[0]})",
                where=execution.address or "this machine",
                next_step="try again, or read the nodes' logs",
            ) from error
    return dict(zip(tasks, found, strict=True))
