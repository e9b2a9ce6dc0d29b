"""Count the test images of each class by the class that teacher or student predicts, after every
task. Write the counts to a CSV file, and read the counts from this file.

A *confused pair* is a class and another class that a model has predicted for an image of the first
class. Importing this module does not import torch, because reports only read the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import cast

from orchestrator.config.roles import ROLES, Role
from orchestrator.csv_text import csv_rows, csv_text

_MOST_LINES = 100_000  # limit for the number of confused pairs, over all tasks and both models
_LEAST_PAIRS = 1000  # confused pairs to keep per task and model, even if there are many tasks


@dataclass(frozen=True)
class Confusion:
    """Line of `confusion.csv`: the number of test images of one class for which a model has
    predicted a certain class.

    Attributes:
        tasks_learned: Number of tasks that the model had learned.
        model: `teacher` or `student`.
        label: Class of the images.
        predicted: The predicted class; correct if it equals the label.
        num_images: Number of test images of the class with this prediction.
        num_of_class: Number of all test images of the class.
    """

    tasks_learned: int
    model: Role
    label: str
    predicted: str
    num_images: int
    num_of_class: int

    @property
    def share(self) -> float:
        """Return the share, in [0, 1], of the class's test images with this prediction."""
        return self.num_images / self.num_of_class


@dataclass(frozen=True)
class ClassAnswers:
    """Counts of one model's predictions for the test images after a task.

    Attributes:
        right: Count of correct predictions for each class with test images, by class name, in the
            order in which the model learns the classes.
        wrong: Count of wrong predictions for each confused pair (a true class and a wrongly
            predicted class), in descending order of the pair's share of the true class's test
            images.
        is_complete: Whether `wrong` has all confused pairs; False if a limit has excluded some
            pairs.
    """

    right: Mapping[str, Confusion]
    wrong: Sequence[Confusion]
    is_complete: bool

    def accuracy(self, label: str) -> float | None:
        """Return the accuracy on a class, in [0, 1]; None if the class has no test images."""
        found = self.right.get(label)
        return found.share if found else None


_COLUMNS = [field.name for field in fields(Confusion)]


def most_pairs(num_tasks: int) -> int:
    """Return the maximum number of confused pairs to keep for each model after each task."""
    return max(_LEAST_PAIRS, _MOST_LINES // (len(ROLES) * num_tasks))


def count_confusions(
    after: tuple[int, Role],
    labels: Sequence[int],
    predictions: Sequence[int],
    class_names: Sequence[str],
    most: int,
) -> list[Confusion]:
    """Return the count of correct predictions for each class, then the counts of the most frequent
    confused pairs. A confused pair is a true class and a wrongly predicted class.

    Args:
        after: Number of tasks that the model has learned, and role of the model.
        labels: True class of every test image, as an index into `class_names`.
        predictions: Predicted class of every test image, as an index into `class_names`.
        class_names: Names of the classes, in the order in which the model learns them.
        most: Maximum number of confused pairs to keep.
    """
    of_class = Counter(labels)
    cells = Counter(zip(labels, predictions, strict=True))
    right = [(label, label) for label in sorted(of_class)]
    wrong = sorted(
        (cell for cell in cells if cell[0] != cell[1]), key=lambda cell: (-cells[cell], cell)
    )
    return [
        Confusion(
            *after,
            class_names[label],
            class_names[predicted],
            cells[label, predicted],
            of_class[label],
        )
        for label, predicted in (*right, *wrong[:most])
    ]


def as_csv(confusions: Iterable[Confusion]) -> str:
    """Return the text of `confusion.csv`: a line of column names, then a line for each class and
    for each confused pair.
    """
    return csv_text([_COLUMNS, *map(astuple, confusions)])


def from_csv(text: str) -> dict[int, dict[Role, ClassAnswers]]:
    """Parse the text of `confusion.csv`. Return the counts by number of learned tasks and by model.

    Raises:
        ValueError: The text is not that of a `confusion.csv`.
    """
    grouped: dict[int, dict[Role, list[Confusion]]] = {}
    for line in csv_rows(text):
        try:
            model = cast("Role", line["model"])
            numbers = [int(line[name]) for name in ("tasks_learned", "num_images", "num_of_class")]
            row = Confusion(numbers[0], model, line["label"], line["predicted"], *numbers[1:])
        except KeyError as error:
            msg = f"has no column {error}"
            raise ValueError(msg) from None
        grouped.setdefault(row.tasks_learned, {}).setdefault(model, []).append(row)
    return {
        learned: {role: _answers(by_role[role]) for role in ROLES if role in by_role}
        for learned, by_role in sorted(grouped.items())
    }


def _answers(rows: Sequence[Confusion]) -> ClassAnswers:
    right = {row.label: row for row in rows if row.label == row.predicted}
    wrong = [row for row in rows if row.label != row.predicted]
    wrong.sort(key=lambda row: (-row.share, -row.num_images))
    num_images = sum(row.num_of_class for row in right.values())
    return ClassAnswers(right, wrong, num_images == sum(row.num_images for row in rows))
