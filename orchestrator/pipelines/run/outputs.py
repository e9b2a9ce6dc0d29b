"""Write the files of a finished run: summary, resolved experiment, environment and figures, on disk
and in MLflow.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from orchestrator import output_files
from orchestrator.config import dump_experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.errors import StorageUnavailableError
from orchestrator.evaluation.confusion import as_csv
from orchestrator.pipelines.run.log import RunLog
from orchestrator.pipelines.run.pictures import charts_kept_in, write_pictures
from orchestrator.pipelines.run.record import RunRecord
from orchestrator.pipelines.run.suspicious_labels import Suspicions, write_suspicions
from orchestrator.tracking import RunStatus, Tracker, names
from orchestrator.tracking.provenance import provenance_tags
from orchestrator.tracking.tracked_run import TrackedRun, histories_of
from orchestrator.whole_files import write_whole

_VERSIONS_OF = (
    "continual-orchestrator",
    "torch",
    "torchvision",
    "numpy",
    "scikit-learn",
    "pyarrow",
    "mlflow",
)


def write_outputs(
    folder: Path,
    summary: dict[str, Any],
    record: RunRecord,
    log: RunLog,
    tracker: Tracker,
    suspicions: Suspicions,
) -> None:
    """Write every file of a finished run, and log the files with the tracker.

    Args:
        folder: The output folder.
        summary: The content of summary.json.
        record: The results of the run.
        log: The complete log of the run.
        tracker: The tracker of the run.
        suspicions: The run's suspicious labels.

    Raises:
        StorageUnavailableError: The folder, or the store that keeps pictures, is no longer usable.
    """
    try:
        doubted = write_suspicions(folder, suspicions, record.scenario, record.store)
        _write_files(folder, summary, record, log)
    except OSError as error:
        what = f"the results cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(
            what,
            where=str(folder),
            next_step="choose another --output; the learned stages are kept",
        ) from None
    for name in (
        output_files.SUMMARY_FILE,
        output_files.EXPERIMENT_FILE,
        output_files.ENVIRONMENT_FILE,
        output_files.REPORT_FILE,
        output_files.CONFUSION_FILE,
    ):
        tracker.log_file(folder / name)
    figures = folder / output_files.FIGURES_FOLDER
    pictures = (*map(output_files.accuracy_matrix_file, ROLES), output_files.OVERVIEW_FILE)
    for path in (*doubted, *(figures / picture for picture in pictures)):
        tracker.log_file(path, output_files.FIGURES_FOLDER if path.parent == figures else "")


def _write_files(folder: Path, summary: dict[str, Any], record: RunRecord, log: RunLog) -> None:
    from orchestrator.reporting.pages import write_page  # noqa: PLC0415 - slow to import
    from orchestrator.reporting.run_report import run_report  # noqa: PLC0415

    experiment, about = record.experiment, environment()
    write_json(folder / output_files.SUMMARY_FILE, summary)
    write_whole(folder / output_files.EXPERIMENT_FILE, dump_experiment(experiment))
    write_json(folder / output_files.ENVIRONMENT_FILE, about)
    write_whole(folder / output_files.CONFUSION_FILE, as_csv(record.confusions()))
    tracked = replace(_tracked_run(summary, record, log, about), **_written_lists(folder))
    page = run_report(tracked, draw=charts_kept_in(record.store))
    write_page(folder / output_files.REPORT_FILE, page)
    class_names = [[str(label) for label in task["classes"]] for task in summary["tasks"]]
    title = f"{experiment.name}, {experiment.method.kind}, seed {experiment.seed}"
    matrices = {role: record.matrix(role) for role in ROLES}
    write_pictures(
        folder / output_files.FIGURES_FOLDER,
        record.store,
        [title, class_names, matrices],
        lambda: _matrices_drawn(title, class_names, matrices),
    )


def _matrices_drawn(
    title: str, class_names: Sequence[Sequence[str]], matrices: Mapping[Role, list[list[float]]]
) -> dict[str, bytes]:
    from orchestrator.figures.run import (  # noqa: PLC0415 - matplotlib is slow to import
        accuracy_matrix_figure,
        run_overview_figure,
    )
    from orchestrator.figures.saving import drawn  # noqa: PLC0415

    pictures = {
        output_files.accuracy_matrix_file(role): drawn(
            accuracy_matrix_figure(
                matrix, f"{role.capitalize()}: accuracy on each task", class_names
            )
        )
        for role, matrix in matrices.items()
    }
    overview = run_overview_figure(matrices["teacher"], matrices["student"], title)
    return {**pictures, output_files.OVERVIEW_FILE: drawn(overview)}


def _written_lists(folder: Path) -> dict[str, Any]:
    """Return the content of the files that the run's report reads: suspicious labels, and
    predictions by class.
    """
    names = (output_files.SUSPICIOUS_LABELS_FILE, output_files.CONFUSION_FILE)
    sheet = output_files.SUSPICIOUS_LABELS_SHEET_FILE
    drawn = folder / output_files.FIGURES_FOLDER / sheet
    return {
        "files": {name: (folder / name).read_text(encoding="utf-8") for name in names},
        "pictures": {sheet: drawn.read_bytes()} if drawn.is_file() else {},
    }


def _tracked_run(
    summary: dict[str, Any], record: RunRecord, log: RunLog, about: dict[str, str]
) -> TrackedRun:
    """Return the data of the run for its report, without reading MLflow."""
    experiment, ended = record.experiment, datetime.now(UTC)
    return TrackedRun(
        run_id=record.run_id,
        name=record.name,
        experiment=experiment.tracking.experiment or experiment.name,
        experiment_id="",
        status=RunStatus.FINISHED.value,
        started=ended - timedelta(seconds=summary["wall_seconds"]),
        ended=ended,
        parameters=log.parameters,
        tags=log.tags,
        histories=histories_of(log.points),
        summary=summary,
        environment=about,
    )


def remove_earlier_summary(folder: Path) -> None:
    """Remove the summary that an earlier command has left in the folder. If this command failed,
    the earlier summary would be mistaken for the result of this command.

    Raises:
        StorageUnavailableError: The summary cannot be removed.
    """
    file = folder / output_files.SUMMARY_FILE
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        what = f"the summary of an earlier command cannot be removed ({error.strerror})"
        raise StorageUnavailableError(
            what, where=str(file), next_step="choose another --output"
        ) from None


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write summary.json, without the other files of a run.

    Raises:
        StorageUnavailableError: The folder is no longer writable.
    """
    try:
        write_json(folder / output_files.SUMMARY_FILE, summary)
    except OSError as error:
        what = f"the summary cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(
            what, where=str(folder), next_step="free some space, or choose another --output"
        ) from None


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically: a reader sees the whole file or no file."""
    write_whole(path, json.dumps(content, indent=2) + "\n")


def environment() -> dict[str, str]:
    """Return the versions of the packages that influence a run's results. If the program runs from
    a git checkout, also return the commit.
    """
    versions = {name: metadata.version(name) for name in _VERSIONS_OF}
    lock_file = Path(__file__).parents[3] / "requirements.lock"
    locked = (
        {"requirements_lock_sha256": hashlib.sha256(lock_file.read_bytes()).hexdigest()}
        if lock_file.exists()
        else {}
    )
    commit = {
        name: value for name, value in provenance_tags().items() if name == names.GIT_COMMIT_TAG
    }
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **versions,
        **locked,
        **commit,
    }
