"""Serialise experiments: as JSON values, as YAML text and as flat MLflow parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from orchestrator.config.experiment import Experiment
from orchestrator.masking import shown_values

_OTHER_LINE_ENDS = {"\x85", "\u2028", "\u2029"}


def values_to_keep(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment as JSON values, including defaults. Each secret is masked as `***`,
    because a stored experiment can be read by people who must not see its secrets.
    """
    tree: dict[str, Any] = shown_values(experiment.model_dump(mode="json"))
    return tree


def dump_experiment(experiment: Experiment) -> str:
    """Return the experiment as YAML text. Reading the text gives an equal experiment, except that
    secrets in addresses are masked. Masked secrets must then be given in the environment.
    """
    tree = values_to_keep(experiment)
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    # escape unusual line ends such as U+2028, which a YAML reader would turn into spaces
    if not _OTHER_LINE_ENDS.isdisjoint(text):
        text = yaml.safe_dump(tree, sort_keys=False)
    return text


def flatten(experiment: Experiment) -> dict[str, str]:
    """Return the experiment as MLflow parameters: `{"teacher.training.epochs": "30", …}`."""
    return flatten_tree(experiment.model_dump(mode="json"))


def flatten_tree(tree: Mapping[str, Any]) -> dict[str, str]:
    """Flatten the JSON values of an experiment into MLflow parameters."""
    flat: dict[str, str] = {}

    def walk(prefix: str, node: object) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(f"{prefix}.{key}" if prefix else key, value)
        else:
            flat[prefix] = str(shown_values(node))

    walk("", tree)
    return flat
