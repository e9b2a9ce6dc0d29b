"""Write the history page of a retraining, and record ticks in the registry so that the page can
show them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import output_files
from orchestrator.config.retraining import Retraining
from orchestrator.errors import OrchestratorError, TransientError, UserInputError
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.retraining.tick_record import TickRecord
from orchestrator.tracking.reading import open_existing_registry
from orchestrator.tracking.registry import TICK_TAG, ModelRegistry

if TYPE_CHECKING:
    from orchestrator.reporting.history.charts import ChartGroup
    from orchestrator.reporting.history.facts import History
    from orchestrator.reporting.history.page import ShownTick

logger = logging.getLogger(__name__)

REPORTS_FOLDER = Path("out") / "reports"


def report_retraining(retraining: Retraining, file: Path, output: Path | None = None) -> Path:
    """Write the history page of a retraining, and return its path.

    Args:
        retraining: The retraining.
        file: The retraining's file, named in the commands on the page.
        output: The HTML file; None means `out/reports/NAME.html`.

    Raises:
        UserInputError: The store does not exist.
        TrackingUnavailableError: The store does not answer.
        StorageUnavailableError: The file cannot be written.
    """
    registry = open_existing_registry(retraining.experiment.tracking.uri, retraining.name)
    from orchestrator.pipelines.retraining.history import read_history  # noqa: PLC0415 - report a wrong store before importing matplotlib

    path = output or REPORTS_FOLDER / f"{retraining.name}.html"
    _write_page(path, retraining, read_history(registry, str(file)))
    return path


def write_report(
    outcome: RetrainingOutcome, retraining: Retraining, folder: Path
) -> RetrainingOutcome:
    """Write the history page after a tick, and return the outcome with the path of the page. If
    writing fails, only warn, because the tick itself has succeeded.
    """
    from orchestrator.reporting.history.conditions import conditions_of  # noqa: PLC0415 - draws with matplotlib, which is slow to import
    from orchestrator.reporting.history.page import ShownTick  # noqa: PLC0415

    summary, path = outcome.summary(), folder / output_files.REPORT_FILE
    record = TickRecord.of(summary, datetime.now(UTC))
    # For a registered candidate, the page shows the gate's conditions next to the version, so they
    # are not repeated next to the tick.
    gate = conditions_of(summary["gate"] if outcome.candidate is None else ())
    try:
        tick = ShownTick(record, outcome.is_dry, gate)
        _write_page(path, retraining, _history(retraining), tick)
    except TransientError as error:
        logger.warning("the report of this tick is missing: %s", error)
        return outcome
    return replace(outcome, report=path)


def _write_page(
    path: Path, retraining: Retraining, history: History, tick: ShownTick | None = None
) -> None:
    from orchestrator.reporting.history.page import history_page  # noqa: PLC0415
    from orchestrator.reporting.pages import write_page  # noqa: PLC0415

    groups = _more_charts(retraining)
    write_page(path, history_page(history, datetime.now(UTC), tick, groups))


def _more_charts(retraining: Retraining) -> list[ChartGroup]:
    """Return the charts of the history page that show data from outside the registry."""
    from orchestrator.pipelines.retraining.monitored import monitored  # noqa: PLC0415
    from orchestrator.reporting.history.charts import ChartGroup  # noqa: PLC0415
    from orchestrator.reporting.monitoring import monitoring_charts  # noqa: PLC0415

    words = (
        "The champion’s predictions for newly arrived images, compared with those for held-out"
        " images."
    )
    charts = monitoring_charts(monitored(retraining))
    return [ChartGroup("Images without labels", words, charts)] if charts else []


def _history(retraining: Retraining) -> History:
    """Return the history in the registry; empty if the store does not exist. The store may be
    missing because a dry run does not create a store.
    """
    from orchestrator.pipelines.retraining.history import read_history  # noqa: PLC0415
    from orchestrator.reporting.history.facts import History  # noqa: PLC0415

    try:
        registry = open_existing_registry(retraining.experiment.tracking.uri, retraining.name)
    except UserInputError:
        return History(retraining.name)
    return read_history(registry)


def record_tick(summary: Mapping[str, Any], retraining: Retraining) -> None:
    """Record a tick's outcome and findings in the registry, for the history page. If recording
    fails, only warn, because the tick itself has ended.

    Args:
        summary: The content of the tick's summary.json; for a failed tick, only outcome, reason and
            exit code.
        retraining: The retraining.
    """
    record = TickRecord.of(summary, datetime.now(UTC)).as_text()
    try:
        registry = open_existing_registry(retraining.experiment.tracking.uri, retraining.name)
        registry.set_model_tag("student", TICK_TAG, record)
        if summary.get("candidate"):
            _record_candidate(registry, summary["candidate"]["student"], record)
    except OrchestratorError as error:
        logger.warning("this tick will be missing on the history page: %s", error)


def _record_candidate(registry: ModelRegistry, student: str, record: str) -> None:
    """Record the tick in a tag of the candidate's version. A later tick that judges the same
    candidate again does not replace this record.
    """
    facts = registry.find("student", student)
    if facts is not None and TICK_TAG not in facts.tags:
        registry.set_tags("student", student, {TICK_TAG: record})
