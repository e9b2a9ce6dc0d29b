"""Define the type of paths that must stay within a folder, even if an untrusted party wrote the
path.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field


def _within(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        msg = f"{path!r:.100} leads out of the folder; give a path within it"
        raise ValueError(msg)
    return path


PathWithin = Annotated[str, Field(min_length=1), AfterValidator(_within)]
