"""Fill in what pages take from elsewhere, while MkDocs builds the site.

A line `{{ include PATH }}` becomes the file of the repository, without its title; `{{ commands }}`,
`{{ settings NAME }}` and `{{ exit-codes }}` become references generated from the program itself. So
nothing on the site is a copy that could go stale.

Links may leave docs/, as they do for readers of the repository: those to a file that is a page of
the site lead to that page.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import commands
import exit_codes
import settings
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
PAGES = {  # files outside docs/, and the pages that show them
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "NOTICE": "notice.md",
    "benchmarks/README.md": "benchmarks.md",
    "k8s/README.md": "guides/kubernetes.md",
    "search_spaces/README.md": "reference/search-spaces.md",
}
_DIRECTIVE = re.compile(r"^\{\{ *([\w-]+)(?: +(\S+))? *\}\}$", re.MULTILINE)
_LOADED_FROM_ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe|source|video|audio|object)\b[^>]*\b(?:src|href|data)="
    r'"((?:https?:)?//[^"]*)"'
)
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page's text with its directives replaced and its links led to pages."""
    _ = config, files
    place = page.file.src_uri
    markdown = _DIRECTIVE.sub(lambda found: _replaced(found, place), markdown)
    return _relinked(markdown, f"docs/{place}", place)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Return a built page as it is, after checking that a browser loads nothing from elsewhere.

    Raises:
        PluginError: It would.
    """
    _ = config
    if found := _LOADED_FROM_ELSEWHERE.search(output):
        raise PluginError(f"{page.file.src_uri} loads {found[1]}: the site is read without network")
    return output


def _replaced(found: re.Match[str], place: str) -> str:
    match found.groups():
        case "include", str(path):
            return _included(path, place)
        case "commands", None:
            return commands.reference()
        case "settings", str(name):
            return settings.reference(name)
        case "exit-codes", None:
            return exit_codes.reference()
    raise PluginError(f"{place}: unknown directive {found.group()}")


def _included(path: str, place: str) -> str:
    """Return a file of the repository without its title, its links as seen from the page."""
    text = (ROOT / path).read_text(encoding="utf-8")
    text = re.sub(r"\A# .*\n", "", text)
    if not path.endswith(".md"):
        return f"```text\n{text.rstrip()}\n```"
    return _relinked(text, path, place)


def _relinked(markdown: str, source: str, place: str) -> str:
    """Lead links of `source`, a path in the repository, to pages as seen from the page `place`."""

    def relinked(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        target = PAGES.get(target, target.removeprefix("docs/"))
        if not (ROOT / "docs" / target).exists():
            return found.group()
        seen = posixpath.relpath(target, posixpath.dirname(place) or ".")
        return f"]({seen}{found[2] or ''})"

    return _LINK.sub(relinked, markdown)
