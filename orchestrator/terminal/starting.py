"""Format the first lines that a run or a sweep prints: its id and page, and how Ray starts."""

from __future__ import annotations

from orchestrator.masking import shown
from orchestrator.tracking.uris import run_page


def run_line(uri: str, run_id: str) -> str:
    """Return a line with the id of a run or a sweep, and the address of its page in MLflow."""
    return f"run      {run_id}  {run_page(uri, run_id)}"


def ray_line(address: str | None) -> str:
    """Return a line that says whether Ray starts on this machine or joins a cluster.

    Args:
        address: Address of the Ray cluster; None if Ray starts on this machine.
    """
    if address is None:
        return "Ray      starts on this machine; this may take a minute"
    return f"Ray      joins the cluster {shown(address)}"
