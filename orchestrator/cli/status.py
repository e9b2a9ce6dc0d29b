"""`orchestrator status`: show the jobs on Kubernetes."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.options import ClusterFile, Namespace
from orchestrator.terminal.printable import say


def status(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One job or schedule. Default: all of them."),
    ] = None,
    cluster_config: ClusterFile = None,
    namespace: Namespace = None,
) -> None:
    """Show the state of one job on Kubernetes, or of all jobs in a namespace.

    Examples:
    `orchestrator status`

    `orchestrator status run-digits-0a1b2c3d4e`
    """
    from orchestrator.cluster.client import KubernetesClient
    from orchestrator.config import load_cluster
    from orchestrator.pipelines.cluster.submit import list_jobs, state_of
    from orchestrator.terminal.cluster import jobs_table, state_lines
    from orchestrator.terminal.console import new_console

    client = KubernetesClient(load_cluster(cluster_config, namespace).namespace)
    if name is not None:
        say("\n".join(state_lines(state_of(client, name))))
        return
    jobs = list_jobs(client)
    if not jobs.jobs and not jobs.schedules:
        client.check_namespace()
        say(f"no jobs in the namespace {client.namespace}")
        return
    new_console(160).print(jobs_table(jobs))
