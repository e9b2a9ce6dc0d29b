"""Convert tables to CSV text that is safe to open in a spreadsheet, and back."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

# Match a text that a spreadsheet would evaluate as a formula. `csv_text` puts an apostrophe before
# such a text, and `csv_rows` removes one apostrophe. The pattern allows leading apostrophes, so a
# formula that already has an apostrophe is restored, too: `'=1` becomes `''=1`, then `'=1` again.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_BOTH = "\r\n"
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def csv_text(rows: Iterable[Sequence[object]], line_end: str = "\n") -> str:
    """Return rows as CSV; a text that a spreadsheet would evaluate gets a leading apostrophe.

    Args:
        rows: Rows of cells: texts, numbers, or None for an empty cell.
        line_end: Text that ends each row.
    """
    return "".join(_line(row) + line_end for row in rows)


def csv_rows(text: str) -> list[dict[str, str]]:
    """Parse the text of `csv_text`. Each row after the first becomes a mapping from the column
    names in the first row to the cells of the row.
    """
    return [
        {name: _as_it_was(cell or "") for name, cell in row.items() if name is not None}
        for row in csv.DictReader(io.StringIO(text, newline=""))
    ]


def _line(row: Sequence[object]) -> str:
    """Return a row as CSV without a line end.

    A cell that contains a carriage return or a newline must be quoted. Of these two characters, the
    csv module quotes only those that occur in its line end. So the row is written with both
    characters as the line end, which is then removed.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=_BOTH).writerow([_harmless(cell) for cell in row])
    return text.getvalue().removesuffix(_BOTH)


def _harmless(cell: object) -> object:
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _as_it_was(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
