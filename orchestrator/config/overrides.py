"""Set values of a configuration by dotted path, for `--set a.b=value` and for the parameters of a
trial.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from orchestrator.config.bounds import MOST_CHARACTERS
from orchestrator.config.experiment import Experiment
from orchestrator.config.schema import fields_of, unknown_key, values_of, variant_kinds
from orchestrator.config.validation import validated
from orchestrator.config.yaml_files import Tree, YamlError, parse_yaml, shortened
from orchestrator.errors import ConfigError
from orchestrator.masking import shown


def with_values(base: Experiment | Mapping[str, Any], values: Mapping[str, Any]) -> Experiment:
    """Return a copy of an experiment with the values at some paths replaced.

    Args:
        base: An experiment, or the content of its file; it is not modified.
        values: New values by dotted path. In a mapping, `kind` is set before the other keys.
            Changing `kind` removes the keys that the new kind does not have.

    Raises:
        ConfigError: A path is unknown, or a value has the wrong type or is out of range.
    """
    tree = (
        base.model_dump(mode="json") if isinstance(base, Experiment) else copy.deepcopy(dict(base))
    )
    for path in sorted(values, key=_outer_first_then_kinds):
        _set_value(tree, path.split("."), copy.deepcopy(values[path]))
    return validated(Experiment, tree)


def _outer_first_then_kinds(path: str) -> tuple[int, bool]:
    return path.count("."), not path.endswith(".kind")


def apply_override(tree: Tree, override: str, root: type[BaseModel] = Experiment) -> None:
    """Apply one `--set` override to a tree.

    Args:
        tree: Content of a file; modified in place.
        override: `a.b=value`; the value is parsed as YAML.
        root: Configuration model of the file.

    Raises:
        ConfigError: The override is not of the form `a.b=value`, its value is not valid YAML, or a
            key before the last key is unknown.
    """
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    where = f"--set {shortened(shown_override(override))}"
    if not equals or not all(keys) or len(path) > MOST_CHARACTERS:
        raise ConfigError(
            "is not of the form a.b=value",
            where=where,
            next_step="for example --set teacher.training.epochs=10",
        )
    try:
        value = parse_yaml(text)
    except YamlError:
        raise ConfigError(
            f"the value {shortened(shown(text))!r} is not valid YAML",
            where=where,
            next_step="quote it",
        ) from None
    _set_value(tree, keys, value, where, root)


def shown_override(override: str) -> str:
    """Return an override with the secrets of its value masked."""
    path, equals, value = override.partition("=")
    return f"{path}{equals}{shown(value)}"


def _set_value(
    tree: Tree,
    keys: Sequence[str],
    value: object,
    where: str = "",
    root: type[BaseModel] = Experiment,
) -> None:
    model: Any = root
    node = tree
    for depth, key in enumerate(keys[:-1]):
        fields = fields_of(model, node) if model else {}
        own = values_of(model)
        if model is not None and own is None and key not in fields:
            raise ConfigError(unknown_key(".".join(keys[: depth + 1]), fields), where=where)
        model = fields.get(key) if own is None else own
        child = node.get(key)
        if not isinstance(child, dict):
            child = {}
            node[key] = child
        node = child
    if keys[-1] == "kind" and model is not None and node.get("kind") != value:
        _drop_keys_of_other_kinds(node, model, value)
    node[keys[-1]] = value


def _drop_keys_of_other_kinds(node: Tree, union: object, kind: object) -> None:
    """Delete the keys that a mapping may not have under its new kind. A file may contain such keys
    for the old kind.
    """
    known = variant_kinds(union)
    if isinstance(kind, str) and kind in known:
        for key in [key for key in node if key not in known[kind].model_fields]:
            del node[key]
