r"""Choose fonts for names that Matplotlib's default font cannot render, such as Chinese class
names.

In an HTML page, figures are SVG with real text, which the reader's browser renders in its own
fonts. A picture file uses the font of the package extra `fonts`, or a font installed on the machine
that draws. A character that is in none of these fonts is written as its code point (`\u732b`). A
box in place of each missing character would make different names look alike.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

_OWN_FAMILY = "DejaVu Sans"
_NO_FONT = "Last Resort"  # name of a font that draws every character as a placeholder box
_SMALLEST = 0.5  # `spell_out` shrinks a font to no less than this fraction of its size
_PACKAGE = "noto_cjk_sans_jp_regular"  # module that the package extra `fonts` installs


def choose_fonts(texts: Iterable[Text]) -> None:
    """Set fallback fonts for those texts that have characters missing in Matplotlib's default
    font.
    """
    needing = {text: missing for text in texts if (missing := _missing(text.get_text()))}
    if not needing:
        return
    families, _ = _families_for(set().union(*needing.values()))
    for text in needing:
        text.set_fontfamily([_OWN_FAMILY, *families])


def spell_out(figure: Figure) -> None:
    """Replace characters that no font has by their code points, in all texts of a figure. Shrink
    texts that become longer.

    Several such characters in a row become the code point of the first character and `…`.
    """
    texts = figure.findobj(Text)
    missing = _missing("".join(text.get_text() for text in texts))
    undrawable = _families_for(missing)[1] if missing else set()
    if not undrawable:
        return
    rows = re.compile(f"[{re.escape(''.join(map(chr, sorted(undrawable))))}]+")
    for text in texts:
        before = text.get_text()
        if rows.search(before):
            text.set_text(rows.sub(_code_point, before))
            text.set_fontsize(
                float(text.get_fontsize()) * max(_SMALLEST, _width(before) / _width(text))
            )
    # Matplotlib regenerates tick labels on every draw, so set the replaced labels as fixed labels.
    for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]:
        labels = [label.get_text() for label in axis.get_ticklabels()]
        if any(map(rows.search, labels)):
            axis.set_ticks(axis.get_ticklocs(), [rows.sub(_code_point, it) for it in labels])


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Ignore Matplotlib's warnings about characters that its fonts lack.

    The warnings do not apply: browsers use other fonts, and picture files show code points instead.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        yield


def _code_point(row: re.Match[str]) -> str:
    letters = row[0]
    return letters[0].encode("unicode_escape").decode() + ("…" if len(letters) > 1 else "")


def _width(text: Text | str) -> int:
    """Return the number of letters in the longest line of a text, at least 1."""
    lines = (text if isinstance(text, str) else text.get_text()).splitlines()
    return max(map(len, lines), default=0) or 1


def _missing(text: str) -> set[int]:
    if text.isascii():
        return set()
    own = _characters(font_manager.findfont(_OWN_FAMILY))
    return {ord(letter) for letter in text if letter.isprintable()} - own


def _families_for(missing: set[int]) -> tuple[list[str], set[int]]:
    """Choose fallback font families for characters that Matplotlib's default font lacks.

    Returns:
        The families, each of which adds characters that the earlier families lack, and the
        characters that no installed family has.
    """
    _add_packaged_font()
    has: dict[str, set[int]] = {}
    for font in sorted(font_manager.fontManager.ttflist, key=lambda it: (it.name, it.fname)):
        if _NO_FONT not in font.name:
            has.setdefault(font.name, set()).update(missing & _characters(font.fname))
    families: list[str] = []
    left = set(missing)
    while left and (best := max(has, key=lambda name: len(has[name] & left), default="")):
        if not has[best] & left:
            break
        families.append(best)
        left -= has[best]
    return families, left


def _add_packaged_font() -> None:
    """Register the font of the extra `fonts` with Matplotlib once per process, if it is
    installed.
    """
    if find_spec(_PACKAGE) is None:
        return
    file = Path(str(importlib.import_module(_PACKAGE).FONT_PATH))
    known = {font.fname for font in font_manager.fontManager.ttflist}
    if file.is_file() and str(file) not in known:
        font_manager.fontManager.addfont(str(file))


def _characters(file: str) -> set[int]:
    try:
        return set(font_manager.get_font(file).get_charmap())
    except (OSError, RuntimeError):  # a corrupt or unsupported font file on this machine
        return set()
