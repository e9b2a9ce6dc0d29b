"""Frozen format: the journal of version 0.1 is read and written unchanged."""

import math
from pathlib import Path

import pytest

from orchestrator.tracking.outbox.entries import (
    Begin,
    Datasets,
    End,
    Entry,
    File,
    Model,
    Parameters,
    Points,
    Resume,
    Tags,
    Views,
    entry_from_json,
)
from orchestrator.tracking.tracker import DatasetUse, RunStatus
from orchestrator.tracking.views.view import View

KEPT = Path(__file__).parents[3] / "data" / "spool_0_1"
LINES = (KEPT / "journal.jsonl").read_text(encoding="utf-8").splitlines()
RUN = "0123456789abcdef0123456789abcdef"
DIGITS = DatasetUse(
    name="digits-train",
    digest="ab12",
    source_type="code",
    source='{"tags": {}}',
    schema="{}",
    profile='{"num_images": 3}',
    context="training",
)
VALUES = [
    ("teacher/accuracy", 0.1 + 0.2, 1),
    ("loss", math.nan, 2),
    ("loss", math.inf, 3),
    ("loss", -math.inf, 4),
]
ENTRIES: list[Entry] = [
    Begin(
        run=RUN,
        tags={"mlflow.runName": "a run", "orchestrator.seed": "7"},
        started_ms=1764000000000,
    ),
    Parameters(run=RUN, values={"seed": "7"}),
    Points(run=RUN, time_ms=1764000000500, values=VALUES),
    Tags(run=RUN, values={"note": "two\nlines ✓"}),
    File(run=RUN, path=Path("SPOOL/files/1/summary.json"), artifact_folder=""),
    Model(
        run=RUN,
        folder=Path("SPOOL/files/2/student"),
        name="student",
        registered_name="digits-student",
    ),
    Datasets(run=RUN, uses=[DIGITS]),
    Views(
        run=RUN,
        views=[View(id="a-view", name="A view", state={"charts": [1, None, True, {"x": 0.5}]})],
    ),
    Resume(run=RUN, tags={"mlflow.runName": "the run"}),
    End(
        run=RUN,
        process="boot:1:2",
        status=RunStatus.KILLED,
        reason="interrupted",
        ended_ms=1764000001000,
    ),
]
PAIRS = [
    pytest.param(line, entry, id=entry.kind) for line, entry in zip(LINES, ENTRIES, strict=True)
]


@pytest.mark.parametrize(("line", "entry"), PAIRS)
def test_a_line_of_version_0_1_is_read_as_its_entry(line: str, entry: Entry) -> None:
    # compared as text, because one NaN does not equal another
    assert repr(entry_from_json(line.encode())) == repr(entry)


@pytest.mark.parametrize(("line", "entry"), PAIRS)
def test_an_entry_is_written_in_the_format_of_version_0_1(line: str, entry: Entry) -> None:
    assert entry.model_dump_json() == line


def test_every_kind_of_entry_existed_in_version_0_1() -> None:
    assert {type(entry) for entry in ENTRIES} == set(Entry.__args__)


def test_an_end_without_a_process_applies_to_any_process() -> None:
    line = f'{{"run":"{RUN}","kind":"end","status":"FINISHED","reason":"","ended_ms":1}}'
    assert entry_from_json(line.encode()) == End(
        run=RUN, process="", status=RunStatus.FINISHED, reason="", ended_ms=1
    )
