"""Folders in which no files arrive."""

from itertools import pairwise
from pathlib import Path

import pytest

from orchestrator.config import Retraining
from orchestrator.config.monitoring import MonitoringConfig
from orchestrator.data.growing_folder import SourceFile
from orchestrator.retraining.changes import FindingKind
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.monitoring.silence import rhythm_of, silence_of, silent_folders
from orchestrator.retraining.scan import Scan, scan

HOUR, DAY = 3600.0, 86400.0
DAILY = [DAY * day for day in range(6)]
CONFIG = MonitoringConfig()


def is_silent(times: list[float], now: float, config: MonitoringConfig = CONFIG) -> bool:
    return silence_of(times, "source.path", config, now) is not None


def test_a_daily_folder_is_silent_after_three_days() -> None:
    assert not is_silent(DAILY, now=(5 + 3) * DAY)
    found = silence_of(DAILY, "source.path", CONFIG, now=(5 + 3.5) * DAY)
    assert found is not None
    assert (found.kind, found.reaction) == (FindingKind.SILENT_FOLDER, "warn")
    assert "nothing has arrived in source.path for 3.5 days" in found.message
    assert "usual gaps last up to 1.0 days" in found.message


def test_fewer_than_five_arrivals_are_not_enough_to_judge() -> None:
    assert not is_silent(DAILY[:4], now=1000 * DAY)
    assert is_silent(DAILY[:5], now=1000 * DAY)
    assert not is_silent([], now=DAY)


def test_files_that_come_together_count_as_one_arrival() -> None:
    batches = [time + second for time in DAILY for second in range(10)]
    assert rhythm_of(batches, 900).num_arrivals == len(DAILY)
    assert rhythm_of(batches, 900).usual_seconds == DAY - 9
    at_once = [10.0 * number for number in range(100)]
    assert not is_silent(at_once, now=1000 * DAY), "somebody has moved an archive here"


def test_weekends_without_arrivals_are_usual() -> None:
    workdays = [DAY * day for day in range(28) if day % 7 < 5]
    gaps = [later - earlier for earlier, later in pairwise(workdays)]
    assert (max(gaps), sorted(gaps)[len(gaps) // 2]) == (3 * DAY, DAY)
    assert rhythm_of(workdays, 900).usual_seconds == 3 * DAY


def test_one_long_pause_does_not_become_usual() -> None:
    times = [*DAILY, *(DAY * day for day in range(12, 40))]
    assert rhythm_of(times, 900).usual_seconds == DAY


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (MonitoringConfig(), True),
        (MonitoringConfig(silence_factor=20), False),
        (MonitoringConfig(silence_factor=None), False),
        (MonitoringConfig(min_silence_seconds=11 * DAY), False),
    ],
)
def test_the_length_of_silence_is_configurable(config: MonitoringConfig, expected: bool) -> None:
    assert is_silent(DAILY, now=(5 + 10) * DAY, config=config) == expected


def test_both_folders_are_watched_with_present_and_past_files(tmp_path: Path) -> None:
    values = {"path": str(tmp_path), "unlabeled": {"path": f"{tmp_path}-camera"}}
    retraining = Retraining.model_validate({"experiment": {}, "source": values})
    file = {"sha256": 64 * "0", "num_bytes": 1}
    lineage = Lineage.model_validate(
        {
            "files": [
                {**file, "name": str(at), "modified": at, "delivery": 1, "num_images": {}}
                for at in DAILY[:3]
            ],
            "unlabeled": [{**file, "name": str(at), "modified": at} for at in DAILY[:3]],
        }
    )
    there = [SourceFile(str(at), 1, at) for at in DAILY[3:]]
    found = Scan(modified=DAILY[3:])
    now = (5 + 10) * DAY
    messages = [
        finding.message for finding in silent_folders(retraining, found, lineage, there, now)
    ]
    assert [message.split()[4] for message in messages] == [
        "source.path",
        "source.unlabeled.path",
    ]
    assert not silent_folders(retraining, found, Lineage(), there, now), "three arrivals each"


def test_a_scan_records_when_every_file_was_written(tmp_path: Path) -> None:
    """Including files that may still be growing: they count as arrivals."""
    (tmp_path / "new.parquet").write_bytes(b"PAR")
    retraining = Retraining.model_validate({"experiment": {}, "source": {"path": str(tmp_path)}})
    found = scan(retraining.source, Lineage(), [])
    assert [*found.unsettled] == ["new.parquet"]
    assert [*found.modified] == pytest.approx([(tmp_path / "new.parquet").stat().st_mtime])
