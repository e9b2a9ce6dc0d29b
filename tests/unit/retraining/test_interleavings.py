"""Two retrainings at once, or a retraining and a person, in every order that hypothesis generates,
killed and suspended at any step.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.retraining.gate import Verdict
from orchestrator.retraining.journal import EntryKind
from orchestrator.retraining.state import ModelPair, Note
from orchestrator.retraining.version_states import CHALLENGER, CHAMPION, VersionState
from tests.unit.retraining.simulated_processes import (
    OTHERS,
    approving,
    last_entry,
    rolling_back,
    settling,
    tick,
)
from tests.unit.retraining.simulation import Process, World

VERDICTS = tuple(verdict.value for verdict in Verdict)
EVENTS = ("kill A", "kill B", "time", "time", "arrival", "images", "images", *VERDICTS)
BURSTS = st.tuples(st.sampled_from("AB"), st.one_of(st.integers(1, 12), st.just(99)))
ACTIONS = st.lists(st.one_of(BURSTS, BURSTS, st.sampled_from(EVENTS)), min_size=5, max_size=25)


@settings(max_examples=200)
@given(ACTIONS, st.sampled_from(sorted(OTHERS)), st.booleans())
def test_no_interleaving_of_a_retraining_and_another_process_harms_the_champion(
    actions: list[tuple[str, int] | str], other: str, blames_data: bool
) -> None:
    world = World(arrived=frozenset({0, 1}), blames_data=blames_data)
    works = {"A": tick(world), "B": OTHERS[other](world)}
    running = {name: Process(work) for name, work in works.items()}
    for action in actions:
        if isinstance(action, str) and action.startswith("kill"):
            running[action[-1]].kill()
        elif isinstance(action, str):
            world.happen(action)
        else:
            name, num_steps = action
            if running[name].has_ended:  # the schedule starts the process again
                running[name].finish()
                running[name] = Process(works[name])
            for _ in range(num_steps):
                running[name].go_on()
    for process in running.values():
        process.finish()
    answered = end_undisturbed(world)

    last = last_entry(world)
    champion = last.state.champion
    assert last.kind == EntryKind.RELEASED
    assert last.state.is_settled
    assert champion is not None
    assert world.aliases[CHAMPION] == champion, "the registry's champion is the journal's"
    assert world.aliases.get(CHALLENGER) == last.state.challenger
    assert world.noted[champion].state == VersionState.CHAMPION
    assert world.classes_of[champion] >= world.arrived, "no class is lost"
    assert last.state.held is None, "what was held is decided, or superseded"
    assert answered is None or world.noted[answered].by == "person@here"
    for pair in world.promotions:
        before = world.predecessor[pair]
        assert before is None or world.classes_of[before] <= world.classes_of[pair]


def end_undisturbed(world: World) -> ModelPair | None:
    """Finish after all processes have died or ended: a person answers if asked, and the gate
    decides every candidate.

    Returns:
        The candidate that the person has approved; None if no answer was needed.
    """
    world.verdict = Verdict.PROMOTE
    world.num_images += 1
    world.now += 61
    Process(tick(world)).finish()
    held, champion = last_entry(world).state.held, last_entry(world).state.champion
    if held is not None:
        assert held.is_asked, "more images decide about all others"
        num_promotions = len(world.promotions)
        world.arrived |= {len(world.arrived)}
        for _ in range(2):  # the question remains, whatever arrives
            Process(tick(world)).finish()
            assert last_entry(world).state.held == held
            assert last_entry(world).state.champion == champion
        assert len(world.promotions) == num_promotions
        Process(approving(world)).finish()
        assert world.promotions[-1] == held.pair
    for _ in range(2):
        Process(tick(world)).finish()
    return held.pair if held else None


def test_a_stale_holders_first_rejection_takes_the_alias_from_no_champion() -> None:
    """There was no champion when the holder was suspended; there is one when it wakes."""
    world = World(arrived=frozenset({0, 1}), verdict=Verdict.REJECT)
    sleeper = Process(tick(world))
    while sleeper.is_about_to != "give previous":
        sleeper.go_on()
    world.now += 61
    world.verdict = Verdict.PROMOTE
    Process(tick(world)).finish()
    champion = world.aliases[CHAMPION]
    sleeper.finish()
    assert world.aliases[CHAMPION] == champion == last_entry(world).state.champion


@pytest.mark.parametrize("num_steps", [*range(1, 60, 3), 99])
def test_a_persons_answer_interrupted_anywhere_is_completed_or_not_begun(num_steps: int) -> None:
    """A completed answer has author and reason in the registry."""
    world = World(arrived=frozenset({0, 1}))
    Process(tick(world)).finish()
    world.arrived |= {2}
    world.verdict = Verdict.ASK
    Process(tick(world)).finish()
    first, asked = ModelPair("1", "1"), ModelPair("2", "2")
    assert world.aliases == {"champion": first, "challenger": asked}
    assert world.noted[asked].state == VersionState.ASKED
    interrupted = Process(approving(world))
    for _ in range(num_steps):
        interrupted.go_on()
    interrupted.kill()
    world.now += 61
    Process(settling(world)).finish()
    if world.approvals:
        assert world.aliases == {"champion": asked, "previous": first}
        assert world.noted[asked] == Note(asked, VersionState.CHAMPION, "checked", "person@here")
        assert world.noted[first].state == VersionState.PREVIOUS
    else:
        assert world.aliases == {"champion": first, "challenger": asked}
        assert world.noted[asked].state == VersionState.ASKED


@pytest.mark.parametrize("verdict", [Verdict.HOLD, Verdict.ASK])
def test_a_rollback_supersedes_a_held_candidate(
    verdict: Verdict,
) -> None:
    world = World(arrived=frozenset({0, 1}))
    for arrival in (2, 3):
        Process(tick(world)).finish()
        world.arrived |= {arrival}
    world.verdict = verdict
    Process(tick(world)).finish()
    first, second, held = (ModelPair(number, number) for number in "123")
    assert world.aliases == {"champion": second, "previous": first, "challenger": held}
    Process(rolling_back(world)).finish()
    assert world.aliases == {"champion": first, "challenger": second}
    assert world.noted[held].state == VersionState.SUPERSEDED
    assert last_entry(world).state.held is None


@pytest.mark.parametrize("num_steps", [*range(1, 40, 3), 99])
def test_moving_the_alias_to_an_older_champion_is_a_rollback_even_if_interrupted(
    num_steps: int,
) -> None:
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


def test_a_stale_holders_alias_is_reverted() -> None:
    """A holder is suspended just before it sets the alias. Another one takes over and promotes. The
    first wakes, sets the alias, and dies.
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


@pytest.mark.parametrize("blames_data", [True, False])
def test_rejecting_a_candidate_trained_on_from_a_held_one_leaves_the_held_one(
    blames_data: bool,
) -> None:
    world = World(arrived=frozenset({0, 1}), blames_data=blames_data)
    Process(tick(world)).finish()
    world.arrived |= {2}
    world.verdict = Verdict.HOLD
    Process(tick(world)).finish()
    held = last_entry(world).state.held
    world.arrived |= {3}
    world.verdict = Verdict.REJECT
    Process(tick(world)).finish()
    assert world.noted[ModelPair("3", "3")].state == VersionState.REJECTED
    assert last_entry(world).state.held == held
    assert world.aliases == {"champion": ModelPair("1", "1"), "challenger": ModelPair("2", "2")}


def test_a_stale_holders_version_state_is_reverted() -> None:
    """A holder is suspended just before it records a rejection. A person approves. The holder
    wakes, records the rejection, and dies.
    """
    world = World(arrived=frozenset({0, 1}), verdict=Verdict.REJECT)
    sleeper = Process(tick(world))
    while sleeper.is_about_to != "note rejected":
        sleeper.go_on()
    world.now += 61
    Process(approving(world)).finish()
    champion = world.aliases[CHAMPION]
    approved = world.noted[champion]
    assert (approved.state, approved.by) == (VersionState.CHAMPION, "person@here")
    sleeper.go_on()
    sleeper.kill()
    assert world.noted[champion].state == VersionState.REJECTED
    Process(settling(world)).finish()
    assert world.noted[champion] == approved
