"""Choose fonts for names that Matplotlib's own font cannot write, such as Chinese class names.

In pages the reader's fonts serve (`svg`); pictures take a font that is installed where they are
drawn. Where none is, they have boxes: that is no reason to warn with the paths of this program.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from matplotlib import font_manager
from matplotlib.text import Text

_OWN_FAMILY = "DejaVu Sans"
_NO_FONT = "Last Resort"  # draws a box with the name of the script


def choose_fonts(texts: Iterable[Text]) -> None:
    """Give each text that needs it an installed font for what Matplotlib's own font lacks."""
    needing = {text: missing for text in texts if (missing := _missing(text.get_text()))}
    if not needing:
        return
    family = _family_for(set().union(*needing.values()))
    for text in needing:
        text.set_fontfamily([_OWN_FAMILY, *family])


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Ignore that no font has a character: whoever draws cannot install one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        yield


def _missing(text: str) -> set[int]:
    if text.isascii():
        return set()
    own = _characters(font_manager.findfont(_OWN_FAMILY))
    return {ord(letter) for letter in text if letter.isprintable()} - own


def _family_for(missing: set[int]) -> list[str]:
    """Return the installed family that has most of the characters; none where none has any."""
    best, most = [], 0
    for name, file in sorted(
        {(font.name, font.fname) for font in font_manager.fontManager.ttflist}
    ):
        num_found = 0 if _NO_FONT in name else len(missing & _characters(file))
        if num_found > most:
            best, most = [name], num_found
        if most == len(missing):
            break
    return best


def _characters(file: str) -> set[int]:
    try:
        return set(font_manager.get_font(file).get_charmap())
    except (OSError, RuntimeError):  # a damaged or foreign font file of this machine
        return set()
