"""Two retrainings at once, in every order that hypothesis thinks of, killed and put to sleep
wherever it likes.

A simulation: storage and registry are in memory, and learning is a set union; journal, lease and
promotion are the real ones. Every call to storage or registry is one step; between two steps of one
process the other may do anything, and time may pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config.retraining import LeaseConfig
from orchestrator.errors import LeaseLostError, LockedError, UserInputError
from orchestrator.retraining.journal import Entry, EntryKind, Journal, ModelPair
from orchestrator.retraining.lease import Lease, this_holder
from orchestrator.retraining.promotion import (
    CHAMPION,
    VersionState,
    promote,
    reject,
    roll_back,
    settle,
)

LEASE = LeaseConfig(expires_seconds=60)


class Killed(BaseException):
    """kill -9: nothing of the process runs any more."""


@dataclass
class World:
    """What survives processes: files, aliases, versions, the clock, and the classes that have
    arrived.
    """

    now: float = 0.0
    files: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    aliases: dict[str, ModelPair] = field(default_factory=dict)
    classes_of: dict[ModelPair, frozenset[int]] = field(default_factory=dict)
    predecessor: dict[ModelPair, ModelPair | None] = field(default_factory=dict)
    arrived: frozenset[int] = frozenset()
    gate_is_open: bool = True
    is_moved_by_hand: bool = False
    tokens: list[int] = field(default_factory=list)
    promotions: list[ModelPair] = field(default_factory=list)

    def watch(self, entry: Entry) -> None:
        """Every entry is one of the holder that came last."""
        if entry.kind == EntryKind.ACQUIRED:
            self.tokens.append(entry.token)
        assert entry.token == self.tokens[-1], "a stale holder has written"
        assert entry.kind != EntryKind.ADOPTED or self.is_moved_by_hand, (
            "nobody moves aliases by hand here: a stale holder has"
        )
        if entry.kind == EntryKind.PROMOTED:
            assert entry.state.champion is not None
            self.promotions.append(entry.state.champion)

    def happen(self, event: str) -> None:
        """What no process does."""
        if event == "time":
            self.now += 61
        elif event == "arrival":
            self.arrived |= {len(self.arrived)}
        else:
            self.gate_is_open = not self.gate_is_open


class Process:
    """Runs a function step by step, when it is told to."""

    def __init__(self, work: Callable[[Process], None]) -> None:
        self._turn, self._parked = threading.Semaphore(0), threading.Semaphore(0)
        self.is_dead = self.has_ended = False
        self.is_about_to = ""
        self.error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._parked.acquire()

    def _run(self) -> None:
        try:
            self.step()
            self._work(self)
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - it is looked at in the main thread
            self.error = error
        self.has_ended = True
        self._parked.release()

    def step(self) -> None:
        """Called by the process before everything that others can see."""
        self._parked.release()
        self._turn.acquire()
        if self.is_dead:
            raise Killed

    def go_on(self) -> None:
        """Called by the scheduler: one step."""
        if not self.has_ended:
            self._turn.release()
            self._parked.acquire()

    def kill(self) -> None:
        """No further step has any effect."""
        self.is_dead = True
        while not self.has_ended:
            self.go_on()

    def finish(self) -> None:
        while not self.has_ended:
            self.go_on()
        if self.error is not None:
            raise self.error


class MemoryStorage:
    def __init__(self, world: World, process: Process) -> None:
        self._world, self._process = world, process

    def create(self, name: str, content: bytes) -> bool:
        self._process.step()
        if name in self._world.files:
            return False
        if name.startswith("journal/"):
            self._world.watch(Entry.from_bytes(content))
        self._world.files[name] = (content, self._world.now)
        return True

    def write(self, name: str, content: bytes) -> None:
        assert not name.startswith("journal/"), "an entry is written once"
        self._process.step()
        self._world.files[name] = (content, self._world.now)

    def read(self, name: str) -> bytes | None:
        self._process.step()
        found = self._world.files.get(name)
        return found[0] if found else None

    def names(self, prefix: str) -> list[str]:
        self._process.step()
        return sorted(name for name in self._world.files if name.startswith(f"{prefix}/"))

    def age_seconds(self, name: str) -> float | None:
        self._process.step()
        found = self._world.files.get(name)
        return self._world.now - found[1] if found else None

    def remove(self, name: str) -> None:
        self._process.step()
        self._world.files.pop(name, None)


class MemoryRegistry:
    def __init__(self, world: World, process: Process) -> None:
        self._world, self._process = world, process

    def holder_of(self, alias: str) -> ModelPair | None:
        self._process.step()
        return self._world.aliases.get(alias)

    def give(self, alias: str, pair: ModelPair | None) -> None:
        self._process.is_about_to = f"give {alias}"
        self._process.step()
        if pair is None:
            self._world.aliases.pop(alias, None)
        else:
            self._world.aliases[alias] = pair

    def note(self, pair: ModelPair, state: VersionState, reason: str) -> None:
        self._process.step()

    def predecessor_of(self, pair: ModelPair) -> ModelPair | None:
        self._process.step()
        return self._world.predecessor[pair]

    def has(self, pair: ModelPair) -> bool:
        self._process.step()
        return pair in self._world.classes_of

    def register(self, classes: frozenset[int], predecessor: ModelPair | None) -> ModelPair:
        self._process.step()
        number = str(len(self._world.classes_of) + 1)
        pair = ModelPair(number, number)
        self._world.classes_of[pair], self._world.predecessor[pair] = classes, predecessor
        return pair


def tick(world: World) -> Callable[[Process], None]:
    """The order of `pipelines/retrain.py`."""

    def work(process: Process) -> None:
        journal, registry = Journal(MemoryStorage(world, process)), MemoryRegistry(world, process)
        try:
            lease = Lease.acquire(journal, LEASE, this_holder())
        except LockedError:
            return
        try:
            settle(lease, registry)
            champion = lease.state.champion
            known = world.classes_of[champion] if champion else frozenset()
            if world.arrived - known:
                candidate = registry.register(world.arrived | known, champion)
                lease.check()
                (promote if world.gate_is_open else reject)(
                    lease, registry, candidate, "by the gate"
                )
            if lease.state.late_tellers:
                settle(lease, registry)
        except LeaseLostError:
            pass
        finally:
            lease.release()

    return work


def rolling_back(world: World) -> Callable[[Process], None]:
    def work(process: Process) -> None:
        journal, registry = Journal(MemoryStorage(world, process)), MemoryRegistry(world, process)
        try:
            lease = Lease.acquire(journal, LEASE, this_holder())
        except LockedError:
            return
        try:
            settle(lease, registry)
            roll_back(lease, registry, "worse")
        except (LeaseLostError, UserInputError):
            pass
        finally:
            lease.release()

    return work


EVENTS = ("kill A", "kill B", "time", "time", "arrival", "gate")
BURSTS = st.tuples(st.sampled_from("AB"), st.one_of(st.integers(1, 12), st.just(99)))
ACTIONS = st.lists(st.one_of(BURSTS, BURSTS, st.sampled_from(EVENTS)), min_size=5, max_size=25)


def last_entry(world: World) -> Entry:
    return Entry.from_bytes(
        world.files[max(name for name in world.files if name.startswith("journal/"))][0]
    )


@settings(max_examples=200)
@given(ACTIONS, st.booleans())
def test_no_interleaving_of_two_retrainings_harms_the_champion(
    actions: list[tuple[str, int] | str], second_rolls_back: bool
) -> None:
    world = World(arrived=frozenset({0, 1}))
    works = {"A": tick(world), "B": rolling_back(world) if second_rolls_back else tick(world)}
    running = {name: Process(work) for name, work in works.items()}
    for action in actions:
        if isinstance(action, str) and action.startswith("kill"):
            running[action[-1]].kill()
        elif isinstance(action, str):
            world.happen(action)
        else:
            name, num_steps = action
            if running[name].has_ended:  # the schedule starts it again
                running[name].finish()
                running[name] = Process(works[name])
            for _ in range(num_steps):
                running[name].go_on()
    for process in running.values():
        process.finish()
    world.gate_is_open = True
    for _ in range(2):  # undisturbed ticks, after everybody has died or ended
        world.now += 61
        Process(tick(world)).finish()

    last = last_entry(world)
    champion = last.state.champion
    assert last.kind == EntryKind.RELEASED
    assert last.state.is_settled
    assert champion is not None
    assert world.aliases[CHAMPION] == champion, "the registry's champion is the journal's"
    assert world.classes_of[champion] >= world.arrived, "no class is lost"
    for pair in world.promotions:
        before = world.predecessor[pair]
        assert before is None or world.classes_of[before] <= world.classes_of[pair]


def test_a_late_teller_of_a_first_rejection_takes_the_alias_from_nobody() -> None:
    """There was no champion when it fell asleep; there is one when it wakes."""
    world = World(arrived=frozenset({0, 1}), gate_is_open=False)
    sleeper = Process(tick(world))
    while sleeper.is_about_to != "give previous":
        sleeper.go_on()
    world.now += 61
    world.gate_is_open = True
    Process(tick(world)).finish()
    champion = world.aliases[CHAMPION]
    sleeper.finish()
    assert world.aliases[CHAMPION] == champion == last_entry(world).state.champion


def settling(world: World) -> Callable[[Process], None]:
    def work(process: Process) -> None:
        lease = Lease.acquire(Journal(MemoryStorage(world, process)), LEASE, this_holder())
        settle(lease, MemoryRegistry(world, process))
        lease.release()

    return work


@pytest.mark.parametrize("num_steps", [*range(1, 40, 3), 99])
def test_an_older_champion_by_hand_is_a_rollback_wherever_it_is_interrupted(num_steps: int) -> None:
    world = World(arrived=frozenset({0, 1}))
    for arrival in (2, 3):
        Process(tick(world)).finish()
        world.arrived |= {arrival}
    first, second = ModelPair("1", "1"), ModelPair("2", "2")
    assert world.aliases == {"champion": second, "previous": first}
    world.aliases[CHAMPION], world.is_moved_by_hand = first, True
    interrupted = Process(settling(world))
    for _ in range(num_steps):
        interrupted.go_on()
    interrupted.kill()
    world.now += 61
    Process(settling(world)).finish()
    state = last_entry(world).state
    assert (state.champion, state.previous, state.challenger) == (first, None, second)
    assert world.aliases == {"champion": first, "challenger": second}


def test_what_a_late_teller_says_is_taken_back() -> None:
    """It sleeps with the request on its lips; another takes over and promotes; it wakes, is heard,
    and dies.
    """
    world = World(arrived=frozenset({0, 1}))
    sleeper = Process(tick(world))
    while sleeper.is_about_to != "give champion":
        sleeper.go_on()
    world.now += 61
    world.arrived |= {2}
    Process(tick(world)).finish()
    champion = last_entry(world).state.champion
    assert world.aliases[CHAMPION] == champion
    sleeper.go_on()
    sleeper.kill()
    assert world.aliases[CHAMPION] != champion
    world.now += 61
    Process(tick(world)).finish()
    assert world.aliases[CHAMPION] == champion
