"""`suspicious_labels.csv` survives a round trip, whatever the names of classes and files."""

from __future__ import annotations

import csv
import io

from orchestrator.evaluation.suspicious_labels import SuspiciousLabel, as_csv, from_csv

ODD = SuspiciousLabel(
    7, 'photos/a, "b"\n.png', "cat, tabby", 0.875, "dog\nhound", 0.0625, "=cat()", 0.1875
)
PLAIN = SuspiciousLabel(12, "", "0", 0.5, "1", 0.25, "0", 0.75)


def test_written_rows_are_read_back() -> None:
    assert from_csv(as_csv([ODD, PLAIN])) == [ODD, PLAIN]
    assert from_csv(as_csv([])) == []


def test_the_columns_are_those_of_the_contract() -> None:
    (line,) = csv.DictReader(io.StringIO(as_csv([PLAIN])))
    assert line == {
        "row": "12",
        "image": "",
        "label": "0",
        "doubt": "0.5000",
        "teacher_says": "1",
        "teacher_believes": "0.2500",
        "student_says": "0",
        "student_believes": "0.7500",
    }


def test_columns_of_a_later_version_are_ignored() -> None:
    head, line = as_csv([PLAIN]).splitlines()
    assert from_csv(f"{head},task\n{line},3\n") == [PLAIN]
