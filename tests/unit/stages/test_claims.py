"""Single flight: a key has one holder, is always released, and several ranks claim it as one."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from threading import Event, Lock, Thread

import pytest
import torch
from torch import distributed

from orchestrator.stages.claims import NO_CLAIMS, holding
from orchestrator.training.ranks import Ranks
from tests.waiting import PATIENCE_SECONDS

NUM_RANKS = 2


class ThreadClaims:
    """Claims among the threads of this process."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.tokens: list[str] = []
        self._lock = Lock()

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        with self._lock:
            if token not in self.tokens:
                self.tokens.append(token)
            if self.held.setdefault(key, token) == token:
                return True
        time.sleep(0.01)
        return False

    def release(self, key: str, token: str) -> None:
        with self._lock:
            if self.held.get(key) == token:
                del self.held[key]


def interrupted(claims: ThreadClaims, error: BaseException) -> None:
    with pytest.raises(type(error)), holding(claims, "key"):
        raise error


# --- one process ----------------------------------------------------------------------------------


def test_a_single_run_never_waits_not_even_for_itself() -> None:
    with holding(NO_CLAIMS, "key"), holding(NO_CLAIMS, "key"):
        pass


def test_a_key_has_one_holder_at_a_time_and_keys_are_independent() -> None:
    claims = ThreadClaims()
    has_entered, may_leave = Event(), Event()
    order: list[str] = []

    def first() -> None:
        with holding(claims, "key"):
            has_entered.set()
            may_leave.wait(PATIENCE_SECONDS)
            order.append("first")

    def second() -> None:
        with holding(claims, "key"):
            order.append("second")

    threads = [Thread(target=work) for work in (first, second)]
    threads[0].start()
    assert has_entered.wait(PATIENCE_SECONDS)
    threads[1].start()
    with holding(claims, "other key"):
        order.append("other key")
    threads[1].join(0.2)
    assert threads[1].is_alive()
    may_leave.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert order == ["other key", "first", "second"]


@pytest.mark.parametrize(
    "error",
    [ValueError(), KeyboardInterrupt(), SystemExit(0)],
    ids=lambda error: type(error).__name__,
)
def test_an_error_leaves_no_claim_behind(error: BaseException) -> None:
    claims = ThreadClaims()
    interrupted(claims, error)
    assert claims.held == {}


def test_every_claim_has_its_own_token() -> None:
    claims = ThreadClaims()
    for _ in range(3):
        interrupted(claims, ValueError())
    assert len(claims.tokens) == 3


def test_a_claim_is_released_if_its_waiter_is_interrupted() -> None:
    """The claim may have been granted unnoticed; releasing it by its token frees the key."""

    class LostAnswer(ThreadClaims):
        def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
            assert super().try_hold(key, token, patience_seconds)
            raise KeyboardInterrupt

    claims = LostAnswer()
    with pytest.raises(KeyboardInterrupt), holding(claims, "key"):
        pytest.fail("entered without an answer")
    assert claims.tokens
    assert claims.held == {}


# --- two ranks ------------------------------------------------------------------------------------


class BusyForThreeRounds(ThreadClaims):
    """Claims that another holder occupies for three rounds."""

    def try_hold(self, key: str, token: str, patience_seconds: float) -> bool:
        self.tokens.append(token)
        if len(self.tokens) > 3:
            self.held[key] = token
        return key in self.held


def be_one_of_the_ranks(index: int, folder: Path) -> None:
    rendezvous, timeout = f"file://{folder / 'rendezvous'}", timedelta(seconds=PATIENCE_SECONDS)
    distributed.init_process_group(
        "gloo", init_method=rendezvous, rank=index, world_size=NUM_RANKS, timeout=timeout
    )
    claims = BusyForThreeRounds()
    with holding(claims, "key", Ranks(index, NUM_RANKS)):
        held_inside = len(claims.held)
    torch.save(
        {"asked": len(claims.tokens), "inside": held_inside, "after": len(claims.held)},
        folder / f"{index}.pt",
    )
    distributed.destroy_process_group()


def test_only_the_first_rank_claims_and_all_ranks_enter_with_it(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, __file__, str(index), str(tmp_path)])
        for index in range(NUM_RANKS)
    ]
    try:
        assert [process.wait(PATIENCE_SECONDS) for process in processes] == [0] * NUM_RANKS
    finally:
        for process in processes:
            process.kill()
            process.wait()
    first, second = (torch.load(tmp_path / f"{index}.pt") for index in range(NUM_RANKS))
    assert first == {"asked": 4, "inside": 1, "after": 0}
    assert second == {"asked": 0, "inside": 0, "after": 0}


if __name__ == "__main__":
    be_one_of_the_ranks(int(sys.argv[1]), Path(sys.argv[2]))
