"""List the settings that each stage reads. Exactly these settings are part of the stage's key.

A test runs every kind of stage, records the settings that the stage reads, and compares them with
the list. If a setting were read but not listed, a stage would reuse stale results. If a setting
were listed but not read, its change would cause needless recomputation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.config.experiment import Experiment
from orchestrator.config.extensions import extension_identity
from orchestrator.config.roles import Role
from orchestrator.errors import ConfigError
from orchestrator.methods.facts import facts_of

_EVERY_STAGE = ("method", "data.augmentation")


def configuration_read(role: Role, is_first_task: bool, experiment: Experiment) -> dict[str, Any]:
    """Return the part of the configuration that a stage reads, by dotted path.

    Args:
        role: Role of the stage.
        is_first_task: Whether the stage has no previous model.
        experiment: The whole configuration.
    """
    tree = experiment.model_dump(mode="json")
    paths = facts_of(experiment).configuration_paths(role, is_first_task, experiment)
    return {path: _value(tree, path) for path in sorted({*_EVERY_STAGE, *paths})}


def extensions_read(paths: Collection[str], experiment: Experiment) -> dict[str, Any]:
    """Return the identities of the extensions that a stage reads, by dotted path.

    Extensions for backbones and image sources are not included, because other parts of a stage's
    key identify them: `backbone_identity` and the fingerprint of the images.

    Args:
        paths: Dotted paths that the stage reads.
        experiment: The whole configuration.

    Raises:
        ConfigError: An extension is not installed, or cannot be loaded.
    """
    choices = {"method": experiment.method, "student.transfer": experiment.student.transfer}
    found = {path: extension_identity(choices[path]) for path in choices if path in paths}
    return {path: identity for path, identity in found.items() if identity}


@contextmanager
def of_role(role: str) -> Iterator[None]:
    """Add the role to errors about a backbone. The code that builds a backbone can name only the
    setting within the backbone, because the role is not passed to that code.

    Raises:
        ConfigError: The error that the `with` block has raised. If the path of the setting in the
            error starts with `backbone`, the role is put before the path.
    """
    try:
        yield
    except ConfigError as error:
        if not error.where.startswith("backbone"):
            raise
        raise ConfigError(error.what, f"{role}.{error.where}", error.next_step) from error


def _value(tree: dict[str, Any], path: str) -> Any:  # noqa: ANN401 - any value of the configuration
    node: Any = tree
    for name in path.split("."):
        if not isinstance(node, dict) or name not in node:
            raise ConfigError(
                f"the method's configuration_paths names {path!r}, which does not exist",
                "method.kind",
                "update or uninstall the package that offers it",
            )
        node = node[name]
    return node
