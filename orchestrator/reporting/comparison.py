"""Render a page that compares the settings and results of several runs. The first run is the
reference: every other run is compared with the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, product
from string import ascii_uppercase

from orchestrator.config.places import is_place
from orchestrator.config.roles import ROLES, Role
from orchestrator.evaluation import forgetting_after
from orchestrator.figures.chart_lines import Chart, Line, LineChart
from orchestrator.figures.charts import line_chart
from orchestrator.reporting.classes import moved_classes
from orchestrator.reporting.configuration import differences
from orchestrator.reporting.matrices import Cells, accuracy_cells, difference_cells
from orchestrator.reporting.measures import MEASURES, Measure
from orchestrator.reporting.pages import render
from orchestrator.reporting.run_report import mean_accuracies
from orchestrator.tracking.tracked_run import TrackedRun, matrix_metrics

Matrix = list[list[float]]
_SHOWN = 0.0005  # a smaller difference in a metric would be displayed as 0.0 percentage points


@dataclass(frozen=True, slots=True)
class ComparedNumber:
    """Value of a final metric in one run, compared with the first run.

    Attributes:
        value: The metric as a fraction; None if the run has not recorded the metric.
        difference: The value minus the first run's value. None for the first run itself, and if
            either run has not recorded the metric.
        is_better: Whether the run is better than the first run in this metric; None if there is no
            visible difference.
    """

    value: float | None
    difference: float | None
    is_better: bool | None


@dataclass(frozen=True, slots=True)
class NumberRow:
    """Final metric of one model (teacher or student), with its value in every compared run."""

    name: str
    meaning: str
    role: Role
    numbers: list[ComparedNumber]


@dataclass(frozen=True, slots=True)
class ComparedMatrix:
    """Accuracy matrix of one run, with its difference from the first run's matrix.

    The difference is None for the first run itself, for a matrix equal to the first run's, and if
    either run has no matrix.
    """

    letter: str
    cells: Cells
    difference: Cells | None
    is_same: bool


def comparison(runs: Sequence[TrackedRun]) -> str:
    """Return the comparison of several runs as one HTML page.

    Args:
        runs: At least two runs; all are compared with the first run. Each run must be loaded with
            its summary, if it has one, and with the histories that `needed_histories` names.
    """
    letters = [letter for letter, _ in zip(_letters(), runs, strict=False)]
    matrices = {role: [run.matrix(role) for run in runs] for role in ROLES}
    settings = differences([run.parameters for run in runs])
    return render(
        "comparison.html.j2",
        title=f"{len(runs)} runs compared",
        runs=list(zip(letters, runs, strict=True)),
        warnings=_warnings(runs, letters, matrices["student"]),
        settings=[setting for setting in settings if not is_place(setting.path)],
        places=[setting for setting in settings if is_place(setting.path)],
        numbers=_number_rows(matrices),
        charts=_charts(letters, matrices),
        moved=moved_classes(letters, runs),
        matrices={
            role: _compared_matrices(letters, of_role)
            for role, of_role in matrices.items()
            if any(of_role)
        },
    )


def needed_histories(run: TrackedRun) -> list[str]:
    """Return the names of the metrics whose histories must be loaded before a run is compared.

    The result is empty for a run with a summary, because the summary already has the accuracies.
    """
    return matrix_metrics(run.metrics) if run.summary is None else []


def _letters() -> Iterator[str]:
    for length in count(1):
        yield from map("".join, product(ascii_uppercase, repeat=length))


def _warnings(
    runs: Sequence[TrackedRun], letters: Sequence[str], matrices: Sequence[Matrix]
) -> list[str]:
    """Return the reasons why the final metrics of the runs are not comparable; empty if they are
    comparable.
    """
    warnings = []
    if len({run.fingerprint for run in runs}) > 1:
        told = ", ".join(
            f"{letter}: {run.dataset or 'unknown'} ({run.fingerprint[:8] or '?'})"
            for letter, run in zip(letters, runs, strict=True)
        )
        warnings.append(f"The runs learned different data ({told}), so their test images differ.")
    elif len({run.parameters.get("scenario.class_order") for run in runs}) > 1:
        warnings.append("The class order differs, so the tasks of the runs are not the same.")
    if len(set(map(len, matrices))) > 1:
        told = ", ".join(
            f"{letter}: {len(matrix)}" for letter, matrix in zip(letters, matrices, strict=True)
        )
        warnings.append(
            f"The runs learned different numbers of tasks ({told}), so the final metrics cover"
            " different tasks."
        )
    unfinished = [
        f"{letter} ({run.status})"
        for letter, run in zip(letters, runs, strict=True)
        if run.status != "FINISHED"
    ]
    if unfinished:
        warnings.append(
            f"Not finished: {', '.join(unfinished)}; the comparison uses their results so far."
        )
    return warnings


def _number_rows(matrices: dict[Role, list[Matrix]]) -> list[NumberRow]:
    return [
        NumberRow(measure.name, measure.meaning, role, _compared(measure, of_role))
        for measure, (role, of_role) in product(MEASURES, matrices.items())
        if any(of_role)
    ]


def _compared(measure: Measure, matrices: Sequence[Matrix]) -> list[ComparedNumber]:
    first, *others = [measure.of(matrix) if matrix else None for matrix in matrices]
    numbers = [ComparedNumber(first, None, None)]
    for value in others:
        difference = None if value is None or first is None else value - first
        is_better = (
            None
            if difference is None or abs(difference) < _SHOWN
            else (difference < 0) == measure.is_better_lower
        )
        numbers.append(ComparedNumber(value, difference, is_better))
    return numbers


def _charts(letters: Sequence[str], matrices: dict[Role, list[Matrix]]) -> list[Chart]:
    charts = []
    for role, of_role in matrices.items():
        named = list(zip(letters, of_role, strict=True))
        accuracy = [Line(letter, mean_accuracies(matrix)) for letter, matrix in named]
        forgetting = [
            Line(letter, [(i + 1, forgetting_after(matrix, i)) for i in range(len(matrix))])
            for letter, matrix in named
        ]
        charts += [
            line_chart(
                LineChart(
                    f"{role.capitalize()}: accuracy over the tasks learned so far",
                    accuracy,
                    "tasks learned",
                )
            ),
            line_chart(
                LineChart(
                    f"{role.capitalize()}: forgetting of the earlier tasks",
                    forgetting,
                    "tasks learned",
                )
            ),
        ]
    return [chart for chart in charts if chart is not None]


def _compared_matrices(letters: Sequence[str], matrices: Sequence[Matrix]) -> list[ComparedMatrix]:
    first, *others = zip(letters, map(accuracy_cells, matrices), matrices, strict=True)
    compared = [ComparedMatrix(first[0], first[1], None, is_same=False)]
    for letter, cells, matrix in others:
        is_same = matrix == first[2]
        difference = (
            difference_cells(matrix, first[2]) if matrix and first[2] and not is_same else None
        )
        compared.append(ComparedMatrix(letter, cells, difference, is_same))
    return compared
