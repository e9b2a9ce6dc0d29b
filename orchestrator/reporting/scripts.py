"""Embed scripts into a page; the page's security policy allows them by their digests."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markupsafe import Markup

_FOLDER = Path(__file__).parent / "browser_scripts"
_LIBRARY = "echarts/echarts.min.js"


@dataclass(frozen=True, slots=True)
class PageScripts:
    """Scripts of a page.

    Attributes:
        texts: The scripts, in the order in which they run.
        policy: The sources that the page's content security policy allows for scripts.
    """

    texts: Sequence[Markup]
    policy: str


NO_SCRIPTS = PageScripts((), "'none'")


@cache
def chart_scripts(*names: str) -> PageScripts:
    """Return the chart library, and scripts of this package that are joined in one separate scope.

    Args:
        *names: Files in `browser_scripts/` without suffix; each script may use the earlier ones.
    """
    own = "\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in names)
    library = (_FOLDER / _LIBRARY).read_text(encoding="utf-8")
    texts = [library, f'(() => {{\n"use strict";\n{own}}})();\n']
    return PageScripts(
        tuple(Markup(text) for text in texts),  # noqa: S704 - files of this package
        " ".join(map(_source, texts)),
    )


def _source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
