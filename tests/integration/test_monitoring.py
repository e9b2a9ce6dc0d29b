"""Ticks without training measure unlabelled images; findings are reported, and measurements are
stored.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.datasets import load_digits
from torch.nn.modules.module import register_module_forward_pre_hook

from orchestrator.config import Experiment
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.retraining.changes import FindingKind
from orchestrator.tracking import names
from tests.integration.test_retraining import House
from tests.unlabeled import write_unlabeled

KNOWN, UNSEEN = (0, 1, 2, 3), (6, 7, 8)


class WatchedHouse(House):
    """A retraining with a champion of four digits, and a camera folder."""

    def __init__(self, folder: Path, experiment: Experiment, uri: str) -> None:
        super().__init__(folder, experiment, uri)
        self.camera = folder / "camera"
        self.camera.mkdir()
        self.experiment["method"] = {"kind": "analytic"}
        self.experiment["student"]["backbone"] = {"kind": "small_cnn_tiny"}
        self.deliver("first", *KNOWN, part=slice(100))

    def watch(self, dry_run: bool = False) -> RetrainingOutcome:
        """Run a tick."""
        source = {"unlabeled": {"path": str(self.camera)}, "held_out_fraction": 0.3}
        # agreement would fall on unseen classes, too: one finding is enough here
        monitoring = {"min_images": 30, "max_class_distance": None, "max_agreement_drop": None}
        return self.tick(dry_run=dry_run, source=source, monitoring=monitoring)

    def take_pictures(self, name: str, *digits: int) -> None:
        """Deliver images of digits without their labels."""
        data = load_digits()
        rows = [row for digit in digits for row in np.flatnonzero(data.target == digit)[120:160]]
        images = [np.rint(data.images[row] * (255 / 16)).astype(np.uint8)[None] for row in rows]
        write_unlabeled(self.camera / f"{name}.parquet", images)

    def remembered(self) -> dict[str, Any]:
        """Return the record next to the journal; empty if there is none."""
        files = [*(self.folder / "store" / "retraining").rglob("monitoring/record.json")]
        return json.loads(files[0].read_text()) if files else {}

    def logged(self) -> dict[str, list[tuple[int, float]]]:
        """Return the histories of the one monitoring run."""
        client = MlflowClient(self.uri, self.uri)
        [experiment] = [it for it in client.search_experiments() if it.name == "house"]
        runs = client.search_runs([experiment.experiment_id])
        [run] = [run for run in runs if names.MONITORING_TAG in run.data.tags]
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "house monitoring"
        return {
            name: [
                (point.step, point.value)
                for point in client.get_metric_history(run.info.run_id, name)
            ]
            for name in run.data.metrics
        }


@pytest.fixture
def watched(
    tmp_path: Path, tiny_experiment: Experiment, new_database: Callable[[Path], str]
) -> WatchedHouse:
    house = WatchedHouse(tmp_path, tiny_experiment, new_database(tmp_path))
    assert house.watch().outcome == "promoted"
    return house


def kinds(outcome: RetrainingOutcome) -> list[str]:
    return [finding.kind.value for finding in outcome.findings]


def test_a_tick_without_new_classes_reports_on_images_without_labels(watched: WatchedHouse) -> None:
    assert watched.remembered() == {}
    watched.take_pictures("known", *KNOWN)
    quiet = watched.watch()
    assert (quiet.outcome, quiet.reason, kinds(quiet)) == (
        "nothing_to_do",
        "1 file, nothing new",
        [],
    )
    watched.take_pictures("unseen", *UNSEEN)
    before = watched.remembered()
    assert [look["number"] for look in before["looks"]] == [1]
    dry = watched.watch(dry_run=True)
    assert kinds(dry) == [FindingKind.FAR_IMAGES.value]
    assert watched.remembered() == before, "a dry run stores nothing"
    told = watched.watch()
    assert told.outcome == "nothing_to_do"
    assert "120 new images without labels are far from every class" in told.reason
    summary = json.loads((watched.folder / "out" / "summary.json").read_text())
    assert [(it["kind"], it["reaction"]) for it in summary["findings"]] == [("far_images", "warn")]
    after = watched.remembered()
    assert [look["number"] for look in after["looks"]] == [1, 2]
    handle = register_module_forward_pre_hook(lambda *_: pytest.fail("a network was used"))
    again = watched.watch()
    handle.remove()
    assert again.findings == told.findings, "it stands until something else is seen"
    assert watched.remembered() == after
    logged = watched.logged()
    assert logged.keys() == {*names.MONITORING_METRICS}
    assert logged[names.MONITORING_IMAGES] == [(1, 160), (2, 120)]
    assert [value for _, value in logged[names.MONITORING_FINDINGS]] == [0, 1]
    watched.deliver("second", *UNSEEN)
    learned = watched.watch()
    assert learned.outcome == "promoted"
    assert learned.report is not None
    assert "Images without labels: far from every class" in learned.report.read_text()
    assert kinds(watched.watch()) == [], "the champion knows these classes now"


def test_a_tick_completes_whatever_monitoring_meets(watched: WatchedHouse) -> None:
    watched.take_pictures("known", *KNOWN)
    (watched.camera / "torn.parquet").write_bytes(b"PAR1")
    assert watched.watch().outcome == "nothing_to_do"
    [record] = (watched.folder / "store" / "retraining").rglob("monitoring/record.json")
    record.write_text("{")
    torn = watched.watch()
    assert (torn.outcome, kinds(torn)) == ("nothing_to_do", ["not_monitored"])
    assert "torn.parquet: is not a readable Parquet file" in torn.reason
    assert [look["number"] for look in watched.remembered()["looks"]] == [1]
    record.unlink()
    record.parent.rmdir()
    record.parent.touch()
    away = watched.watch()
    assert (away.outcome, kinds(away)) == ("nothing_to_do", ["not_monitored"])
    assert "images without labels were not measured" in away.reason
    watched.deliver("second", *UNSEEN)
    assert watched.watch().outcome == "promoted"
