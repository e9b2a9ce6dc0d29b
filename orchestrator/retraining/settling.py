"""Settle the journal and the registry, so that both agree: finish interrupted alias changes, and
adopt a new champion if a person has moved the champion's alias in MLflow.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from orchestrator.errors import UserInputError
from orchestrator.retraining.journal import EntryKind
from orchestrator.retraining.lease import Lease
from orchestrator.retraining.state import ModelPair, Note, PutAside, State
from orchestrator.retraining.version_states import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    UNDECIDED,
    Alias,
    VersionState,
)

logger = logging.getLogger(__name__)


class Registry(Protocol):
    """Interface to the registry of model pairs (teacher and student), their aliases and states."""

    def holder_of(self, alias: Alias) -> ModelPair | None:
        """Return the pair of teacher and student that has an alias; None if no pair has it."""
        ...

    def give(self, alias: Alias, pair: ModelPair | None) -> None:
        """Move an alias to a pair of teacher and student; remove the alias if the pair is None."""
        ...

    def note(self, note: Note) -> None:
        """Record a pair's new state, the reason for the state, and who decided, in the registry."""
        ...

    def state_of(self, pair: ModelPair) -> str:
        """Return the recorded state of a pair of teacher and student; empty if none is recorded."""
        ...

    def predecessor_of(self, pair: ModelPair) -> ModelPair | None:
        """Return the pair that was champion when a pair of teacher and student was trained; None if
        there was no champion, or if the registry no longer has it.
        """
        ...

    def has(self, pair: ModelPair) -> bool:
        """Return whether the registry still has both versions of a pair (teacher and student)."""
        ...


def settle(lease: Lease, registry: Registry) -> None:
    """Make journal and registry agree. Each lease holder calls this at the beginning and, if a late
    writer may exist, at the end.

    Interrupted changes are finished. If a person has moved the champion's alias by hand, the new
    champion is adopted.

    A lease holder may be suspended while it updates the registry, and count as dead. If the process
    continues later, it writes the rest of its update. This function reverts such late changes of
    aliases and of the champion's state.

    Deleted versions are dropped from the state, except for the champion: see `check_champion`.

    Raises:
        UserInputError: A person gave the champion's alias to a version that was not made by a
            retraining.
        LeaseLostError: Another process has taken over the lease.
        TransientError: Journal or registry does not answer.
    """
    state = without_deleted(lease.state, registry)
    if state != lease.state:
        logger.warning(
            "versions with the alias %r or %r were deleted: the journal drops these versions",
            PREVIOUS,
            CHALLENGER,
        )
        lease.write(EntryKind.ADOPTED, state)
    if not state.is_settled:
        logger.warning(
            "a decision was interrupted and is now applied: the champion is %s",
            state.champion,
        )
        late = (*state.late_tellers, state.champion) if state.champion else state.late_tellers
        tell(lease, registry, replace(state, late_tellers=tuple(dict.fromkeys(late))))
        return
    moved = registry.holder_of(CHAMPION)
    if moved == state.champion:
        aliases = (registry.holder_of(PREVIOUS), registry.holder_of(CHALLENGER))
        if aliases != (state.previous, state.challenger) or any(
            registry.state_of(note.pair) != note.state for note in state.notes
        ):
            tell(lease, registry, state)
    elif moved is None:
        return  # no version has the champion's alias, so there is no new champion to adopt
    elif moved in state.late_tellers:
        logger.warning(
            "%s was made champion by a process that had counted as dead; the champion is %s again",
            moved,
            state.champion,
        )
        tell(lease, registry, state)
    else:
        if state.champion is not None:
            logger.warning(
                "the alias %r was moved by hand, from %s to %s: adopting the new champion",
                CHAMPION,
                state.champion,
                moved,
            )
        _adopt(lease, registry, state, moved)


def _adopt(lease: Lease, registry: Registry, before: State, moved: ModelPair) -> None:
    """Record in the journal that a person has moved the champion's alias to another pair.

    A move to an older version is treated as a rollback: later runs skip the files that the replaced
    champion learned from and the new champion did not. Otherwise the next run would learn from
    these files again and promote the same model again. A held candidate (one about which the gate
    could not decide) is superseded, because this candidate did not continue from the new champion.
    """
    challenger = registry.holder_of(CHALLENGER)
    if before.held is not None and challenger == before.held.pair:
        challenger = None
    after = State(
        moved,
        registry.holder_of(PREVIOUS),
        challenger,
        late_tellers=before.late_tellers,
        put_aside=newer(before.put_aside, moved),
        notes=of_superseded(before, moved),
    )
    if before.champion is None:
        if challenger is not None and registry.state_of(challenger) not in UNDECIDED:
            after = replace(after, put_aside=newer([PutAside(challenger)], moved))
    elif int(moved.student) < int(before.champion.student):
        after = _moved_back(registry, before.champion, after)
    elif before.held is not None:
        by_hand = Note(moved, VersionState.CHAMPION, "by hand")
        after = replace(after, notes=(*after.notes, by_hand))
    after = replace(without_deleted(after, registry), is_settled=not after.notes)
    lease.write(EntryKind.ADOPTED, after)
    if after.notes:
        tell(lease, registry, after)


def _moved_back(registry: Registry, champion: ModelPair, after: State) -> State:
    moved = after.champion
    assert moved is not None  # noqa: S101 - it has been moved
    reason = f"the alias {CHAMPION!r} was moved back to {moved} by hand"
    return replace(
        after,
        previous=registry.predecessor_of(moved),
        challenger=champion,
        put_aside=(*after.put_aside, PutAside(champion)),
        notes=(
            *after.notes,
            Note(champion, VersionState.ROLLED_BACK, reason),
            Note(moved, VersionState.CHAMPION, "by hand"),
        ),
    )


def check_champion(state: State, registry: Registry) -> None:
    """Check that the champion still has the alias `champion`, or that there has never been a
    champion.

    Raises:
        UserInputError: The champion was deleted, or its alias was removed. Training must not start
            from scratch, because images of known classes may have been deleted.
        TransientError: The registry does not answer.
    """
    if state.champion is None or registry.holder_of(CHAMPION) is not None:
        return
    what = "has lost its alias" if registry.has(state.champion) else "was deleted"
    advice = (
        f"give the alias {CHAMPION!r} to a version of the student in MLflow, or run"
        " `orchestrator rollback`; to start over, remove the journal: lease.uri, by default"
        " `retraining` in the stage store"
    )
    raise UserInputError(f"the champion ({state.champion}) {what}", next_step=advice)


def tell(lease: Lease, registry: Registry, state: State) -> None:
    """Tell the registry a state: write its aliases and the new states of model pairs.

    Then record in the journal that registry and journal agree.
    """
    lease.check()
    for note in state.notes:
        logger.info("%s: %s (%s)", note.pair, note.state.value, note.reason)
        if registry.has(note.pair):
            registry.note(note)
    registry.give(CHALLENGER, state.challenger)
    registry.give(PREVIOUS, state.previous)
    if (
        state.champion is not None
    ):  # without a champion, keep the alias: a newer lease holder may have set it
        registry.give(CHAMPION, state.champion)  # last, after the other aliases are set
    standing = {state.champion, state.held.pair if state.held else None}
    notes = tuple(note for note in state.notes if note.pair in standing)
    lease.write(EntryKind.SETTLED, replace(state, is_settled=True, notes=notes))


def with_notes(before: State, *notes: Note) -> tuple[Note, ...]:
    """Return the notes (new states of pairs) of `before` and the given notes, in this order.

    A given note replaces earlier notes about the same pair of teacher and student.
    """
    noted = {note.pair for note in notes}
    return (*(note for note in before.notes if note.pair not in noted), *notes)


def of_superseded(before: State, follower: ModelPair) -> tuple[Note, ...]:
    """Return a note (a new state to record): the held candidate is superseded by `follower`.

    The result is empty if no candidate is held, or if the held candidate is `follower` itself.
    """
    held = before.held
    if held is None or held.pair == follower:
        return ()
    return (Note(held.pair, VersionState.SUPERSEDED, f"followed by {follower}"),)


def newer(found: Iterable[PutAside], champion: ModelPair) -> tuple[PutAside, ...]:
    """Return the candidates in `found` that are newer than the champion.

    The files of these candidates are skipped. Older candidates are dropped, because the champion's
    lineage already lists the files to skip.
    """
    return tuple(it for it in found if int(it.pair.student) > int(champion.student))


def without_deleted(state: State, registry: Registry) -> State:
    """Return the state without versions that the registry no longer has, except the champion."""

    def there(pair: ModelPair | None) -> ModelPair | None:
        return pair if pair is None or registry.has(pair) else None

    return replace(
        state,
        previous=there(state.previous),
        challenger=there(state.challenger),
        held=state.held if state.held and registry.has(state.held.pair) else None,
        tried=state.tried if state.tried and registry.has(state.tried.pair) else None,
        put_aside=tuple(found for found in state.put_aside if registry.has(found.pair)),
    )
