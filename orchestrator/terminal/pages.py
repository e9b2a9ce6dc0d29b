"""Return the links to MLflow that are shown at the end of a run or a sweep."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.tracking.uris import SERVER_SCHEMES, ui_command, uri_scheme


def page_lines(uri: str, view_url: str) -> Iterator[str]:
    """Yield lines that say how to see runs in MLflow: the page on the MLflow server, or else the
    command that starts a server, and then the page.

    Args:
        uri: The tracking store.
        view_url: The page that compares the runs; empty if there is none.
    """
    if uri_scheme(uri) in SERVER_SCHEMES:
        yield f"MLflow   {view_url or ui_command(uri)}"
        return
    yield f"MLflow   {on_this_machine(ui_command(uri))}"
    if view_url:
        yield f"compare  {view_url}"


def on_this_machine(command: str) -> str:
    """Return a command, with the program's full path if the program is not on the search path, for
    example because its environment is inactive.
    """
    program, _, arguments = command.partition(" ")
    beside = Path(sys.executable).with_name(program)
    return (
        command
        if shutil.which(program) or not beside.exists()
        else f"{beside} {arguments}".rstrip()
    )
