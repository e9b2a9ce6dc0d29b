"""Crafted journal entries are reported as corrupt, and never used as a path."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.config.data import ArrivedFile
from orchestrator.config.scenario import LearnedTasksConfig
from orchestrator.errors import StorageUnavailableError
from orchestrator.retraining.journal import Entry, EntryKind, Journal
from orchestrator.retraining.lineage import QuarantinedFile
from orchestrator.retraining.state import ModelPair, State
from orchestrator.retraining.storage import ObjectStorage

STATE = State(champion=ModelPair("3", "4"))
ENTRY = Entry(1, EntryKind.ACQUIRED, 1, {"orchestrator.host": "here"}, STATE, "nonce")
VALUES = json.loads(ENTRY.as_bytes())


def with_state(**changes: object) -> dict[str, Any]:
    return {**VALUES, "state": {**VALUES["state"], **changes}}


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"state": ' + "[" * 100_000,
        "null",
        "[]",
        "7",
        {},
        {**VALUES, "state": None},
        {**VALUES, "state": []},
        {**VALUES, "kind": "crowned"},
        {**VALUES, "kind": [1]},
        {**VALUES, "more": 1},
        {**VALUES, "index": "1"},
        {**VALUES, "token": "../../x"},
        {**VALUES, "token": 10**400},
        {**VALUES, "holder": None},
        {**VALUES, "holder": {"orchestrator.host": 1}},
        with_state(champion={"teacher": "../../x", "student": "4"}),
        with_state(champion={"teacher": "3", "student": "4/../5"}),
        with_state(champion={"teacher": 3, "student": 4}),
        with_state(previous=["3", "4"]),
        with_state(challenger={"teacher": "3"}),
        with_state(late_tellers=None),
        with_state(held={"pair": {"teacher": "../x", "student": "4"}}),
        with_state(held={"pair": {"teacher": "3", "student": "4"}, "is_asked": True, "reason": {}}),
        with_state(put_aside=[{"pair": None}]),
        with_state(put_aside=[[]]),
        with_state(notes=[{"pair": {"teacher": "3", "student": "4"}, "state": "crowned"}]),
        with_state(num_verdicts="many"),
        with_state(late_tellers=[{"teacher": "", "student": "4"}]),
    ],
)
def test_an_invalid_entry_is_reported_with_its_name(content: object, tmp_path: Path) -> None:
    storage = ObjectStorage(str(tmp_path))
    text = content if isinstance(content, str) else json.dumps(content)
    storage.write("journal/000000000001.json", text.encode())
    with pytest.raises(
        StorageUnavailableError, match=r"0001\.json: is not a journal entry"
    ) as error:
        Journal(storage).last()
    assert len(str(error.value).splitlines()) == 1


def test_other_files_in_the_folder_are_no_entries(tmp_path: Path) -> None:
    storage = ObjectStorage(str(tmp_path))
    storage.write("journal/000000000001.json", ENTRY.as_bytes())
    for name in ("zzz.json", "000000000009.json.swp", "99.json"):
        storage.write(f"journal/{name}", b"")
    assert Journal(storage).last() == ENTRY
    Journal(storage).write_after(ENTRY, EntryKind.RELEASED, {}, STATE, 1)


@pytest.mark.parametrize("name", ["../x.parquet", "/etc/passwd", "a/../../x", "..", "a\0"])
def test_a_lineage_names_no_file_outside_its_source(name: str) -> None:
    with pytest.raises(ValidationError, match="leads out of the folder"):
        QuarantinedFile(name=name, sha256="a" * 64, reason="")
    with pytest.raises(ValidationError, match="leads out of the folder"):
        ArrivedFile(name=name, sha256="a" * 64, delivery=1)


@pytest.mark.parametrize("key", ["../x", "", "a/b", ".", "a" * 200])
def test_a_learned_stages_key_is_never_a_path(key: str) -> None:
    with pytest.raises(ValidationError, match="student"):
        LearnedTasksConfig(
            num_tasks=1,
            teacher="a" * 64,
            student=key,
            teacher_accuracies=((1.0,),),
            student_accuracies=((1.0,),),
        )
