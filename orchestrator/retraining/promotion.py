"""Who is champion: moved in the journal first, then in the registry. What was interrupted in
between is finished by the next holder.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

from orchestrator.errors import UserInputError
from orchestrator.retraining.journal import EntryKind, ModelPair, State
from orchestrator.retraining.lease import Lease

logger = logging.getLogger(__name__)

Alias = str
CHAMPION: Alias = "champion"
PREVIOUS: Alias = "previous"
CHALLENGER: Alias = "challenger"


class VersionState(StrEnum):
    """Life of a model version.

    ```
                gate: passed                    another passes                another passes
    CANDIDATE ───────────────▶ CHAMPION ─────────────────────▶ PREVIOUS ──────────────▶ RETIRED
        │                        ▲   │                            │                        │
        │ gate: not passed       │   └── rollback ─▶ ROLLED_BACK  │                        │
        ▼                        └──── rollback, of the one after it ──────────────────────┘
    REJECTED
    ```

    Aliases: a champion has `champion`, the one before it `previous`; what was rejected or rolled
    back last has `challenger`.
    """

    CANDIDATE = "candidate"
    CHAMPION = "champion"
    PREVIOUS = "previous"
    RETIRED = "retired"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled back"


class Registry(Protocol):
    """Where models are kept, and who of them has which alias."""

    def holder_of(self, alias: Alias) -> ModelPair | None:
        """Who has an alias; None for nobody."""
        ...

    def give(self, alias: Alias, pair: ModelPair | None) -> None:
        """Gives an alias to a pair, from whoever has it; None takes it away."""
        ...

    def note(self, pair: ModelPair, state: VersionState, reason: str) -> None:
        """Writes a pair's state, and why it has it, beside it."""
        ...

    def predecessor_of(self, pair: ModelPair) -> ModelPair | None:
        """The champion from which a pair has learned on; None for a first one."""
        ...

    def has(self, pair: ModelPair) -> bool:
        """Whether both versions are still there: people delete old ones."""
        ...


def settle(lease: Lease, registry: Registry) -> None:
    """Makes journal and registry agree: finishes what somebody died over, and follows a person who
    has moved the alias by hand.

    A holder that sleeps while it tells the registry, is taken for dead, and wakes, tells the rest
    of it: an alias that only such a late teller can have given is taken back, here, at the begin
    and the end of every tick. Versions that somebody has deleted are forgotten, but for the
    champion's: see `check_champion`.

    Raises:
        UserInputError: The alias has been given to a version that no retraining has made.
        LeaseLostError: Another process has taken over.
        TransientError: Journal or registry does not answer.
    """
    state = _without_deleted(lease.state, registry)
    if state != lease.state:
        logger.warning(
            "versions with the alias %r or %r were deleted: they are forgotten",
            PREVIOUS,
            CHALLENGER,
        )
        lease.write(EntryKind.ADOPTED, state)
    if not state.is_settled:
        logger.warning(
            "a change of the champion was interrupted; it is finished: the champion is %s",
            state.champion,
        )
        late = (*state.late_tellers, state.champion) if state.champion else state.late_tellers
        _tell(lease, registry, replace(state, late_tellers=tuple(dict.fromkeys(late))))
        return
    moved = registry.holder_of(CHAMPION)
    if moved == state.champion:
        if (registry.holder_of(PREVIOUS), registry.holder_of(CHALLENGER)) != (
            state.previous,
            state.challenger,
        ):
            _tell(lease, registry, state)
    elif moved is None:
        return  # taken away is not moved: nothing says who should be champion now
    elif moved in state.late_tellers:
        logger.warning(
            "%s was made champion by a process that had been taken for dead; it is %s again",
            moved,
            state.champion,
        )
        _tell(lease, registry, state)
    else:
        if state.champion is not None:
            logger.warning(
                "the alias %r was moved by hand, from %s to %s: that is followed",
                CHAMPION,
                state.champion,
                moved,
            )
        _adopt(lease, registry, state, moved)


def _adopt(lease: Lease, registry: Registry, before: State, moved: ModelPair) -> None:
    """Follows a person. Back to an older version is a rollback: else the next tick would learn, and
    promote, the same once more.
    """
    adopted = State(
        moved,
        registry.holder_of(PREVIOUS),
        registry.holder_of(CHALLENGER),
        late_tellers=before.late_tellers,
    )
    if before.champion is None or int(moved.student) >= int(before.champion.student):
        lease.write(EntryKind.ADOPTED, adopted)
        return
    back = replace(
        adopted,
        previous=registry.predecessor_of(moved),
        challenger=before.champion,
        is_settled=False,
    )
    back = _without_deleted(back, registry)
    lease.write(EntryKind.ADOPTED, back)
    _note(
        registry,
        before.champion,
        VersionState.ROLLED_BACK,
        f"the alias {CHAMPION!r} was moved back to {moved} by hand",
    )
    _note(registry, moved, VersionState.CHAMPION, "by hand")
    _tell(lease, registry, back)


def check_champion(state: State, registry: Registry) -> None:
    """Passes when the champion has its alias, or there has never been one.

    Raises:
        UserInputError: Somebody has deleted the champion, or taken its alias away. To learn a first
            one again would lose every class whose images are gone.
        TransientError: The registry does not answer.
    """
    if state.champion is None or registry.holder_of(CHAMPION) is not None:
        return
    what = "has lost its alias" if registry.has(state.champion) else "was deleted"
    advice = (
        f"give the alias {CHAMPION!r} to a version of the student in MLflow, or `orchestrator"
        " rollback`; to begin anew, remove the journal: lease.uri, by default `retraining` in the"
        " stage store"
    )
    raise UserInputError(f"the champion ({state.champion}) {what}", next_step=advice)


def promote(lease: Lease, registry: Registry, candidate: ModelPair, reason: str) -> None:
    """Makes a candidate the champion.

    Raises:
        LeaseLostError: Another process has taken over; nothing is changed.
        TransientError: Journal or registry does not answer; the next tick finishes it.
    """
    before = lease.state
    challenger = None if before.challenger == candidate else before.challenger
    after = State(
        candidate, before.champion, challenger, is_settled=False, late_tellers=before.late_tellers
    )
    lease.write(EntryKind.PROMOTED, after)
    if before.previous is not None and before.previous != candidate:
        _note(registry, before.previous, VersionState.RETIRED, "two champions have followed")
    if before.champion is not None:
        _note(registry, before.champion, VersionState.PREVIOUS, f"followed by {candidate}")
    _note(registry, candidate, VersionState.CHAMPION, reason)
    _tell(lease, registry, after)


def reject(lease: Lease, registry: Registry, candidate: ModelPair, reason: str) -> None:
    """Keeps the champion; the candidate becomes the challenger.

    Raises:
        LeaseLostError: Another process has taken over; nothing is changed.
        TransientError: Journal or registry does not answer; the next tick finishes it.
    """
    after = replace(lease.state, challenger=candidate, is_settled=False)
    lease.write(EntryKind.REJECTED, after)
    _note(registry, candidate, VersionState.REJECTED, reason)
    _tell(lease, registry, after)


def roll_back(lease: Lease, registry: Registry, reason: str) -> tuple[ModelPair, ModelPair]:
    """Makes the previous champion the champion again; a second time, the one before it.

    The one that is rolled back becomes the challenger: what it had learned from is left out of the
    next ticks, as after a rejection.

    Returns:
        The champion from here on, and the one that was.

    Raises:
        UserInputError: There is no previous one.
        LeaseLostError: Another process has taken over; nothing is changed.
        TransientError: Journal or registry does not answer; the next tick finishes it.
    """
    before = lease.state
    if before.champion is None or before.previous is None:
        what = (
            "there is no champion yet"
            if before.champion is None
            else f"there is none before the champion ({before.champion})"
        )
        raise UserInputError(
            f"nothing to roll back to: {what}",
            next_step="see the aliases in MLflow's model registry",
        )
    previous = registry.predecessor_of(before.previous)
    after = State(
        before.previous,
        previous,
        before.champion,
        is_settled=False,
        late_tellers=before.late_tellers,
    )
    after = _without_deleted(after, registry)
    lease.write(EntryKind.ROLLED_BACK, after)
    _note(registry, before.champion, VersionState.ROLLED_BACK, reason)
    _note(
        registry,
        before.previous,
        VersionState.CHAMPION,
        f"{before.champion} was rolled back: {reason}",
    )
    _tell(lease, registry, after)
    return before.previous, before.champion


def _tell(lease: Lease, registry: Registry, state: State) -> None:
    """Tells the registry, and notes that it was told."""
    lease.check()
    registry.give(CHALLENGER, state.challenger)
    registry.give(PREVIOUS, state.previous)
    if (
        state.champion is not None
    ):  # where there is none yet, a late teller must not take the alias from a first one
        registry.give(CHAMPION, state.champion)  # last: all else then is as it should be beside it
    lease.write(EntryKind.SETTLED, replace(state, is_settled=True))


def _note(registry: Registry, pair: ModelPair, state: VersionState, reason: str) -> None:
    logger.info("%s: %s (%s)", pair, state.value, reason)
    if registry.has(pair):
        registry.note(pair, state, reason)


def _without_deleted(state: State, registry: Registry) -> State:
    def there(pair: ModelPair | None) -> ModelPair | None:
        return pair if pair is None or registry.has(pair) else None

    return replace(state, previous=there(state.previous), challenger=there(state.challenger))
