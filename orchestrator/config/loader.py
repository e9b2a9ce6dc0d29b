"""Load the configurations of experiments, search spaces, retrainings and clusters from YAML files
and overrides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.config.cluster import ClusterConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.overrides import apply_override, shown_override
from orchestrator.config.retraining import Retraining
from orchestrator.config.search_space import SearchSpace
from orchestrator.config.validation import validated
from orchestrator.config.yaml_files import BY_HAND, Largest, Tree, read_yaml, shortened
from orchestrator.errors import ConfigError

# For each kind of file: the name of the kind, and the command that reads such files.
_KINDS = {
    Experiment: ("experiment", "orchestrator run {path}"),
    SearchSpace: ("search space", "orchestrator sweep {path} --experiment EXPERIMENT.yaml"),
    Retraining: ("retraining", "orchestrator retrain {path}"),
}


def load_experiment(
    path: str | Path, overrides: Sequence[str] = (), largest: Largest = BY_HAND
) -> Experiment:
    """Load an experiment file and apply overrides.

    Args:
        path: The YAML file.
        overrides: Texts `a.b=value`, whose values are parsed as YAML. An override that changes a
            `kind` removes the file's keys that the new kind does not have.
        largest: Size limits of the file.

    Raises:
        ConfigError: The file is missing or not valid YAML, a key is unknown, or a value has the
            wrong type or is out of range.
    """
    tree = read_yaml(Path(path), largest)
    _require_kind(Experiment, tree, path)
    for override in overrides:
        apply_override(tree, override)
    return validated(Experiment, tree, _source(path, overrides))


def load_search_space(path: str | Path, num_trials: int | None = None) -> SearchSpace:
    """Load a search space file.

    Args:
        path: The YAML file.
        num_trials: Number of trials that replaces the file's number; None keeps the file's number.

    Raises:
        ConfigError: The file is invalid as in `load_experiment`, a path does not exist in an
            experiment, a range is empty, or the conditions of parameters are circular.
    """
    tree = {"name": Path(path).stem, **read_yaml(Path(path))}
    _require_kind(SearchSpace, tree, path)
    return validated(
        SearchSpace, tree if num_trials is None else {**tree, "num_trials": num_trials}, str(path)
    )


def load_retraining(path: str | Path, overrides: Sequence[str] = ()) -> Retraining:
    """Load a retraining file and apply overrides.

    Args:
        path: The YAML file. The value of `experiment` is a mapping, or the path of an experiment
            file relative to the folder of the YAML file.
        overrides: Texts as for `load_experiment`, such as `source.path=/data` or
            `experiment.seed=1`.

    Raises:
        ConfigError: The file is invalid as in `load_experiment`.
    """
    path = Path(path)
    tree = read_yaml(path)
    _require_kind(Retraining, tree, path)
    named = tree.get("experiment")
    if isinstance(named, str):
        tree["experiment"] = read_yaml(path.parent / named)
    for override in overrides:
        apply_override(tree, override, Retraining)
    return validated(Retraining, tree, _source(path, overrides))


def load_cluster(path: str | Path | None, namespace: str | None = None) -> ClusterConfig:
    """Load the configuration of a Kubernetes cluster.

    Args:
        path: The YAML file; None means the defaults.
        namespace: Namespace that replaces the file's namespace; None keeps the file's namespace.

    Raises:
        ConfigError: The file is invalid as in `load_experiment`.
    """
    tree = {} if path is None else read_yaml(Path(path))
    return validated(
        ClusterConfig,
        tree if namespace is None else {**tree, "namespace": namespace},
        str(path or "--namespace"),
    )


def load_any(path: str | Path) -> Experiment | SearchSpace | Retraining:
    """Load an experiment file, a search space file (recognised by the key `parameters`) or a
    retraining file (recognised by the key `source`).

    Raises:
        ConfigError: The file is empty, or is invalid as in `load_experiment`, `load_search_space`
            or `load_retraining`.
    """
    tree = read_yaml(Path(path))
    if not tree:
        raise ConfigError(
            "is empty",
            where=str(path),
            next_step="write the settings that differ from the defaults",
        )
    kind = _kind_of(tree)
    return load_retraining(path) if kind is Retraining else validated(kind, tree, str(path))


def _kind_of(tree: Tree) -> type[Experiment | SearchSpace | Retraining]:
    if "source" in tree:
        return Retraining
    return SearchSpace if "parameters" in tree else Experiment


def _require_kind(
    wanted: type[Experiment | SearchSpace | Retraining], tree: Tree, path: str | Path
) -> None:
    """Reject a file that is clearly of another kind than `wanted`. Accept a file without the key
    that identifies a kind: validation then reports the missing key.

    Raises:
        ConfigError: The file is of another kind.
    """
    found = _kind_of(tree)
    if found is wanted or found is Experiment:
        return
    name, command = _KINDS[found]
    raise ConfigError(
        f"is a {name}, not a{'n' if wanted is Experiment else ''} {_KINDS[wanted][0]}",
        where=str(path),
        next_step=f"use it as: {command.format(path=path)}",
    )


def _source(path: str | Path, overrides: Sequence[str]) -> str:
    """Return the prefix for each line of an error message: the file and its overrides."""
    return " ".join(
        [
            shortened(str(path), 1000),
            *(f"--set {shortened(shown_override(override))}" for override in overrides),
        ]
    )
