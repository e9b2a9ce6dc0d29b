"""Training labels that teacher and student doubt, as values and as lines of a CSV file.

Importing this module does not import torch: reports and the terminal read the file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True)
class SuspiciousLabel:
    """One doubted label: a line of `suspicious_labels.csv`.

    Attributes:
        row: Of the image in the decoded table, from 0; training images come first, in the order of
            their source.
        image: Where the image lies in the source, such as a path; empty where that is not known.
        label: As given.
        doubt: `1 - (teacher_believes + student_believes) / 2`, in [0, 1].
        teacher_says: The label that the teacher gives.
        teacher_believes: The teacher's probability of the given label, in [0, 1].
        student_says: The label that the student gives.
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
    """Return the file's text: a line of column names, then a line for each label."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for label in labels:
        writer.writerow(
            f"{value:.4f}" if isinstance(value, float) else value for value in astuple(label)
        )
    return text.getvalue()


def from_csv(text: str) -> list[SuspiciousLabel]:
    """Return the labels of a file's text; columns that a later version added are left out."""
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
        for line in csv.DictReader(io.StringIO(text))
    ]
