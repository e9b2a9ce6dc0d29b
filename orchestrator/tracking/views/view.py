"""A saved view of MLflow's experiment page, as a value."""

from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """A named state of MLflow's experiment page.

    Attributes:
        id: Id of the view, part of its tag's key and of its link. Writing a view again keeps its
            id, so links stay valid.
        name: Name in the page's list of saved views.
        state: Charts, filter, order and columns, as the page stores them.
    """

    id: str
    name: str
    state: Json
