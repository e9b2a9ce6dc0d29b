"""Monitor a retraining on every tick: measure unlabelled images, and warn of folders in which files
no longer arrive.

The measurements are in one file next to the journal, the *record*, which keeps only the latest
ones. Only the process that holds the lease writes the record, and no stage key depends on it. If
monitoring fails, the tick continues with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from orchestrator.config.retraining import Retraining
from orchestrator.data.growing_folder import SourceFile
from orchestrator.errors import (
    InterruptedRunError,
    LeaseLostError,
    OrchestratorError,
    StorageUnavailableError,
)
from orchestrator.masking import masked
from orchestrator.pipelines.retraining.lease import journal_place
from orchestrator.retraining.changes import Finding, FindingKind
from orchestrator.retraining.lease import Lease
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.monitoring.looking import Watch, standing_findings
from orchestrator.retraining.monitoring.records import Look, MonitoringRecord
from orchestrator.retraining.monitoring.silence import silent_folders
from orchestrator.retraining.registration import Registered
from orchestrator.retraining.scan import Scan
from orchestrator.retraining.storage import ObjectStorage
from orchestrator.tracking import names
from orchestrator.tracking.tracker import MetricPoint

RECORD = "monitoring/record.json"

logger = logging.getLogger(__name__)


def monitor(
    retraining: Retraining,
    champion: Registered | None,
    found: Scan,
    unlabeled: Sequence[SourceFile],
    lease: Lease | None,
) -> list[Finding]:
    """Measure new unlabelled images with the champion, and return all warnings of monitoring.

    Args:
        retraining: The retraining, with the bounds of its monitoring.
        champion: The champion, which classifies the images; None if there is none.
        found: The scan of the source of labelled images.
        unlabeled: Unlabelled files, without files that may still be incomplete.
        lease: The lease, held by this process; None for a dry run, which stores nothing.

    Raises:
        LeaseLostError: Another process has taken the lease.
        InterruptedRunError: The tick was interrupted.
    """
    lineage = champion.lineage if champion else Lineage()
    findings = silent_folders(retraining, found, lineage, unlabeled)
    if champion is None or retraining.source.unlabeled is None:
        return findings
    if not retraining.monitoring.looks_at_images:
        return findings
    try:
        return findings + _look(retraining, champion, found, unlabeled, lease)
    except (LeaseLostError, InterruptedRunError):
        raise
    except Exception as error:  # noqa: BLE001 - monitoring never stops a tick
        reason = masked(str(error)) or type(error).__name__
        what = f"images without labels were not measured: {reason}"
        logger.warning("%s", what)
        return [*findings, Finding(FindingKind.NOT_MONITORED, "warn", what)]


def record_storage(retraining: Retraining) -> ObjectStorage | None:
    """Return the storage that contains the journal and the monitoring record. Return None for a
    missing folder, because opening the storage would create the folder.
    """
    place = journal_place(retraining)
    return ObjectStorage(place) if "://" in place or Path(place).is_dir() else None


def _look(
    retraining: Retraining,
    champion: Registered,
    found: Scan,
    unlabeled: Sequence[SourceFile],
    lease: Lease | None,
) -> list[Finding]:
    storage = record_storage(retraining)
    before = MonitoringRecord.from_bytes(storage.read(RECORD) if storage else None)
    if before is None:
        logger.warning("%s next to the journal is corrupt: all images are measured again", RECORD)
    after = Watch(retraining, champion, found).look(before or MonitoringRecord(), unlabeled)
    if lease is not None and storage is not None:
        after = _sent(retraining, after)
        if after != before:
            _store(after, storage, lease)
    return standing_findings(after, champion.pair.student, retraining.monitoring.min_images)


def _store(record: MonitoringRecord, storage: ObjectStorage, lease: Lease) -> None:
    """Store the monitoring record. If storing fails, only warn: the next tick measures the same
    images again.

    Raises:
        LeaseLostError: Another process has taken the lease.
    """
    try:
        lease.check()
        storage.write(RECORD, record.as_bytes())
    except StorageUnavailableError as error:
        logger.warning("the monitoring record cannot be stored: %s", error)


def _sent(retraining: Retraining, record: MonitoringRecord) -> MonitoringRecord:
    """Send new measurements to MLflow, and return the record with these measurements marked as
    sent. If sending fails, only warn: the next tick sends the measurements.
    """
    looks = [look for look in record.looks if look.number > record.num_sent]
    if not looks:
        return record
    from orchestrator.tracking.mlflow.monitoring_run import (  # noqa: PLC0415 - MLflow takes seconds
        log_monitoring,
    )

    tracking = retraining.experiment.tracking
    try:
        log_monitoring(
            tracking.uri,
            tracking.experiment or retraining.name,
            retraining.name,
            [point for look in looks for point in _points(look)],
        )
    except OrchestratorError as error:
        logger.warning("the monitoring metrics are not in MLflow yet: %s", error)
        return record
    return record.model_copy(update={"num_sent": looks[-1].number})


def _points(look: Look) -> list[MetricPoint]:
    values = {
        names.MONITORING_IMAGES: look.num_images,
        names.MONITORING_AGREEMENT: look.agreement,
        names.MONITORING_HELD_OUT_AGREEMENT: look.held_out_agreement,
        names.MONITORING_FAR_SHARE: look.far_share,
        names.MONITORING_EXPECTED_FAR_SHARE: look.expected_far_share,
        names.MONITORING_CLASS_DISTANCE: look.class_distance,
        names.MONITORING_FINDINGS: len(look.findings),
    }
    time_ms = round(1000 * look.time)
    return [MetricPoint(name, float(value), look.number, time_ms) for name, value in values.items()]
