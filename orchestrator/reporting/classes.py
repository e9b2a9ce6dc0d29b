"""Show single classes in a report: how well each is known, and which are taken for which."""

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
_SHOWN = 0.0005  # a smaller difference is 0.0 points

Answers = Mapping[int, Mapping[Role, ClassAnswers]]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """Describe a class at the end.

    Attributes:
        name: Its label.
        task: With which it was learned, from 1; 0 where that is not known.
        num_images: Test images of it.
        accuracy: Of both models at the end; None for a model without answers.
        change: Since the task with which it was learned, of both models, in fractions.
    """

    name: str
    task: int
    num_images: int
    accuracy: Mapping[Role, float | None]
    change: Mapping[Role, float | None]


@dataclass(frozen=True, slots=True)
class PairRow:
    """Name two classes of which one is taken for the other.

    Attributes:
        label: The class of the images.
        predicted: What they are taken for.
        ages: Which of the two the last task brought: `old as new`, …; empty where not known.
        found: The number of such images, by model; None where a model never does that.
    """

    label: str
    predicted: str
    ages: str
    found: Mapping[Role, Confusion | None]

    @property
    def worst_share(self) -> float:
        """Return the larger share of the class's images of both models, in [0, 1]."""
        return max(it.share for it in self.found.values() if it is not None)


@dataclass(frozen=True, slots=True)
class AgesRow:
    """Compare old classes with those of the newest task, after a task.

    Attributes:
        learned: Tasks learned.
        old_as_new: Share of the images of old classes that are taken for new ones, by model.
        new_as_old: Share of the images of new classes that are taken for old ones, by model.
    """

    learned: int
    old_as_new: Mapping[Role, float | None]
    new_as_old: Mapping[Role, float | None]


@dataclass(frozen=True, slots=True)
class ClassesSection:
    """Hold all that the report of a run says about single classes.

    Attributes:
        rows: Classes, the least known to the student first.
        pairs: Confused ones, the worst first.
        num_pairs: Confused ones altogether.
        ages: Old against new, task by task.
        matrices: Of few classes, the whole confusion matrix of each model, in percent.
        names: Of the rows and columns of these matrices.
    """

    rows: Sequence[ClassRow]
    pairs: Sequence[PairRow]
    num_pairs: int
    ages: Sequence[AgesRow]
    matrices: Mapping[Role, Cells]
    names: Sequence[str]


def answers_of(run: TrackedRun) -> Answers:
    """Return a run's answers by class; empty where they are not recorded or damaged."""
    try:
        return from_csv(run.files.get(output_files.CONFUSION_FILE, ""))
    except ValueError:
        return {}


def classes_section(run: TrackedRun) -> ClassesSection | None:
    """Return what is known of single classes; None where it is not recorded."""
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
    """Return the share of images of new classes that are taken for old ones, or the other way
    round; None where there are no such images.
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


# --- compared -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MovedClass:
    """Name a class that another run knows better, or less well, than the first."""

    name: str
    role: Role
    first: float
    other: float

    @property
    def difference(self) -> float:
        """Return by how much the other run is better, in fractions."""
        return self.other - self.first


@dataclass(frozen=True, slots=True)
class MovedClasses:
    """List the classes that moved from the first run to another one.

    Attributes:
        letter: Of the other run.
        is_recorded: Whether both runs have recorded their answers by class.
        moved: Those that moved most, the largest change first.
        num_moved: How many moved altogether, over both models.
    """

    letter: str
    is_recorded: bool
    moved: Sequence[MovedClass] = ()
    num_moved: int = 0


def moved_classes(letters: Sequence[str], runs: Sequence[TrackedRun]) -> list[MovedClasses]:
    """Return which classes moved from the first run to each other one, at the end of either."""
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
