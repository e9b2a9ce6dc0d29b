"""Write the reference of every configuration field from the pydantic models."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from orchestrator.config import Experiment, Retraining, SearchSpace
from orchestrator.config.cluster import ClusterConfig
from orchestrator.config.extensions import Extension
from orchestrator.config.schema import extension_group, models_in, values_of, variant_kinds

_FILES: dict[str, type[BaseModel]] = {
    "experiment": Experiment,
    "retraining": Retraining,
    "search-space": SearchSpace,
    "cluster": ClusterConfig,
}
_WORDS = {int: "integer", float: "number", bool: "yes or no", str: "text", Path: "path"}
_WORDS |= {dict: "mapping", Any: "any value", type(None): "null"}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_BOUNDS |= {"min_length": "length at least", "max_length": "length at most"}
_MOST_DEFAULT = 90


def reference(name: str) -> str:
    """Return the sections of one kind of file: a definition for each field.

    A model that stands in several places is described at the first and linked from the others.
    """
    model = _FILES[name]
    return "\n\n".join([_definitions(model, "", name), *_Reference(name).nested(model, "")])


class _Reference:
    """The sections of one kind of file, each written once."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._described: dict[type[BaseModel], tuple[str, str]] = {}
        self._paths: set[str] = set()

    def nested(self, model: type[BaseModel], path: str) -> Iterator[str]:
        """Describe every field of a model that holds a mapping."""
        for name, field in model.model_fields.items():
            values = values_of(field.annotation)
            inner = _joined(path, name) + ("" if values is None else ".NAME")
            yield from self._mapping(field.annotation if values is None else values, inner)

    def _mapping(self, annotation: object, path: str) -> Iterator[str]:
        """Describe a mapping: one model, or one of several kinds; then the mappings inside it."""
        models = [each for each in models_in(annotation) if not issubclass(each, Extension)]
        if not models or Experiment in models or path in self._paths:
            return  # an experiment has a page of its own
        self._paths.add(path)
        yield f'### `{path}` {{: #{self._file}-{path} data-toc-label="{path}" }}'
        if group := extension_group(annotation):
            yield f"One of the kinds below, or one of an installed extension (`{group}`)."
        new = [each for each in models if each not in self._described]
        is_choice = bool(variant_kinds(annotation))
        for model in models:
            yield from self._model(model, path, is_choice)
        for model in new:
            yield from self.nested(model, path)

    def _model(self, model: type[BaseModel], path: str, is_choice: bool) -> Iterator[str]:
        anchor, title = f"{self._file}-{path}", path
        if is_choice:
            kind = "|".join(map(str, get_args(model.model_fields["kind"].annotation)))
            anchor += f"-{kind.replace('|', '-')}"
            title = f"{path}: {{kind: {kind}}}"
            yield f"#### `{title}` {{: #{anchor} }}"
        if model in self._described:
            earlier_anchor, earlier_title = self._described[model]
            yield f"The same fields as [`{earlier_title}`](#{earlier_anchor})."
            return
        self._described[model] = anchor, title
        yield _as_markdown(cleandoc(model.__doc__ or "").strip())
        yield _definitions(model, path, anchor)


def _definitions(model: type[BaseModel], path: str, anchor: str) -> str:
    """Return the definition list of a model's fields; `path` is empty for that of a whole file."""
    found = [
        _definition(name, field, anchor, _joined(path, name))
        for name, field in model.model_fields.items()
        if name != "kind"
    ]
    return "\n\n".join(found) or "No further fields."


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _definition(name: str, field: FieldInfo, anchor: str, path: str) -> str:
    facts = [_in_words(field.annotation, field.metadata)]
    if field.is_required():
        facts.append("required")
    elif (default := _default(field)) is not None:
        facts.append(f"default `{default}`")
    meaning = _as_markdown(" ".join((field.description or "").split()))
    if models_in(field.annotation) and Experiment not in models_in(field.annotation):
        meaning += f" See `{path}` below."
    return (
        f'<span id="{anchor}-{name}"></span>`{name}`\n'
        f":   <small>{' · '.join(facts)}</small><br>{meaning}"
    )


def _as_markdown(text: str) -> str:
    """Return plain text with everything but its code spans escaped."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\[\]*<])", r"\\\1", part) for part in parts
    )


def _default(field: FieldInfo) -> str | None:
    """Return a field's default as YAML shows it; None for a mapping, which has its own section."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, BaseModel):
        kind = getattr(value, "kind", None)
        return None if kind is None else f"{{kind: {kind}}}"
    if isinstance(value, Path) and value.is_absolute():
        value = value.relative_to(Path.cwd()) if value.is_relative_to(Path.cwd()) else value
    text = json.dumps(value, default=str, ensure_ascii=False)
    if isinstance(value, str | Path):
        text = str(value).replace(str(Path.cwd()) + "/", "") or '""'
    return text if len(text) <= _MOST_DEFAULT else "…"


def _in_words(annotation: Any, metadata: list[Any]) -> str:  # noqa: ANN401 - an annotation
    bounds = "".join(f", {bound}" for bound in _bounds(metadata))
    return _type_in_words(annotation) + bounds


def _type_in_words(annotation: Any) -> str:  # noqa: ANN401 - an annotation; one case a form
    origin, arguments = get_origin(annotation), get_args(annotation)
    if models_in(annotation):
        is_optional = type(None) in arguments
        return "mapping" + (" or null" if is_optional else "")
    if origin is Annotated:
        return _in_words(arguments[0], list(arguments[1:]))
    if origin is Literal:
        return ", ".join(f"`{_as_yaml(each)}`" for each in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_in_words(each) for each in arguments)
    if origin is tuple:
        inner = {_type_in_words(each): None for each in arguments if each is not Ellipsis}
        length = "" if Ellipsis in arguments else f" of {len(arguments)}"
        return f"list{length} ({', '.join(inner)})"
    if origin is dict:
        return f"mapping ({_type_in_words(arguments[0])}: {_type_in_words(arguments[1])})"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _as_yaml(value: object) -> str:
    return {True: "true", False: "false", None: "null"}.get(value, str(value))  # type: ignore[call-overload]


def _bounds(metadata: list[Any]) -> Iterator[str]:
    for each in metadata:
        if isinstance(each, FieldInfo):
            yield from _bounds(each.metadata)
            continue
        for name, word in _BOUNDS.items():
            limit = getattr(each, name, None)
            if limit is not None:
                yield f"{word} {_number(limit)}"


def _number(limit: float) -> str:
    return "2⁶³" if limit == 2**63 else f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"
