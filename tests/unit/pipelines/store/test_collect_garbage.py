"""Garbage collection over several stores and experiments."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from orchestrator.config import Experiment, with_values
from orchestrator.errors import StorageUnavailableError, UserInputError
from orchestrator.models.artifact import Artifact
from orchestrator.pipelines.store.collect_garbage import Amount, collect_garbage
from orchestrator.pipelines.store.needed_keys import keys_needed_by
from orchestrator.stages import StageRunner, StageStore, prepare_work
from orchestrator.stages.graph import evaluation_key
from orchestrator.stages.label_beliefs import beliefs_key
from orchestrator.stages.retention import Kind

FOREIGN = "f" * 64


def _in_store(experiment: Experiment, folder: Path, seed: int = 0) -> Experiment:
    return Experiment.model_validate(
        {**experiment.model_dump(), "store": {"uri": str(folder)}, "seed": seed}
    )


def _fill(folder: Path, *keys: str) -> StageStore:
    """Fill a store with stages unused since 1970."""
    store = StageStore(str(folder))
    for key in keys:
        store.save(key, Artifact({}, {}))
        os.utime(folder / key / "manifest.json", (0, 0))
    return store


def test_an_experiment_needs_its_stages_and_their_derived_artifacts(
    tiny_experiment: Experiment,
) -> None:
    work = prepare_work(tiny_experiment)
    keys = keys_needed_by(tiny_experiment)
    assert len(keys) == len(set(keys)) == 3 * 2 * 2 + 2
    assert set(keys) == {
        *(stage.key for stage in work.stages),
        *(evaluation_key(stage, work.scenario) for stage in work.stages),
        *(beliefs_key(stage, work.scenario) for stage in work.stages[-2:]),
    }


def test_all_artifacts_of_a_run_with_a_pre_trained_extractor_are_kept_for_its_experiment(
    pretrained_experiment: Experiment,
) -> None:
    work = replace(prepare_work(pretrained_experiment), judges_labels=True)
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    for stage in work.stages:
        runner.obtain(stage)
    store = Path(pretrained_experiment.store.uri)
    stored = {path.parent.name for path in store.glob("*/manifest.json")}
    num_tables = 3 * 4  # training, validation and test images of four classes
    assert len(stored) == 2 * 2 * 2 + 2 + num_tables  # stages, evaluations; last beliefs
    for path in store.glob("*/manifest.json"):
        os.utime(path, (0, 0))
    collect_garbage([], [pretrained_experiment], 30, dry_run=False)
    assert {path.parent.name for path in store.glob("*/manifest.json")} == stored


def test_artifacts_shared_by_a_named_experiments_stages_are_kept(
    pretrained_experiment: Experiment,
) -> None:
    taught = {
        "teacher.backbone.features": {"kind": "stages"},
        "student.backbone": {"kind": "inherited", "until": "stage2"},
        "student.teaching": {"training": {"epochs": 1}, "num_views": 2, "max_images": 8},
    }
    experiment = with_values(pretrained_experiment, taught)
    work = prepare_work(experiment)
    runner = StageRunner(work, torch.device("cpu"), lambda _: None)
    for stage in work.stages:
        runner.obtain(stage)
    store = Path(experiment.store.uri)
    stored = {path.parent.name for path in store.glob("*/manifest.json")}
    shared = stored - set(keys_needed_by(experiment))
    assert len(shared) > 2  # the teacher's answers to views, the taught layers, their features
    for path in store.glob("*/manifest.json"):
        os.utime(path, (0, 0))
    collect_garbage([], [experiment], 30, dry_run=False)
    assert {path.parent.name for path in store.glob("*/manifest.json")} == stored


def test_every_store_is_cleaned_once_and_keeps_what_any_experiment_needs(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    one, two = (
        _in_store(tiny_experiment, tmp_path / "one"),
        _in_store(tiny_experiment, tmp_path / "two", seed=1),
    )
    needed = [keys_needed_by(one)[0], keys_needed_by(two)[0]]
    for folder in ("one", "two"):
        _fill(tmp_path / folder, *needed, FOREIGN)
    reports = collect_garbage([], [one, two, one], 30, dry_run=False)
    assert [report.uri for report in reports] == [str(tmp_path / "one"), str(tmp_path / "two")]
    for folder in ("one", "two"):
        assert {path.name for path in (tmp_path / folder).iterdir()} == set(needed)


def test_only_an_explicitly_named_store_is_cleaned(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    experiment = _in_store(tiny_experiment, tmp_path / "its own")
    for folder in ("its own", "named"):
        _fill(tmp_path / folder, FOREIGN)
    collect_garbage([str(tmp_path / "named")], [experiment], 30, dry_run=False)
    assert (tmp_path / "its own" / FOREIGN).exists()
    assert not (tmp_path / "named" / FOREIGN).exists()


def test_a_report_counts_parts_and_bytes_by_kind(tmp_path: Path) -> None:
    store = _fill(tmp_path / "store", "a" * 64, "b" * 64, FOREIGN)
    os.utime(store.path(FOREIGN, "manifest.json"))
    size = sum(file.stat().st_size for file in (tmp_path / "store" / FOREIGN).iterdir())
    [report] = collect_garbage([store.uri], [], 30, dry_run=True)
    assert (report.removed(Kind.STAGES), report.left(Kind.STAGES)) == (
        Amount(2, 2 * size),
        Amount(1, size),
    )
    assert report.removed(Kind.RAY) == report.left(Kind.CHECKPOINTS) == Amount(0, 0)


def test_a_missing_store_is_reported_as_missing(tmp_path: Path) -> None:
    [report] = collect_garbage([str(tmp_path / "none")], [], 30, dry_run=False)
    assert report.parts is None
    assert report.removed(Kind.STAGES) == Amount(0, 0)


def test_all_addresses_and_experiments_are_checked_before_anything_is_removed(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    _fill(tmp_path / "store", FOREIGN)
    with pytest.raises(UserInputError, match="foo://bar"):
        collect_garbage([str(tmp_path / "store"), "foo://bar"], [], 30, dry_run=False)
    lost = Experiment.model_validate(
        {**tiny_experiment.model_dump(), "scenario": {"class_order": [0, 1, 2, 33]}}
    )
    with pytest.raises(UserInputError, match="no label 33"):
        collect_garbage([str(tmp_path / "store")], [lost], 30, dry_run=False)
    assert (tmp_path / "store" / FOREIGN).exists()


def test_a_part_that_cannot_be_removed_is_a_retryable_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path / "store", FOREIGN)

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "not yours")

    monkeypatch.setattr("orchestrator.stages.retention._remove", refuse)
    with pytest.raises(StorageUnavailableError, match="not yours") as raised:
        collect_garbage([str(tmp_path / "store")], [], 30, dry_run=False)
    assert raised.value.exit_code == 3
