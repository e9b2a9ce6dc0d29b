"""Render the report of one run: results, training curves, cost, and comparison with other runs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator import output_files
from orchestrator.config.places import is_place
from orchestrator.config.roles import ROLES, Role
from orchestrator.evaluation import AccuracyMatrix, accuracy_after, forgetting_of_task
from orchestrator.evaluation.suspicious_labels import SuspiciousLabel, from_csv
from orchestrator.figures.chart_lines import Line, LineChart
from orchestrator.reporting.classes import MOST_LISTED as MOST_LISTED_CLASSES
from orchestrator.reporting.classes import MOST_SHOWN, classes_section
from orchestrator.reporting.configuration import unlike_defaults
from orchestrator.reporting.line_charts import DrawCharts, draw_charts
from orchestrator.reporting.matrices import accuracy_cells
from orchestrator.reporting.measures import MEASURES
from orchestrator.reporting.pages import render
from orchestrator.reporting.peers import peer_rows
from orchestrator.reporting.unlabeled import unlabeled_words
from orchestrator.tracking import names
from orchestrator.tracking.run_reader import MOST_PEERS
from orchestrator.tracking.tracked_run import TrackedRun, matrix_metrics

MOST_LISTED = 20
_RATIOS = ("kdr", "tstr", "tssr")
TRAINING_METRICS = tuple(
    names.training_metric(role, part) for role in ROLES for part in names.TRAINING_PARTS[role]
)


@dataclass(frozen=True, slots=True)
class ResultRow:
    """Final metric in the table of results, with the teacher's and the student's value; None if the
    model has no value yet.
    """

    name: str
    meaning: str
    teacher: float | None
    student: float | None


@dataclass(frozen=True, slots=True)
class Suspicious:
    """Training labels that a run's teacher or student contradicts.

    Attributes:
        counts: The counts of suspicious labels in the run's summary.
        labels: The labels that the report lists, most suspicious first.
        picture: Picture with the images of the most suspicious labels, as PNG in Base64; empty if
            the run has no picture.
    """

    counts: Mapping[str, int]
    labels: Sequence[SuspiciousLabel]
    picture: str


def run_report(
    run: TrackedRun, others: Sequence[TrackedRun] = (), draw: DrawCharts = draw_charts
) -> str:
    """Return the report of a run as one HTML page; an unfinished run is reported with its results
    so far.

    Args:
        run: The run, loaded with its summary, if it has one, and with the histories that
            `needed_histories` names.
        others: Finished runs on the same data set, to compare with `run`; may include `run`.
        draw: Function that draws the charts.
    """
    matrices = {role: run.matrix(role) for role in ROLES}
    summary, results, training = run.summary or {}, _charts(matrices), _training_charts(run)
    drawn = {chart.title: chart for chart in draw([*results, *training])}
    return render(
        "run.html.j2",
        title=run.name,
        run=run,
        results=_results(matrices) if any(matrices.values()) else [],
        summary=summary,
        matrices={role: accuracy_cells(matrix) for role, matrix in matrices.items() if matrix},
        tasks=_tasks(summary),
        unlabeled_words=_unlabeled_words(summary),
        charts=[drawn[chart.title] for chart in results if chart.title in drawn],
        training_charts=[drawn[chart.title] for chart in training if chart.title in drawn],
        classes=classes_section(run),
        num_classes_shown=MOST_SHOWN,
        num_classes_listed=MOST_LISTED_CLASSES,
        suspicious=_suspicious(run),
        peers=peer_rows(run, others) if any(matrices.values()) else [],
        num_peers_read=len(others) if len(others) == MOST_PEERS else None,
        chosen=unlike_defaults(run.parameters),
        settings=[(path, value) for path, value in run.parameters.items() if not is_place(path)],
        places=[(path, value) for path, value in run.parameters.items() if is_place(path)],
    )


def needed_histories(run: TrackedRun) -> list[str]:
    """Return the names of the metrics whose histories must be loaded for the report of a run.

    The result includes the accuracies only for a run without a summary, because a summary already
    has the accuracies.
    """
    return [*TRAINING_METRICS, *(matrix_metrics(run.metrics) if run.summary is None else ())]


def mean_accuracies(matrix: AccuracyMatrix) -> list[tuple[int, float]]:
    """Return the points of the accuracy curve: (number of learned tasks, mean accuracy over the
    learned tasks).
    """
    return [(learned + 1, accuracy_after(matrix, learned)) for learned in range(len(matrix))]


def _results(matrices: dict[Role, list[list[float]]]) -> list[ResultRow]:
    columns = [
        {measure.key: measure.of(matrix) for measure in MEASURES} if matrix else {}
        for matrix in matrices.values()
    ]
    return [
        ResultRow(measure.name, measure.meaning, *(column.get(measure.key) for column in columns))
        for measure in MEASURES
    ]


def _suspicious(run: TrackedRun) -> Suspicious | None:
    """Return a run's suspicious labels; None if the run did not look for suspicious labels."""
    text = run.files.get(output_files.SUSPICIOUS_LABELS_FILE)
    counts = (run.summary or {}).get("suspicious_labels")
    if text is None or counts is None:
        return None
    picture = run.pictures.get(output_files.SUSPICIOUS_LABELS_SHEET_FILE, b"")
    return Suspicious(counts, from_csv(text)[:MOST_LISTED], base64.b64encode(picture).decode())


def _tasks(summary: Mapping[str, Any]) -> list[list[str]]:
    return [[str(label) for label in task["classes"]] for task in summary.get("tasks", ())]


def _unlabeled_words(summary: Mapping[str, Any]) -> str:
    unlabeled = summary.get("unlabeled")
    if not unlabeled:
        return ""
    return unlabeled_words(unlabeled["num_images"], unlabeled["num_left_out"])


def _charts(matrices: dict[Role, list[list[float]]]) -> list[LineChart]:
    curves = [Line(role.capitalize(), mean_accuracies(matrix)) for role, matrix in matrices.items()]
    forgotten = [Line(role.capitalize(), _forgotten(matrix)) for role, matrix in matrices.items()]
    return [
        LineChart("Accuracy: mean over the tasks learned so far", curves, "tasks learned"),
        LineChart("Forgetting of each task at the end", forgotten, "task"),
    ]


def _forgotten(matrix: AccuracyMatrix) -> list[tuple[int, float]]:
    last = len(matrix) - 1
    return [(task + 1, forgetting_of_task(matrix, last, task)) for task in range(last)]


def _training_charts(run: TrackedRun) -> list[LineChart]:
    def lines(role: Role, parts: Sequence[str]) -> list[Line]:
        return [
            Line(part, run.histories.get(names.training_metric(role, part), ())) for part in parts
        ]

    parts = names.TRAINING_PARTS
    losses = [part for part in parts["student"] if part not in _RATIOS]
    ratios = [Line(line.label.upper(), line.points) for line in lines("student", _RATIOS)]
    return [
        LineChart("Training the teacher", lines("teacher", parts["teacher"]), "epoch", False),
        LineChart("Training the student", lines("student", losses), "epoch", False),
        LineChart("Transfer ratios", ratios, "epoch of the student", False),
    ]
