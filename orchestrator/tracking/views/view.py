"""A saved view of MLflow's experiment page, as a value."""

from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """What the experiment page shows under one name.

    Attributes:
        id: Stands in the tag's key and in the link; equal for equal views, so that links last.
        name: Shown in the page's list of saved views.
        state: Charts, filter, order and columns, as the page keeps them.
    """

    id: str
    name: str
    state: Json
