"""Represent a saved view of MLflow's experiment page."""

from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """A saved view of MLflow's experiment page: a state of the page under a name.

    Attributes:
        id: Id of the view, which is part of the view's URL. A view that is written again keeps its
            id, so that earlier URLs stay valid.
        name: Name of the view in the page's list of saved views.
        state: Charts, filter, sort order and columns, in the JSON form that the page stores.
    """

    id: str
    name: str
    state: Json
