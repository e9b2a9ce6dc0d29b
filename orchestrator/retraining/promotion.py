"""Change the champion and the held candidate: first in the journal, then in the registry.

If a change is interrupted in between, the next holder of the lease finishes the change.

A held candidate is one about which the gate could not decide. It always continued learning from the
present champion, so a new champion supersedes the held candidate. No data is lost, because the
files of a superseded candidate count as new again.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.errors import UserInputError
from orchestrator.retraining.journal import EntryKind
from orchestrator.retraining.lease import Lease
from orchestrator.retraining.settling import (
    Registry,
    newer,
    of_superseded,
    tell,
    with_notes,
    without_deleted,
)
from orchestrator.retraining.state import (
    GATE,
    Held,
    ModelPair,
    Note,
    PutAside,
    State,
    Tried,
)
from orchestrator.retraining.version_states import VersionState


def promote(
    lease: Lease, registry: Registry, candidate: ModelPair, reason: str, by: str = GATE
) -> None:
    """Make a candidate the champion.

    If another candidate is held (waiting for a decision), it is marked as superseded.

    Args:
        lease: Lease, held by this process.
        registry: Registry to update.
        candidate: Pair of teacher and student that continued learning from the champion.
        reason: Reason for the promotion.
        by: Who decided: the gate, or a person.

    Raises:
        LeaseLostError: Another process has taken over the lease; nothing is changed.
        TransientError: Journal or registry does not answer; the next tick finishes the promotion.
    """
    before = lease.state
    of_held = before.held.pair if before.held else None
    notes = of_superseded(before, candidate)
    if before.previous is not None and before.previous != candidate:
        retired = Note(
            before.previous, VersionState.RETIRED, "two later versions have become champion"
        )
        notes = (*notes, retired)
    if before.champion is not None:
        followed = Note(before.champion, VersionState.PREVIOUS, f"followed by {candidate}")
        notes = (*notes, followed)
    after = State(
        candidate,
        before.champion,
        None if before.challenger in (candidate, of_held) else before.challenger,
        is_settled=False,
        late_tellers=before.late_tellers,
        put_aside=newer(before.put_aside, candidate),
        notes=(*notes, Note(candidate, VersionState.CHAMPION, reason, by)),
    )
    lease.write(EntryKind.PROMOTED if by == GATE else EntryKind.APPROVED, after)
    tell(lease, registry, after)


def hold(lease: Lease, registry: Registry, held: Held) -> None:
    """Keep the champion, and hold a candidate: keep it for a later decision.

    The candidate gets the alias `challenger`. If another candidate was held before, that candidate
    is marked as superseded, because the new candidate continued learning from it.

    Raises:
        LeaseLostError: Another process has taken over the lease; nothing is changed.
        TransientError: Journal or registry does not answer; the next tick finishes the change.
    """
    before = lease.state
    state = VersionState.ASKED if held.is_asked else VersionState.HELD
    is_same = before.held is not None and before.held.pair == held.pair
    after = replace(
        before,
        challenger=held.pair,
        is_settled=False,
        held=held,
        tried=before.tried if is_same else None,
        num_verdicts=before.num_verdicts + 1,
        notes=with_notes(
            before,
            *of_superseded(before, held.pair),
            Note(held.pair, state, held.reason, GATE),
        ),
    )
    lease.write(EntryKind.ASKED if held.is_asked else EntryKind.HELD, after)
    tell(lease, registry, after)


def reject(lease: Lease, registry: Registry, rejected: Note, files: Tried | PutAside) -> None:
    """Reject a candidate and keep the champion.

    The rejected candidate gets the alias `challenger`, unless another candidate has this alias
    because it waits for a verdict.

    Args:
        lease: The lease, which this process must have acquired.
        registry: Registry to update.
        rejected: Note with the candidate, the reason and the author of the decision.
        files: `Tried` if the candidate's files are tried again, `PutAside` if they are skipped.

    Raises:
        LeaseLostError: Another process has taken over the lease; nothing is changed.
        TransientError: Journal or registry does not answer; the next tick finishes the rejection.
    """
    before, pair = lease.state, rejected.pair
    held = None if before.held and before.held.pair == pair else before.held
    put_aside = tuple(other for other in before.put_aside if other.pair != pair)
    tried = files if isinstance(files, Tried) else None
    is_repeated = before.tried is not None and before.tried.pair == pair
    after = replace(
        before,
        challenger=held.pair if held else pair,
        is_settled=False,
        held=held,
        put_aside=(*put_aside, files) if isinstance(files, PutAside) else put_aside,
        tried=tried,
        num_verdicts=before.num_verdicts + (not is_repeated) if tried or held else 0,
        notes=with_notes(before, rejected),
    )
    lease.write(EntryKind.REJECTED, after)
    tell(lease, registry, after)


def approve(
    lease: Lease, registry: Registry, candidate: ModelPair | None, reason: str, by: str
) -> ModelPair:
    """Make a candidate the champion by a person's decision.

    Args:
        lease: Lease, held by this process.
        registry: Registry to update.
        candidate: Candidate that is held, rejected or rolled back; None means the held candidate.
        reason: The person's reason.
        by: The person who decides.

    Returns:
        The new champion.

    Raises:
        UserInputError: No candidate is held, or the candidate did not continue learning from the
            present champion.
        LeaseLostError: Another process has taken over the lease; nothing is changed.
        TransientError: Journal or registry does not answer; the next tick finishes the approval.
    """
    chosen = _follower(lease.state, registry, candidate)
    promote(lease, registry, chosen, reason, by)
    return chosen


def dismiss(
    lease: Lease, registry: Registry, candidate: ModelPair | None, reason: str, by: str
) -> ModelPair:
    """Reject a candidate by a person's decision, and skip its files until the files change.

    Args:
        lease: Lease, held by this process.
        registry: Registry to update.
        candidate: Candidate that is held, or rejected by the gate; None means the held candidate.
        reason: The person's reason.
        by: The person who decides.

    Returns:
        The rejected candidate.

    Raises:
        UserInputError: No candidate is held, or the candidate did not continue learning from the
            present champion.
        LeaseLostError: Another process has taken over the lease; nothing is changed.
        TransientError: Journal or registry does not answer; the next tick finishes the rejection.
    """
    chosen = _follower(lease.state, registry, candidate)
    reject(lease, registry, Note(chosen, VersionState.REJECTED, reason, by), PutAside(chosen))
    return chosen


def roll_back(
    lease: Lease, registry: Registry, reason: str, by: str = ""
) -> tuple[ModelPair, ModelPair]:
    """Make the previous champion the champion again.

    A second rollback returns to the champion before the previous one.

    The rolled-back champion gets the alias `challenger`. Later runs skip the files that it learned
    from. A held candidate (one about which the gate could not decide) is superseded, because this
    candidate continued learning from the rolled-back champion.

    Returns:
        The new champion, and the champion that was rolled back.

    Raises:
        UserInputError: There is no previous champion.
        LeaseLostError: Another process has taken over the lease; nothing is changed.
        TransientError: Journal or registry does not answer; the next tick finishes the rollback.
    """
    before = lease.state
    if before.champion is None or before.previous is None:
        what = (
            "there is no champion yet"
            if before.champion is None
            else f"the champion ({before.champion}) has no predecessor"
        )
        raise UserInputError(
            f"nothing to roll back to: {what}",
            next_step="see the aliases in MLflow's model registry",
        )
    again = f"{before.champion} was rolled back: {reason}"
    after = State(
        before.previous,
        registry.predecessor_of(before.previous),
        before.champion,
        is_settled=False,
        late_tellers=before.late_tellers,
        put_aside=(*before.put_aside, PutAside(before.champion)),
        notes=(
            *of_superseded(before, before.previous),
            Note(before.champion, VersionState.ROLLED_BACK, reason, by),
            Note(before.previous, VersionState.CHAMPION, again, by),
        ),
    )
    after = without_deleted(after, registry)
    lease.write(EntryKind.ROLLED_BACK, after)
    tell(lease, registry, after)
    return before.previous, before.champion


def _follower(state: State, registry: Registry, candidate: ModelPair | None) -> ModelPair:
    """Return the candidate about which a person decides.

    If a candidate is named, check that it continued learning from the champion. Otherwise return
    the held candidate: the one about which the gate could not decide.

    Raises:
        UserInputError: No candidate is held, or the named candidate is the champion or did not
            continue learning from the champion.
    """
    if candidate is None:
        if state.held is None:
            raise UserInputError(
                "no candidate is held",
                next_step="name a version of the student (see MLflow's model registry)",
            )
        return state.held.pair
    if candidate == state.champion:
        raise UserInputError(
            f"version {candidate.student} of the student is the champion already",
            next_step="to return to the previous champion: `orchestrator rollback`",
        )
    predecessor = registry.predecessor_of(candidate)
    if predecessor != state.champion:
        learned_from = f"version {predecessor.student}" if predecessor else "no champion"
        now = f"version {state.champion.student}" if state.champion else "none"
        raise UserInputError(
            f"version {candidate.student} of the student has continued from {learned_from}, but"
            f" the champion is {now}, and what the champion has learned would be lost",
            next_step="`orchestrator rollback` returns to earlier champions",
        )
    return candidate
