"""The base of every configuration model: immutable, no unknown keys, finite numbers, default variants filled in."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Config(BaseModel):
    """A frozen value read from YAML.

    Where a field is a choice between variants told apart by `kind`, a mapping without `kind` means the default variant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _fill_in_default_kinds(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the YAML file holds
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        for name, field in cls.model_fields.items():
            given = filled.get(name)
            default = field.get_default(call_default_factory=True)
            if isinstance(given, dict) and "kind" not in given and hasattr(default, "kind"):
                filled[name] = {"kind": default.kind, **given}
        return filled
