"""Simulate a world for retrainings: storage and registry are in memory, and learning is a set
union; journal, lease and promotion are the real ones.

Every call to storage or registry is one step. Between two steps of one process another may do
anything, and time may pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from orchestrator.retraining.gate import Verdict
from orchestrator.retraining.journal import Entry, EntryKind
from orchestrator.retraining.state import ModelPair, Note, State
from orchestrator.retraining.version_states import UNDECIDED, VersionState


class Killed(BaseException):
    """Signal of kill -9: the process does nothing any more."""


@dataclass
class World:
    """State that survives processes: files, aliases, versions, clock, and arrived classes."""

    now: float = 0.0
    files: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    aliases: dict[str, ModelPair] = field(default_factory=dict)
    classes_of: dict[ModelPair, frozenset[int]] = field(default_factory=dict)
    predecessor: dict[ModelPair, ModelPair | None] = field(default_factory=dict)
    arrived: frozenset[int] = frozenset()
    num_images: int = 1
    verdict: Verdict = Verdict.PROMOTE
    blames_data: bool = False
    is_moved_by_hand: bool = False
    tokens: list[int] = field(default_factory=list)
    state: State = field(default_factory=State)
    promotions: list[ModelPair] = field(default_factory=list)
    approvals: list[ModelPair] = field(default_factory=list)
    noted: dict[ModelPair, Note] = field(default_factory=dict)

    def watch(self, entry: Entry) -> None:
        """Check that every entry is from the latest holder."""
        if entry.kind == EntryKind.ACQUIRED:
            self.tokens.append(entry.token)
        assert entry.token == self.tokens[-1], "a stale holder has written"
        assert entry.kind != EntryKind.ADOPTED or self.is_moved_by_hand, (
            "nobody moves aliases by hand here: a stale holder has"
        )
        before, state = self.state, entry.state
        if entry.kind in (EntryKind.PROMOTED, EntryKind.APPROVED):
            assert state.champion is not None
            assert self.predecessor[state.champion] == before.champion, "what it knows is lost"
            self.promotions.append(state.champion)
        if entry.kind == EntryKind.APPROVED:
            assert state.champion is not None
            assert Note(state.champion, VersionState.CHAMPION, "checked", "person@here") in (
                state.notes
            ), "who and why stand in the entry"
            self.approvals.append(state.champion)
        self._watch_held(before, entry)
        self.state = state

    def _watch_held(self, before: State, entry: Entry) -> None:
        state = entry.state
        if state.held is not None:
            assert state.held.pair not in (state.champion, state.previous)
            assert state.challenger == state.held.pair, "the held candidate is the challenger"
            assert self.predecessor[state.held.pair] == state.champion, (
                "a held candidate has learned on from the champion"
            )
        if before.held is not None and (state.held is None or state.held.pair != before.held.pair):
            about = [
                note
                for note in state.notes
                if note.pair == before.held.pair and note.state not in UNDECIDED
            ]
            assert about, "a held candidate never goes without a word"
            by_person = about[0].by == "person@here" or entry.kind == EntryKind.ROLLED_BACK
            assert by_person or not before.held.is_asked, "only a person answers the question"

    def happen(self, event: str) -> None:
        """Apply an event that no process causes."""
        if event == "time":
            self.now += 61
        elif event == "arrival":
            self.arrived |= {len(self.arrived)}
        elif event == "images":
            self.num_images += 1
        else:
            self.verdict = Verdict(event)


class Process:
    """Process that runs a function step by step, on request."""

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
        """Wait for the scheduler; the process calls this before every visible action."""
        self._parked.release()
        self._turn.acquire()
        if self.is_dead:
            raise Killed

    def go_on(self) -> None:
        """Run one step; the scheduler calls this."""
        if not self.has_ended:
            self._turn.release()
            self._parked.acquire()

    def kill(self) -> None:
        """Kill the process: no further step has an effect."""
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

    def note(self, note: Note) -> None:
        self._process.is_about_to = f"note {note.state}"
        self._process.step()
        before = self._world.noted.get(note.pair)
        by = note.by or (before.by if before else "")  # tags that are not replaced stay
        self._world.noted[note.pair] = replace(note, by=by)

    def state_of(self, pair: ModelPair) -> str:
        self._process.step()
        return self._world.noted[pair].state if pair in self._world.noted else ""

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
