"""Simulate processes in a simulated world: ticks, and commands of people."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.config.retraining import LeaseConfig
from orchestrator.errors import LeaseLostError, LockedError, UserInputError
from orchestrator.pipelines.retraining.judging import carry_out
from orchestrator.retraining.gate import PromotionDecision
from orchestrator.retraining.journal import Entry, Journal
from orchestrator.retraining.lease import Lease, this_holder
from orchestrator.retraining.promotion import approve, dismiss, roll_back
from orchestrator.retraining.retries import Attempt
from orchestrator.retraining.settling import settle
from orchestrator.retraining.state import ModelPair
from tests.unit.retraining.simulation import MemoryRegistry, MemoryStorage, Process, World

LEASE = LeaseConfig(expires_seconds=60)

Work = Callable[[Lease, MemoryRegistry], object]


def holding_the_lease(world: World, work: Work) -> Callable[[Process], None]:
    """Run work under the lease, in the order of `pipelines/retraining/lease.py`."""

    def run(process: Process) -> None:
        journal, registry = Journal(MemoryStorage(world, process)), MemoryRegistry(world, process)
        try:
            lease = Lease.acquire(journal, LEASE, this_holder())
        except LockedError:
            return
        try:
            settle(lease, registry)
            work(lease, registry)
            if lease.state.late_tellers:
                settle(lease, registry)
        except (LeaseLostError, UserInputError):
            pass
        finally:
            lease.release()

    return run


def tick(world: World) -> Callable[[Process], None]:
    """Run a tick, in the order of `pipelines/retraining/tick.py`."""

    def judge(lease: Lease, registry: MemoryRegistry, candidate: ModelPair) -> None:
        decision = PromotionDecision(world.verdict, "by the gate", (), world.blames_data)
        attempt = Attempt(tuple(map(str, sorted(world.classes_of[candidate]))), 0, "")
        images = tuple(str(number) for number in range(world.num_images))
        carry_out(decision, lease, registry, candidate, attempt, images)

    def work(lease: Lease, registry: MemoryRegistry) -> None:
        state = lease.state
        if state.held is not None and state.held.is_asked:
            return
        if state.held is not None and len(state.held.judged_files) < world.num_images:
            lease.check()
            judge(lease, registry, state.held.pair)
            if lease.state.held is None or lease.state.held.is_asked:
                return
        base = state.held.pair if state.held else state.champion
        known = world.classes_of[base] if base else frozenset()
        if world.arrived - known:
            candidate = registry.register(world.arrived | known, state.champion)
            lease.check()
            judge(lease, registry, candidate)

    return holding_the_lease(world, work)


def rolling_back(world: World) -> Callable[[Process], None]:
    return holding_the_lease(world, lambda lease, registry: roll_back(lease, registry, "worse"))


def approving(world: World) -> Callable[[Process], None]:
    """Approve the held candidate, otherwise some version."""

    def work(lease: Lease, registry: MemoryRegistry) -> None:
        versions = sorted(world.classes_of, key=lambda pair: int(pair.student))
        chosen = versions[world.num_images % len(versions)] if versions else None
        approve(lease, registry, None if lease.state.held else chosen, "checked", "person@here")

    return holding_the_lease(world, work)


def dismissing(world: World) -> Callable[[Process], None]:
    return holding_the_lease(
        world, lambda lease, registry: dismiss(lease, registry, None, "blurred", "person@here")
    )


OTHERS = {
    "ticks": tick,
    "rolls back": rolling_back,
    "approves": approving,
    "rejects": dismissing,
}


def settling(world: World) -> Callable[[Process], None]:
    return holding_the_lease(world, lambda lease, registry: None)


def last_entry(world: World) -> Entry:
    return Entry.from_bytes(
        world.files[max(name for name in world.files if name.startswith("journal/"))][0]
    )
