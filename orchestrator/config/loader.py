"""Load experiments, search spaces, retrainings and clusters from YAML files and overrides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.config.cluster import ClusterConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.overrides import apply_override, shown_override
from orchestrator.config.retraining import Retraining
from orchestrator.config.search_space import SearchSpace
from orchestrator.config.validation import validated
from orchestrator.config.yaml_files import BY_HAND, Largest, read_yaml, shortened


def load_experiment(
    path: str | Path, overrides: Sequence[str] = (), largest: Largest = BY_HAND
) -> Experiment:
    """Reads an experiment file and applies overrides.

    Args:
        path: The YAML file.
        overrides: `a.b=value` each; the value is read as YAML. Choosing another `kind` drops what
            the file says about the old kind's own keys.
        largest: How large the file may be.

    Raises:
        ConfigError: The file is missing or no YAML, a key is unknown, or a value is of the wrong
            type or out of range.
    """
    tree = read_yaml(Path(path), largest)
    for override in overrides:
        apply_override(tree, override)
    return validated(Experiment, tree, _source(path, overrides))


def load_search_space(path: str | Path, num_trials: int | None = None) -> SearchSpace:
    """Reads a search space file.

    Args:
        path: The YAML file.
        num_trials: Instead of the file's; None leaves that.

    Raises:
        ConfigError: As for an experiment; also a path that no experiment has, an empty range,
            conditions in a circle.
    """
    tree = {"name": Path(path).stem, **read_yaml(Path(path))}
    return validated(
        SearchSpace, tree if num_trials is None else {**tree, "num_trials": num_trials}, str(path)
    )


def load_retraining(path: str | Path, overrides: Sequence[str] = ()) -> Retraining:
    """Reads a retraining file and applies overrides.

    Args:
        path: The YAML file. Its `experiment` is a mapping, or the path of an experiment file, from
            this file's folder.
        overrides: As for an experiment: `source.path=/data`, `experiment.seed=1`.

    Raises:
        ConfigError: As for an experiment.
    """
    path = Path(path)
    tree = read_yaml(path)
    named = tree.get("experiment")
    if isinstance(named, str):
        tree["experiment"] = read_yaml(path.parent / named)
    for override in overrides:
        apply_override(tree, override, Retraining)
    return validated(Retraining, tree, _source(path, overrides))


def load_cluster(path: str | Path | None, namespace: str | None = None) -> ClusterConfig:
    """Reads the configuration of a Kubernetes cluster.

    Args:
        path: The YAML file; None means the defaults.
        namespace: Instead of the file's; None leaves that.

    Raises:
        ConfigError: As for an experiment.
    """
    tree = {} if path is None else read_yaml(Path(path))
    return validated(
        ClusterConfig,
        tree if namespace is None else {**tree, "namespace": namespace},
        str(path or "--namespace"),
    )


def load_any(path: str | Path) -> Experiment | SearchSpace | Retraining:
    """Reads an experiment file, a search space file (it has the key `parameters`) or a retraining
    file (it has the key `source`).

    Raises:
        ConfigError: As for the one or the other.
    """
    tree = read_yaml(Path(path))
    if "source" in tree:
        return load_retraining(path)
    return (
        validated(SearchSpace, tree, str(path))
        if "parameters" in tree
        else validated(Experiment, tree, str(path))
    )


def _source(path: str | Path, overrides: Sequence[str]) -> str:
    """Return what to begin each line of an error with."""
    return " ".join(
        [
            shortened(str(path), 1000),
            *(f"--set {shortened(shown_override(override))}" for override in overrides),
        ]
    )
