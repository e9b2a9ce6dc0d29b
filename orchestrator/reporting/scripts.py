"""Embed scripts into an HTML page. The page's content security policy lists the SHA-256 digest of
each embedded script, and so blocks all other scripts.
"""

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
    """Scripts of an HTML page.

    Attributes:
        texts: The texts of the scripts, in the order in which they run.
        policy: The `script-src` value of the page's content security policy.
    """

    texts: Sequence[Markup]
    policy: str


NO_SCRIPTS = PageScripts((), "'none'")


@cache
def chart_scripts(*names: str) -> PageScripts:
    """Return two scripts for a page with interactive charts: the chart library, and one script that
    joins the named files of this package in a scope of its own.

    Args:
        *names: Names of files in `browser_scripts/`, without suffix. Each file may use what earlier
            files define.
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
