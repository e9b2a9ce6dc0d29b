"""A history as values."""

from collections.abc import Callable

import pytest

from orchestrator.reporting.history.facts import History, Version
from tests import made_up_history


@pytest.fixture
def new_version() -> Callable[..., Version]:
    """See `made_up_history.new_version`."""
    return made_up_history.new_version


@pytest.fixture
def history() -> History:
    """See `made_up_history.made_up_history`."""
    return made_up_history.made_up_history()
