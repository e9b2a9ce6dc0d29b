"""Validate a configuration; every error names the user's key path, the value and the next step."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.config.schema import (
    extension_group,
    fields_of,
    unknown_key,
    values_of,
    variant_kinds,
)
from orchestrator.config.yaml_files import MOST_LEVELS, Tree, shortened
from orchestrator.errors import ConfigError
from orchestrator.masking import shown_values

Root = TypeVar("Root", bound=BaseModel)

# Number of errors to show: in a file with thousands of errors, the first ones show the pattern.
_MOST_PROBLEMS = 20
_MOST_CHARACTERS = 2000
_NO_INTEGER = 2**64
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def validated(root: type[Root], tree: Tree, source: str = "") -> Root:
    """Return the configuration that a tree describes.

    Args:
        root: The model to validate against.
        tree: Content of a file, with overrides applied.
        source: Prefix for each line of an error message, which names the file and its overrides.

    Raises:
        ConfigError: A key is unknown or missing, or a value has the wrong type or is out of range.
            The message has one line per problem.
    """
    _check_values(tree, source)
    try:
        return root.model_validate(tree)
    except ConfigError as error:  # an extension that the configuration names cannot be loaded
        raise ConfigError(f"{source}: {error}" if source else str(error)) from error
    except ValidationError as error:
        where = f"{source}: " if source else ""
        lines = _describe(error, root, tree)
        if len(lines) > _MOST_PROBLEMS:
            lines = [*lines[:_MOST_PROBLEMS], f"and {len(lines) - _MOST_PROBLEMS:,} more lines"]
        raise ConfigError(
            "\n".join(where + shortened(line, _MOST_CHARACTERS) for line in lines)
        ) from None


def _check_values(tree: Tree, source: str) -> None:
    """Reject values that no field accepts and that would make libraries fail.

    Raises:
        ConfigError: A text contains NUL or half of a surrogate pair, an integer exceeds 64 bits, or
            values are nested too deeply.
    """
    waiting: list[tuple[tuple[object, ...], object]] = [((), tree)]
    while waiting:
        path, value = waiting.pop()
        problem = _problem(value, path)
        if problem:
            key_path = ".".join(shortened(ascii(key).strip("'"), 40) for key in path)
            where = f"{source}: " if source else ""
            raise ConfigError(f"{where}{key_path} {problem}")
        if isinstance(value, dict):
            waiting += [((*path, "key"), key) for key in value]
            waiting += [((*path, key), inner) for key, inner in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [((*path, index), inner) for index, inner in enumerate(value)]


def _problem(value: object, path: Sequence[object]) -> str:
    if isinstance(value, int) and abs(value) >= _NO_INTEGER:
        return "is an integer beyond 64 bits; give a smaller one"
    if isinstance(value, str) and _NO_TEXT.search(value):
        return "has characters that are not text (NUL, or half of a surrogate pair); remove them"
    if len(path) > MOST_LEVELS:
        return f"is nested more than {MOST_LEVELS} levels deep; give a plain value"
    return ""


def _describe(error: ValidationError, root: type[BaseModel], tree: Tree) -> list[str]:
    lines, items = [], error.errors()
    for item in items[: _MOST_PROBLEMS + 1]:
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
                continue  # skip this error: its length does not count the invalid entries
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
    """Return advice for an unknown kind: the kind that was probably meant, or the known kinds. If
    extensions can add kinds, the known kinds are followed by advice to install a package.
    """
    kinds = list(variant_kinds(annotation))  # including the kinds of installed extensions
    nearest = difflib.get_close_matches(given, kinds, n=1)
    if nearest:
        return f"did you mean {nearest[0]}?"
    choices = f"choose one of {', '.join(map(repr, kinds))}"
    if extension_group(annotation):
        choices += ", or install the package that provides it (`orchestrator plugins` lists them)"
    return choices


def _key_path(
    location: tuple[int | str, ...], root: type[BaseModel], tree: object
) -> tuple[str, Mapping[str, Any], object]:
    """Return the key path at which a pydantic error occurred, as the user wrote it: without the
    variant names that pydantic adds. Also return the fields of the mapping that contains the last
    key of the path, and the annotation of this key.
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
    text = repr(shown_values(value))  # mask first: truncation could hide that a text is a secret
    return text if len(text) <= length else text[: length - 1] + "…"
