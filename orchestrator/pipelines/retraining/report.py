"""The report of a tick, with all versions that the registry has."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator import output_files
from orchestrator.config.retraining import Retraining
from orchestrator.errors import TransientError
from orchestrator.pipelines.retraining.monitored import monitored
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.reporting.pages import write_page
from orchestrator.reporting.retraining_report import VersionRow, retraining_report
from orchestrator.retraining.version_states import VersionState
from orchestrator.tracking.mlflow.registry import REASON_TAG, STATE_TAG, TEACHER_TAG, ModelRegistry
from orchestrator.tracking.reading import open_registry

logger = logging.getLogger(__name__)


def write_report(
    outcome: RetrainingOutcome, retraining: Retraining, folder: Path
) -> RetrainingOutcome:
    """Writes the report of a tick that has learned; that it cannot be written is no reason to fail
    a tick that is done.
    """
    path = folder / output_files.REPORT_FILE
    try:
        registry = open_registry(retraining.experiment.tracking.uri, retraining.name)
        write_page(
            path,
            retraining_report(
                retraining.name,
                outcome.summary(),
                registered_versions(registry),
                monitored(retraining),
            ),
        )
    except TransientError as error:
        logger.warning("the report of this tick is missing: %s", error)
        return outcome
    return replace(outcome, report=path)


def registered_versions(registry: ModelRegistry) -> list[VersionRow]:
    """Every pair that was ever registered, the oldest first."""
    teachers = {facts.version: facts for facts in registry.versions("teacher")}
    rows = []
    for student in registry.versions("student"):
        teacher = teachers.get(student.tags.get(TEACHER_TAG, ""))
        if teacher is not None:
            rows.append(
                VersionRow(
                    student=int(student.version),
                    teacher=int(teacher.version),
                    registered=datetime.fromtimestamp(student.created_ms / 1000, UTC),
                    state=student.tags.get(STATE_TAG, VersionState.CANDIDATE.value),
                    reason=student.tags.get(REASON_TAG, ""),
                    num_classes=int(student.tags["num_classes"]),
                    teacher_accuracy=float(teacher.tags["last_accuracy"]),
                    student_accuracy=float(student.tags["last_accuracy"]),
                )
            )
    return rows
