"""Define the base class of every configuration model. A model is immutable. It rejects unknown
keys, infinite numbers, and booleans given for numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from orchestrator.masking import shown


class Config(BaseModel):
    """Frozen configuration value read from YAML.

    A field may be a union whose variants differ in `kind`. A mapping without `kind` then selects
    the default variant.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the fields to print, with secrets in addresses masked."""
        for name, value in super().__repr_args__():
            yield name, shown(value) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _fill_in_default_kinds(cls, values: Any) -> Any:  # noqa: ANN401 - a YAML file may hold any value
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        for name, field in cls.model_fields.items():
            given = filled.get(name)
            default = field.get_default(call_default_factory=True)
            if isinstance(given, dict) and "kind" not in given and hasattr(default, "kind"):
                filled[name] = {"kind": default.kind, **given}
        return filled

    @model_validator(mode="before")
    @classmethod
    def _is_meant(cls, values: Any) -> Any:  # noqa: ANN401 - a YAML file may hold any value
        """Reject values that pydantic would misread: a boolean as the number 0 or 1, and an empty
        path as the working directory.
        """
        if not isinstance(values, dict):
            return values
        problems = []
        for name in values.keys() & cls.model_fields.keys():
            value, types = values[name], _types_in(cls.model_fields[name].annotation)
            if isinstance(value, bool) and types & {int, float} and not types & {bool, Any}:
                problems.append(f"{name} is {'yes' if value else 'no'}; give a number")
            if value == "" and Path in types:
                problems.append(f"{name} is an empty path; give a path")
        if problems:
            raise ValueError("\n".join(sorted(problems)))
        return values


def _types_in(annotation: object) -> set[object]:
    """Return the types that an annotation mentions, including those of values in `Literal[…]`."""
    arguments = get_args(annotation)
    if not arguments:
        return {
            annotation if isinstance(annotation, type) or annotation is Any else type(annotation)
        }
    return set().union(*(_types_in(argument) for argument in arguments))
