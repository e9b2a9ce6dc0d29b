"""Tell a user, at the end of a run or a sweep, how to see the results in MLflow."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.tracking.uris import SERVER_SCHEMES, ui_command, uri_scheme


def page_lines(uri: str, view_url: str) -> Iterator[str]:
    """Yield lines that say how to see runs in MLflow.

    If the tracking store is an MLflow server, the only line has the address of a page. Otherwise
    the first line has the command that starts a server. A second line has the address of the page
    that compares the runs on this server, if there is such a page.

    Args:
        uri: Address of the tracking store.
        view_url: Address of the page that compares the runs; empty if there is no such page.
    """
    if uri_scheme(uri) in SERVER_SCHEMES:
        yield f"MLflow   {view_url or ui_command(uri)}"
        return
    yield f"MLflow   {on_this_machine(ui_command(uri))}"
    if view_url:
        yield f"compare  {view_url}"


def on_this_machine(command: str) -> str:
    """Return a command that works in the user's shell. The full path replaces the program's name if
    the shell cannot find the program, for example because its environment is not active.
    """
    program, _, arguments = command.partition(" ")
    beside = Path(sys.executable).with_name(program)
    return (
        command
        if shutil.which(program) or not beside.exists()
        else f"{beside} {arguments}".rstrip()
    )
