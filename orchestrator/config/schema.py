"""Looking into the configuration models: which keys a mapping may hold, and which variants a union has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel


def models_in(annotation: object) -> list[type[BaseModel]]:
    """The configuration models that an annotation mentions, through `Annotated` and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Annotated:
        return models_in(get_args(annotation)[0])
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def variant_kinds(annotation: object) -> dict[Any, type[BaseModel]]:
    """`{kind: model}` of a union told apart by `kind`; empty for anything else."""
    kinds = {}
    for model in models_in(annotation):
        field = model.model_fields.get("kind")
        if field is not None and get_origin(field.annotation) is Literal:
            kinds[get_args(field.annotation)[0]] = model
    return kinds


def fields_of(annotation: object, node: object) -> Mapping[str, Any]:
    """`{key: annotation}` of what a mapping of this annotation may hold; a union's variant is the one `node` names by `kind`.

    Where `node` names no known kind, the keys of all variants count.
    """
    models = models_in(annotation)
    kind = node.get("kind") if isinstance(node, dict) else None
    chosen = variant_kinds(annotation).get(kind) if isinstance(kind, str) else None
    return {name: field.annotation for model in ([chosen] if chosen else models) for name, field in model.model_fields.items()}
