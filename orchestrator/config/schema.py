"""Inspect the configuration models: the keys that a mapping may hold, and the variants of a
union.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from orchestrator.config.extensions import Extension, Installed, installed
from orchestrator.errors import ConfigError


def models_in(annotation: object) -> list[type[BaseModel]]:
    """Return the configuration models that an annotation mentions, including those inside
    `Annotated` and unions, but not inside a mapping.
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is dict:
        return []
    if get_origin(annotation) is Annotated:
        return models_in(get_args(annotation)[0])
    return [model for argument in get_args(annotation) for model in models_in(argument)]


class Variants(Mapping[Any, type[BaseModel]]):
    """Mapping from `kind` to configuration model for the variants of a union. An extension is
    imported when its kind is looked up, or by `loadable`, which imports all of them.
    """

    def __init__(
        self, built_in: Mapping[Any, type[BaseModel]], extensions: Mapping[str, Installed]
    ) -> None:
        """Collect the models without importing any extension.

        Args:
            built_in: Built-in models by kind.
            extensions: Extensions by kind; an extension with a built-in kind is ignored.
        """
        self._built_in = built_in
        self._extensions = {
            kind: offered for kind, offered in extensions.items() if kind not in built_in
        }

    def __getitem__(self, kind: object) -> type[BaseModel]:
        if kind in self._built_in:
            return self._built_in[kind]
        if isinstance(kind, str) and kind in self._extensions:
            model: type[BaseModel] = self._extensions[kind].load().config
            return model
        raise KeyError(kind)

    def __contains__(self, kind: object) -> bool:
        return isinstance(kind, str) and (kind in self._built_in or kind in self._extensions)

    def __iter__(self) -> Iterator[Any]:
        return iter([*self._built_in, *self._extensions])

    def __len__(self) -> int:
        return len(self._built_in) + len(self._extensions)

    def loadable(self) -> dict[Any, type[BaseModel]]:
        """Return all models by kind, except the models of extensions that fail to load: a broken
        extension must not affect users of other kinds.
        """
        found = dict(self._built_in)
        for kind, offered in self._extensions.items():
            with suppress(ConfigError):
                found[kind] = offered.load().config
        return found


def variant_kinds(annotation: object) -> Variants:
    """Return `{kind: model}` for a union whose variants differ by `kind`. The mapping is empty for
    any other annotation.
    """
    built_in: dict[Any, type[BaseModel]] = {}
    extensions: dict[str, Installed] = {}
    for model in models_in(annotation):
        if issubclass(model, Extension):
            extensions = installed(model.group)
            continue
        field = model.model_fields.get("kind")
        if field is not None and get_origin(field.annotation) is Literal:
            built_in[get_args(field.annotation)[0]] = model
    return Variants(built_in, extensions)


def extension_group(annotation: object) -> str:
    """Return the entry-point group of the extensions that a field with this type annotation
    accepts; an empty string if the field accepts no extensions.
    """
    groups = [model.group for model in models_in(annotation) if issubclass(model, Extension)]
    return groups[0] if groups else ""


def fields_of(annotation: object, node: object) -> Mapping[str, Any]:
    """Return `{key: annotation}` for the keys that a mapping with this annotation may have.

    For a union, the result has the keys of the variant that `node` names by `kind`. If `node` names
    no known kind, the result has the keys of all variants.
    """
    variants = variant_kinds(annotation)
    kind = node.get("kind") if isinstance(node, dict) else None
    if isinstance(kind, str) and kind in variants:
        models = [variants[kind]]
    else:
        models = [*variants.loadable().values()] or models_in(annotation)
    return {
        name: field.annotation for model in models for name, field in model.model_fields.items()
    }


def values_of(annotation: object) -> Any:  # noqa: ANN401 - an annotation
    """Return the annotation of the values of a mapping whose keys users choose; None if the
    annotation is not a mapping.
    """
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def problem_with_path(root: object, path: str) -> str | None:
    """Return an error message if no variant of the configuration has the dotted path; None if the
    path exists.
    """
    for walked, annotation, key in _steps(root, path):
        fields = fields_of(annotation, None)
        if key not in fields and values_of(annotation) is None:
            return unknown_key(f"{walked}.{key}" if walked else key, fields)
    return None


def variants_with(root: object, path: str) -> dict[str, set[str]]:
    """Return, for each union on a dotted path, the variants that have the next key of the path. The
    result maps the path of the union's `kind` to the kinds of these variants, such as
    `{"student.transfer.kind": {"fixed"}}`. A union is omitted if all of its variants have the key.
    """
    found = {}
    for walked, annotation, key in _steps(root, path):
        kinds = variant_kinds(annotation).loadable()
        having = {kind for kind, model in kinds.items() if key in model.model_fields}
        if having != set(kinds):
            found[f"{walked}.kind"] = having
    return found


def unknown_key(path: str, known: Mapping[str, Any]) -> str:
    """Return the error message for an unknown key. The message suggests the nearest known key, or
    lists the known keys if none is near.
    """
    parent, _, key = path.rpartition(".")
    nearest = difflib.get_close_matches(key, list(known), n=1)
    advice = (
        f"did you mean {parent + '.' if parent else ''}{nearest[0]}?"
        if nearest
        else f"known here: {', '.join(known) or 'nothing'}"
    )
    return f"{path} is not a known key; {advice}"


def _steps(root: object, path: str) -> Iterator[tuple[str, object, str]]:
    """Yield, for each key of a path, the path before the key, the annotation of the key's parent,
    and the key.
    """
    annotation: Any = root
    walked = ""
    for key in path.split("."):
        yield walked, annotation, key
        own = values_of(annotation)
        annotation = fields_of(annotation, None).get(key) if own is None else own
        walked = f"{walked}.{key}" if walked else key
