"""Validation of a configuration: every error names the user's key path, the value and the next
step.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.config.schema import (
    extension_group,
    fields_of,
    unknown_key,
    values_of,
    variant_kinds,
)
from orchestrator.config.yaml_files import Tree
from orchestrator.errors import ConfigError
from orchestrator.masking import shown_values

Root = TypeVar("Root", bound=BaseModel)


def validated(root: type[Root], tree: Tree, source: str = "") -> Root:
    """Return the configuration that a tree describes.

    Args:
        root: The model to validate against.
        tree: What a file holds, overrides applied.
        source: The file and its overrides, to begin each line of the message with.

    Raises:
        ConfigError: A key is unknown or missing, or a value is of the wrong type or out of range;
            one line for each.
    """
    try:
        return root.model_validate(tree)
    except ConfigError as error:  # of an extension that cannot be loaded
        raise ConfigError(f"{source}: {error}" if source else str(error)) from error
    except ValidationError as error:
        where = f"{source}: " if source else ""
        raise ConfigError(
            "\n".join(where + line for line in _describe(error, root, tree))
        ) from None


def _describe(error: ValidationError, root: type[BaseModel], tree: Tree) -> list[str]:
    lines, items = [], error.errors()
    for item in items:
        path, parent_fields, annotation = _key_path(item["loc"], root, tree)
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = unknown_key(path, parent_fields)
        elif item["type"] == "missing":
            message = f"{path} is missing; add it"
        elif item["type"] == "model_type":
            message = (
                f"{path} = {_shorten(item['input'])}: should be a mapping of `key: value` lines"
            )
        elif item["type"] == "union_tag_not_found":
            message = (
                f"{path}.kind is missing; choose one of {', '.join(variant_kinds(annotation))}"
            )
        elif item["type"] == "union_tag_invalid":
            given, advice = item["ctx"]["tag"], _kind_advice(item["ctx"]["tag"], annotation)
            message = f"{path}.kind = {given!r} is not known; {advice}"
        elif item["type"] in {"too_short", "too_long"}:
            if any(
                len(other["loc"]) > len(item["loc"])
                and other["loc"][: len(item["loc"])] == item["loc"]
                for other in items
            ):
                continue  # pydantic has not counted the entries that are wrong themselves
            context = item["ctx"]
            bound = (
                f"at least {context['min_length']}"
                if item["type"] == "too_short"
                else f"at most {context['max_length']}"
            )
            message = (
                f"{path} = {_shorten(item['input'])}: its length should be {bound}, not"
                f" {context['actual_length']}"
            )
        elif item["type"] == "value_error":
            message = "\n".join(
                f"{path + ': ' if path else ''}{line}" for line in message.splitlines()
            )
        else:
            message = f"{path} = {_shorten(item['input'])}: {message[0].lower()}{message[1:]}"
        lines += message.splitlines()
    return lines


def _kind_advice(given: str, annotation: object) -> str:
    """Return what to write instead of an unknown kind, or where others come from."""
    kinds = list(variant_kinds(annotation))  # those of installed extensions, too
    nearest = difflib.get_close_matches(given, kinds, n=1)
    if nearest:
        return f"did you mean {nearest[0]}?"
    choices = f"choose one of {', '.join(map(repr, kinds))}"
    if extension_group(annotation):
        choices += ", or install the package that offers it (`orchestrator plugins` lists them)"
    return choices


def _key_path(
    location: tuple[int | str, ...], root: type[BaseModel], tree: object
) -> tuple[str, Mapping[str, Any], object]:
    """Pydantic's location as the user's key path (without the names of variants), the fields beside
    its last key, its annotation.
    """
    path = ""
    model: Any = root
    node = tree
    fields: Mapping[str, Any] = {}
    for part in location:
        if isinstance(node, dict) and part not in node and part in variant_kinds(model):
            model = variant_kinds(model)[part]
            continue
        own = values_of(model)
        fields = fields_of(model, node) if model is not None else {}
        model = fields.get(str(part)) if own is None else own
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
        node = (
            node.get(part)
            if isinstance(node, dict)
            else node[part]
            if isinstance(node, list) and isinstance(part, int)
            else None
        )
    return path, fields, model


def _shorten(value: object, length: int = 60) -> str:
    text = repr(shown_values(value))  # first: half an address shows its secret
    return text if len(text) <= length else text[: length - 1] + "…"
