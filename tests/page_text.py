"""The text of a page, after checks that hold for every page."""

import re
from collections.abc import Sequence
from html.parser import HTMLParser

EVIL = '<script>alert("x")</script> & $\\frac{$'
VOID = {"meta", "br", "wbr", "link", "hr", "img", "input"}


class Balance(HTMLParser):
    """Parser that checks that every element is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.references += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def text_of(html: str, links: Sequence[str] = ()) -> str:
    """Return the text that a reader sees.

    Args:
        html: The page.
        links: Allowed beginnings of the addresses that the page links to.
    """
    balance = Balance()
    balance.feed(html)
    assert balance.open == []
    assert balance.scripts == 0
    assert all(reference.startswith(("#", "data:", *links)) for reference in balance.references), (
        "nothing is fetched"
    )
    assert not re.search(r"@import|url\((?!#)", html)
    body = html[html.index("<body") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body.replace("<wbr>", "")))
