"""Represent training labels that teacher and student doubt, as values and as a CSV file.

Importing this module does not import torch, because reports and the terminal only read the file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

from orchestrator.csv_text import csv_rows, csv_text

MOST_SHOWN = 40
"""Largest number of images on the sheet that shows the images with suspicious labels."""


@dataclass(frozen=True)
class SuspiciousLabel:
    """Training label that the models doubt: a line of `suspicious_labels.csv`.

    Attributes:
        row: Row of the image in the table of decoded images, from 0. The table starts with the
            training images, in the order of their source.
        image: Place of the image in the source, such as a path; empty if the place is unknown.
        label: The given label.
        doubt: `1 - (teacher_believes + student_believes) / 2`, in [0, 1].
        teacher_says: The label that the teacher predicts.
        teacher_believes: The teacher's probability of the given label, in [0, 1].
        student_says: The label that the student predicts.
        student_believes: The student's probability of the given label, in [0, 1].
    """

    row: int
    image: str
    label: str
    doubt: float
    teacher_says: str
    teacher_believes: float
    student_says: str
    student_believes: float


_COLUMNS = [field.name for field in fields(SuspiciousLabel)]


def as_csv(labels: Iterable[SuspiciousLabel]) -> str:
    """Return the text of `suspicious_labels.csv`: a line of column names, then a line for each
    label.
    """
    return csv_text(
        [
            _COLUMNS,
            *(
                [f"{it:.4f}" if isinstance(it, float) else it for it in astuple(label)]
                for label in labels
            ),
        ]
    )


def from_csv(text: str) -> list[SuspiciousLabel]:
    """Parse labels from the text of `suspicious_labels.csv`. Columns that only later versions write
    are ignored.
    """
    return [
        SuspiciousLabel(
            int(line["row"]),
            line["image"],
            line["label"],
            float(line["doubt"]),
            line["teacher_says"],
            float(line["teacher_believes"]),
            line["student_says"],
            float(line["student_believes"]),
        )
        for line in csv_rows(text)
    ]
