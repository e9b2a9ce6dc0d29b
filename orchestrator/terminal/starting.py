"""The lines with which a run or a sweep starts: its id, its page, and what takes long."""

from __future__ import annotations

from orchestrator.masking import shown
from orchestrator.tracking.uris import run_page


def run_line(uri: str, run_id: str) -> str:
    """Return the id of a run or a sweep, and the address of its page."""
    return f"run      {run_id}  {run_page(uri, run_id)}"


def ray_line(address: str | None) -> str:
    """Return what is said before Ray starts on this machine, or a cluster is joined."""
    if address is None:
        return "Ray      starts on this machine; this may take a minute"
    return f"Ray      joins the cluster {shown(address)}"
