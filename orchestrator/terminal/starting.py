"""Return the first lines that a run or a sweep shows: its id, its page, and the start of Ray."""

from __future__ import annotations

from orchestrator.masking import shown
from orchestrator.tracking.uris import run_page


def run_line(uri: str, run_id: str) -> str:
    """Return a line with the id of a run or a sweep and the address of its page."""
    return f"run      {run_id}  {run_page(uri, run_id)}"


def ray_line(address: str | None) -> str:
    """Return a line that says that Ray starts on this machine, or joins a cluster."""
    if address is None:
        return "Ray      starts on this machine; this may take a minute"
    return f"Ray      joins the cluster {shown(address)}"
