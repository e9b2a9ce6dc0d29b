"""Describe where images come from, in tracking's words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FunctionOrigin:
    """Name the code that images come from, where they lie at no address.

    Attributes:
        package: Distribution that has the code.
        name: The function or class, with its module.
    """

    package: str
    name: str
