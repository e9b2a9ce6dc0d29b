"""A saved view of MLflow's experiment page, as a value."""

from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """State of the experiment page under one name.

    Attributes:
        id: Part of the tag's key and of the link; equal for equal views, so that links last.
        name: Name in the page's list of saved views.
        state: Charts, filter, order and columns, as the page stores them.
    """

    id: str
    name: str
    state: Json
