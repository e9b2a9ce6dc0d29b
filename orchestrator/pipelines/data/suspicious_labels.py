"""Read from MLflow the labels that a run finds suspicious."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator import output_files
from orchestrator.errors import UserInputError
from orchestrator.evaluation.suspicious_labels import SuspiciousLabel, from_csv
from orchestrator.tracking.reading import open_reader


@dataclass(frozen=True)
class DoubtedByRun:
    """Suspicious labels of a run.

    Attributes:
        run_id: The id of the run in MLflow.
        fingerprint: Fingerprint of the data set that the run learned from.
        counts: Content of `suspicious_labels` in the run's summary.json.
        labels: The listed labels, most suspicious first.
    """

    run_id: str
    fingerprint: str
    counts: Mapping[str, int]
    labels: Sequence[SuspiciousLabel]


def doubted_by_run(run_id: str, uri: str) -> DoubtedByRun:
    """Return the labels that a run finds suspicious.

    Args:
        run_id: The run's id in MLflow, or the first characters of the id.
        uri: The tracking store.

    Raises:
        UserInputError: The run or the store does not exist, or the run has judged no labels.
        TrackingUnavailableError: The store does not answer.
    """
    reader = open_reader(uri)
    run = reader.with_files(reader.find(run_id))
    text = run.files.get(output_files.SUSPICIOUS_LABELS_FILE)
    counts = (run.summary or {}).get("suspicious_labels")
    if text is None or counts is None:
        raise UserInputError(
            f"run {run.run_id} has no {output_files.SUSPICIOUS_LABELS_FILE}",
            next_step="name a finished run of `orchestrator run`; trials of sweeps judge no labels",
        )
    return DoubtedByRun(run.run_id, run.fingerprint, counts, from_csv(text))
