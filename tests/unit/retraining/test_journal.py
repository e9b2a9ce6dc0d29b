"""The journal and its lease, in a real folder and in a bucket of a simulated S3."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.address import Address
from orchestrator.config.addresses import below
from orchestrator.config.retraining import LeaseConfig
from orchestrator.errors import LeaseLostError, LockedError, StorageUnavailableError, UserInputError
from orchestrator.retraining.journal import Entry, EntryKind, Journal
from orchestrator.retraining.lease import Heartbeat, Lease, this_holder
from orchestrator.retraining.state import Held, ModelPair, Note, PutAside, State, Tried
from orchestrator.retraining.storage import ObjectStorage, _s3_keys
from orchestrator.retraining.version_states import VersionState
from orchestrator.stages import StageStore
from tests.object_storage import simulated_s3
from tests.waiting import PATIENCE_SECONDS, wait_until

CONFIG = LeaseConfig(heartbeat_seconds=0.05, expires_seconds=0.3)
# A lease that no slow machine lets expire: times in S3 have a resolution of one second.
PATIENT = LeaseConfig(expires_seconds=PATIENCE_SECONDS)
ELSEWHERE = {"orchestrator.host": "elsewhere", "orchestrator.process": "1"}
PAIR = ModelPair("3", "4")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with simulated_s3() as uri:
        yield uri


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStorage:
    if request.param == "folder":
        return ObjectStorage(str(tmp_path / "journal of a house"))
    return ObjectStorage(below(request.getfixturevalue("bucket"), tmp_path.name))


@pytest.fixture
def journal(storage: ObjectStorage) -> Journal:
    return Journal(storage)


def test_a_file_is_created_once(storage: ObjectStorage) -> None:
    assert storage.create("journal/1", b"one")
    assert not storage.create("journal/1", b"two")
    assert storage.create("journal/1", b"one"), "who asks again after a lost answer has created it"
    assert storage.read("journal/1") == b"one"
    storage.write("journal/2", b"")
    assert storage.names("journal") == ["journal/1", "journal/2"]
    assert storage.names("nothing") == []
    storage.remove("journal/1")
    storage.remove("journal/1")
    assert storage.read("journal/1") is None
    assert storage.age_seconds("journal/1") is None


def test_of_many_concurrent_creations_of_a_file_one_succeeds(storage: ObjectStorage) -> None:
    barrier = threading.Barrier(8)

    def create(number: int) -> bool:
        barrier.wait()
        return storage.create("journal/1", str(number).encode())

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(create, range(8))) == 1


def test_a_written_entry_is_read_back(journal: Journal) -> None:
    state = State(
        PAIR,
        ModelPair("1", "2"),
        ModelPair("5", "6"),
        is_settled=False,
        late_tellers=(PAIR,),
        held=Held(ModelPair("5", "6"), is_asked=True, reason="few", judged_files=("abc",)),
        put_aside=(PutAside(ModelPair("4", "5"), ("d", "e")),),
        tried=Tried(ModelPair("2", "3"), 1.5, ("f",), num_retries=1, settings="g"),
        num_verdicts=3,
        notes=(Note(PAIR, VersionState.CHAMPION, "good", "person@here"),),
    )
    first = journal.write_after(None, EntryKind.ACQUIRED, this_holder(), State())
    second = journal.write_after(first, EntryKind.PROMOTED, this_holder(), state, first.token)
    assert journal.last() == second
    assert Entry.from_bytes(second.as_bytes()) == second
    assert (second.index, second.token) == (2, 1)


@pytest.mark.parametrize("challenger", [None, {"teacher": "5", "student": "6"}])
def test_a_journal_from_before_candidates_were_held_is_readable(
    journal: Journal, challenger: dict[str, str] | None
) -> None:
    """The version with the alias challenger was rejected or rolled back: its files are skipped."""
    state = {
        "champion": {"teacher": "3", "student": "4"},
        "previous": None,
        "challenger": challenger,
        "is_settled": True,
        "late_tellers": [{"teacher": "1", "student": "2"}],
    }
    entry = {"index": 7, "kind": "released", "token": 5, "holder": {}, "state": state, "nonce": "x"}
    journal.storage.write("journal/000000000007.json", json.dumps(entry).encode())
    last = journal.last()
    assert last is not None
    rejected = ModelPair("5", "6") if challenger else None
    assert last.state == State(
        PAIR,
        None,
        rejected,
        late_tellers=(ModelPair("1", "2"),),
        put_aside=(PutAside(rejected),) if rejected else (),
    )
    lease = Lease.acquire(journal, CONFIG, this_holder())
    assert lease.state == last.state


def test_a_writer_that_missed_the_last_entry_writes_nothing(journal: Journal) -> None:
    first = journal.write_after(None, EntryKind.ACQUIRED, this_holder(), State())
    second = journal.write_after(first, EntryKind.RELEASED, this_holder(), State(), first.token)
    with pytest.raises(LeaseLostError, match="entry 2"):
        journal.write_after(first, EntryKind.PROMOTED, this_holder(), State(PAIR), first.token)
    assert journal.last() == second


def test_a_pruned_entry_number_is_not_reused(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.retraining.journal._KEPT_ENTRIES", 5)
    last = first = journal.write_after(None, EntryKind.ACQUIRED, this_holder(), State())
    for _ in range(15):
        last = journal.write_after(last, EntryKind.RELEASED, this_holder(), State(), first.token)
    journal.prune(last)
    assert len(journal.storage.names("journal")) == 6
    with pytest.raises(LeaseLostError):
        journal.write_after(first, EntryKind.PROMOTED, this_holder(), State(PAIR), first.token)
    assert journal.last() == last


def test_a_second_holder_is_locked_out_until_the_first_is_done(journal: Journal) -> None:
    lease = Lease.acquire(journal, PATIENT, this_holder())
    with pytest.raises(LockedError, match="another retraining is running: process"):
        Lease.acquire(journal, PATIENT, this_holder())
    lease.write(EntryKind.PROMOTED, State(PAIR))
    lease.release()
    following = Lease.acquire(journal, PATIENT, this_holder())
    assert following.state == State(PAIR)
    assert following.token > lease.token


def test_a_holder_without_heartbeats_is_replaced_and_loses_its_rights(
    journal: Journal,
) -> None:
    sleeping = Lease.acquire(journal, CONFIG, ELSEWHERE)
    with pytest.raises(LockedError):
        Lease.acquire(journal, PATIENT, this_holder())
    # a store's times may have a resolution of one second
    wait_until(lambda: is_older(journal, heartbeat_of(journal), CONFIG.expires_seconds))
    other = Lease.acquire(journal, CONFIG, this_holder())
    sleeping.beat()
    with pytest.raises(LeaseLostError):
        sleeping.write(EntryKind.PROMOTED, State(PAIR))
    with pytest.raises(LeaseLostError):
        sleeping.check()
    sleeping.release()
    other.check()
    other.release()


def heartbeat_of(journal: Journal) -> str:
    last = journal.last()
    assert last is not None
    return last.heartbeat


def is_older(journal: Journal, name: str, seconds: float) -> bool:
    age = journal.storage.age_seconds(name)
    assert age is not None
    return age > seconds


def test_heartbeats_keep_a_lease_older_than_its_expiry(tmp_path: Path) -> None:
    journal = Journal(ObjectStorage(str(tmp_path)))
    lease = Lease.acquire(journal, CONFIG, ELSEWHERE)
    for file in (*tmp_path.glob("journal/*"), *tmp_path.glob("heartbeats/*")):
        os.utime(file, (time.time() - 2 * PATIENCE_SECONDS,) * 2)
    with Heartbeat(lease, CONFIG.heartbeat_seconds):
        wait_until(lambda: not is_older(journal, heartbeat_of(journal), PATIENCE_SECONDS))
    with pytest.raises(LockedError):
        Lease.acquire(journal, PATIENT, this_holder())


def test_a_holder_whose_process_has_ended_is_replaced_at_once(journal: Journal) -> None:
    code = (
        "import json; from orchestrator.retraining.lease import this_holder;"
        " print(json.dumps(this_holder()))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    Lease.acquire(journal, CONFIG, json.loads(answer.stdout))
    Lease.acquire(journal, LeaseConfig(), this_holder()).release()


def test_an_invalid_entry_is_reported_as_such(journal: Journal) -> None:
    journal.storage.write("journal/000000000001.json", b"{")
    with pytest.raises(StorageUnavailableError, match="is not a journal entry"):
        journal.last()


@pytest.mark.parametrize("place", ["address", "profile"])
def test_a_journal_finds_its_credentials_where_the_stage_store_does(
    bucket: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    uri = below(bucket, place)
    if place == "address":
        uri = uri.replace("://", "://AKEY:se%2Fcret@")
    else:
        profiles = tmp_path / "credentials"
        profiles.write_text(
            "[default]\naws_access_key_id = no\n"
            "[team]\naws_access_key_id = AKEY\naws_secret_access_key = se/cret\n"
        )
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profiles))
        monkeypatch.setenv("AWS_PROFILE", "team")
    StageStore(uri).check_writable()
    storage = ObjectStorage(uri)
    assert storage.create("journal/1", b"one")
    assert storage.names("journal") == ["journal/1"]
    keys = _s3_keys(Address(uri))
    assert keys == {"access_key_id": "AKEY", "secret_access_key": "se/cret"}


def test_an_unreachable_journal_shows_no_credentials() -> None:
    uri = "s3://AKEY:se%2Fcret@bucket/s?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    with pytest.raises(StorageUnavailableError) as away:
        Journal(ObjectStorage(uri)).last()
    said = str(away.value)
    assert "s3://***@bucket/s?endpoint_override=127.0.0.1:9" in said
    assert "AWS_ACCESS_KEY_ID" in said, "where keys belong"
    assert not [secret for secret in ("AKEY", "se%2Fcret", "se/cret") if secret in said]


def test_an_address_that_does_not_exist_is_a_user_error() -> None:
    with pytest.raises(UserInputError, match=r"lease\.uri"):
        ObjectStorage("gopher://burrow")


def test_a_folder_that_cannot_be_made_is_a_retryable_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailableError):
        ObjectStorage(str(tmp_path / "file" / "journal")).write("journal/1", b"")


def test_states_are_compared_by_value() -> None:
    assert replace(State(PAIR), is_settled=False) != State(PAIR)


class _Ahead:
    """Storage whose files have times in the future, as a wrong clock writes them."""

    def __init__(self, storage: ObjectStorage, seconds: float) -> None:
        self._storage = storage
        self._seconds = seconds

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)

    def age_seconds(self, name: str) -> float | None:
        """Return a negative age."""
        age = self._storage.age_seconds(name)
        return None if age is None else age - self._seconds


def test_a_heartbeat_far_in_the_future_does_not_extend_the_lease_that_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = ObjectStorage(str(tmp_path))
    Lease.acquire(Journal(storage), PATIENT, ELSEWHERE)
    with pytest.raises(LockedError, match=r"last heartbeat 0 s ago$"):
        Lease.acquire(Journal(_Ahead(storage, PATIENCE_SECONDS)), PATIENT, this_holder())  # type: ignore[arg-type]
    Lease.acquire(Journal(_Ahead(storage, 86400)), PATIENT, this_holder())  # type: ignore[arg-type]
    assert "s ahead of the storage's clock" in caplog.text
