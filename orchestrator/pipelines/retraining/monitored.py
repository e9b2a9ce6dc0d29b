"""Read the monitoring measurements of a retraining for its history page."""

from __future__ import annotations

from orchestrator.config.retraining import Retraining
from orchestrator.pipelines.retraining.monitor import RECORD, record_storage
from orchestrator.reporting.monitoring import MonitoringPoint
from orchestrator.retraining.monitoring.records import MonitoringRecord


def monitored(retraining: Retraining) -> list[MonitoringPoint]:
    """Return all measurements of a retraining's monitoring so far, oldest first.

    Raises:
        StorageUnavailableError: The storage of the journal does not answer.
    """
    storage = record_storage(retraining)
    record = MonitoringRecord.from_bytes(storage.read(RECORD)) if storage else None
    return [
        MonitoringPoint(
            number=look.number,
            agreement=look.agreement,
            held_out_agreement=look.held_out_agreement,
            far_share=look.far_share,
            expected_far_share=look.expected_far_share,
            class_distance=look.class_distance,
        )
        for look in (record.looks if record else ())
    ]
