"""Prepare the per-class results of a report: the accuracy on each class, and the confused pairs of
classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator import output_files
from orchestrator.config.roles import ROLES, Role
from orchestrator.evaluation.confusion import ClassAnswers, Confusion, from_csv
from orchestrator.figures.matrix_colours import accuracy_colours
from orchestrator.reporting.matrices import Cell, Cells
from orchestrator.reporting.quantities import percent_number
from orchestrator.tracking.tracked_run import TrackedRun

MOST_SHOWN = 12
MOST_LISTED = 200
MOST_IN_MATRIX = 20
_SHOWN = 0.0005  # a smaller difference in accuracy would be displayed as 0.0 percentage points

Answers = Mapping[int, Mapping[Role, ClassAnswers]]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class in the table of classes, with its results after the last task.

    Attributes:
        name: Label of the class.
        task: Number of the task that introduced the class, from 1; 0 if unknown.
        num_images: Number of the class's test images.
        accuracy: Each model's accuracy on the class; None if the predictions are not recorded.
        change: Change in each model's accuracy on the class since the model learned the class, as a
            fraction; None if unknown, and for the classes of the last task.
    """

    name: str
    task: int
    num_images: int
    accuracy: Mapping[Role, float | None]
    change: Mapping[Role, float | None]


@dataclass(frozen=True, slots=True)
class PairRow:
    """Pair of classes in the table of confused classes: images of one class are classified as the
    other.

    Attributes:
        label: The true class of the images.
        predicted: The predicted class.
        ages: Whether each class is old or new in the last task: `old as new` means an old true
            class and a new predicted class. Empty if unknown.
        found: Each model's number of images with this mistake; None if the model never makes the
            mistake.
    """

    label: str
    predicted: str
    ages: str
    found: Mapping[Role, Confusion | None]

    @property
    def worst_share(self) -> float:
        """Return the share of the true class's images that a model classifies as the predicted
        class, in [0, 1]. Of the two models' shares, return the larger share.
        """
        return max(it.share for it in self.found.values() if it is not None)


@dataclass(frozen=True, slots=True)
class AgesRow:
    """Confusion between old classes and a task's new classes, measured right after the task.

    Attributes:
        learned: Number of tasks learned so far.
        old_as_new: Share of images of old classes that are classified as new classes, by model.
        new_as_old: Share of images of new classes that are classified as old classes, by model.
    """

    learned: int
    old_as_new: Mapping[Role, float | None]
    new_as_old: Mapping[Role, float | None]


@dataclass(frozen=True, slots=True)
class ClassesSection:
    """Section of a run's report with the per-class results.

    Attributes:
        rows: All classes, in ascending order of the student's accuracy.
        pairs: The most confused pairs of classes. The first pair has the largest share of the true
            class's images that a model classifies as the other class.
        num_pairs: Number of all confused pairs of classes.
        ages: Confusion between old and new classes, one row per task.
        matrices: Confusion matrix of each model in percent; empty if there are many classes.
        names: Names of the classes, in the order of the rows and columns of the matrices.
    """

    rows: Sequence[ClassRow]
    pairs: Sequence[PairRow]
    num_pairs: int
    ages: Sequence[AgesRow]
    matrices: Mapping[Role, Cells]
    names: Sequence[str]


def answers_of(run: TrackedRun) -> Answers:
    """Return a run's recorded predictions (confusion.csv), by number of learned tasks and by role;
    empty if the file is missing or corrupt.
    """
    try:
        return from_csv(run.files.get(output_files.CONFUSION_FILE, ""))
    except ValueError:
        return {}


def classes_section(run: TrackedRun) -> ClassesSection | None:
    """Return the report section with a run's per-class results; None if the run has not recorded
    its predictions.
    """
    answers = answers_of(run)
    if not answers:
        return None
    tasks = [[str(it) for it in task["classes"]] for task in (run.summary or {}).get("tasks", ())]
    task_of = {label: number for number, task in enumerate(tasks, start=1) for label in task}
    last = answers[max(answers)]
    names = [*next(iter(last.values())).right]
    few = len(names) <= MOST_IN_MATRIX
    rows = [_class_row(name, answers, last, task_of) for name in names]
    pairs = _pairs(last, task_of)
    return ClassesSection(
        sorted(rows, key=lambda row: (row.accuracy.get("student") or 0.0, row.name)),
        pairs[:MOST_SHOWN],
        len(pairs),
        _ages(answers, task_of),
        {role: _matrix(of_role, names) for role, of_role in last.items() if few},
        names,
    )


def _class_row(
    name: str, answers: Answers, last: Mapping[Role, ClassAnswers], task_of: Mapping[str, int]
) -> ClassRow:
    accuracy = {role: of_role.accuracy(name) for role, of_role in last.items()}
    first = answers.get(task_of.get(name, 0), {})
    change: dict[Role, float | None] = {}
    for role, now in accuracy.items():
        then = first[role].accuracy(name) if role in first and first is not last else None
        change[role] = None if then is None or now is None else now - then
    num_images = next(it.right[name].num_of_class for it in last.values() if name in it.right)
    return ClassRow(name, task_of.get(name, 0), num_images, accuracy, change)


def _pairs(last: Mapping[Role, ClassAnswers], task_of: Mapping[str, int]) -> list[PairRow]:
    found: dict[tuple[str, str], dict[Role, Confusion | None]] = {}
    for role, answers in last.items():
        for row in answers.wrong:
            cell = found.setdefault((row.label, row.predicted), dict.fromkeys(last))
            cell[role] = row
    newest = max(task_of.values(), default=0)

    def ages(label: str, predicted: str) -> str:
        if newest < 2 or not {label, predicted} <= task_of.keys():
            return ""
        of_label, of_predicted = (
            "new" if task_of[name] == newest else "old" for name in (label, predicted)
        )
        return f"{of_label} as {of_predicted}"

    rows = [PairRow(*pair, ages(*pair), by_role) for pair, by_role in found.items()]
    return sorted(rows, key=lambda row: -row.worst_share)


def _ages(answers: Answers, task_of: Mapping[str, int]) -> list[AgesRow]:
    rows = []
    for learned, by_role in answers.items():
        complete = all(it.is_complete for it in by_role.values())
        if learned < 2 or not complete or not task_of:
            continue
        old = {role: _taken(it, task_of, learned, of_new=False) for role, it in by_role.items()}
        new = {role: _taken(it, task_of, learned, of_new=True) for role, it in by_role.items()}
        rows.append(AgesRow(learned, old, new))
    return rows


def _taken(
    answers: ClassAnswers, task_of: Mapping[str, int], newest: int, *, of_new: bool
) -> float | None:
    """Return the share of images of new classes that a model classifies as old classes.

    If `of_new` is False, return the opposite: the share of images of old classes that the model
    classifies as new classes. The share is None if there are no such images.
    """
    images = sum(
        row.num_of_class
        for row in answers.right.values()
        if (task_of.get(row.label) == newest) == of_new
    )
    taken = sum(
        row.num_images
        for row in answers.wrong
        if (task_of.get(row.label) == newest) == of_new
        and (task_of.get(row.predicted) == newest) != of_new
    )
    return taken / images if images else None


def _matrix(answers: ClassAnswers, names: Sequence[str]) -> Cells:
    shares = {(row.label, row.predicted): row.share for row in answers.wrong}
    shares |= {(row.label, row.label): row.share for row in answers.right.values()}
    return [[_cell(shares.get((label, other), 0.0)) for other in names] for label in names]


def _cell(share: float) -> Cell | None:
    if not share:
        return None
    colours = accuracy_colours(share)
    return Cell(percent_number(share), colours.background, colours.text)


# --- comparison of two runs -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MovedClass:
    """Class on which one model's final accuracy differs between the first compared run and another
    run.
    """

    name: str
    role: Role
    first: float
    other: float

    @property
    def difference(self) -> float:
        """Return the other run's accuracy minus the first run's, as a fraction."""
        return self.other - self.first


@dataclass(frozen=True, slots=True)
class MovedClasses:
    """Classes on which the final accuracy differs between the first compared run and another run.

    Attributes:
        letter: Letter by which the comparison names the other run.
        is_recorded: Whether both runs have recorded their predictions.
        moved: The classes with the largest differences, the largest difference first.
        num_moved: Number of all differences, including those not in `moved`. A class counts twice
            if the accuracy of both models (teacher and student) differs.
    """

    letter: str
    is_recorded: bool
    moved: Sequence[MovedClass] = ()
    num_moved: int = 0


def moved_classes(letters: Sequence[str], runs: Sequence[TrackedRun]) -> list[MovedClasses]:
    """Compare each later run with the first run, and return the classes whose final accuracy
    differs.
    """
    first, *others = map(_at_the_end, runs)
    return [
        MovedClasses(letter, is_recorded=False)
        if not first or not other
        else _moved(letter, first, other)
        for letter, other in zip(letters[1:], others, strict=True)
    ]


def _at_the_end(run: TrackedRun) -> Mapping[Role, ClassAnswers]:
    answers = answers_of(run)
    return answers[max(answers)] if answers else {}


def _moved(
    letter: str, first: Mapping[Role, ClassAnswers], other: Mapping[Role, ClassAnswers]
) -> MovedClasses:
    moved = [
        MovedClass(name, role, before.share, now.share)
        for role in ROLES
        if role in first and role in other
        for name, before in first[role].right.items()
        if (now := other[role].right.get(name)) and abs(now.share - before.share) >= _SHOWN
    ]
    moved.sort(key=lambda it: -abs(it.difference))
    return MovedClasses(letter, True, moved[:MOST_SHOWN], len(moved))
