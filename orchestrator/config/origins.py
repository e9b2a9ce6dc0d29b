"""Describe the origin of images for tracking."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FunctionOrigin:
    """Function or class that provides images which have no address.

    Attributes:
        package: Distribution that contains the code.
        name: Name of the function or class, with its module.
    """

    package: str
    name: str
