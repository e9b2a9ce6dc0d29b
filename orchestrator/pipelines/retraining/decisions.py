"""Approve or reject a candidate by a person's decision, which overrides the gate's verdict.

The terms are explained in `pipelines.retraining`.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable
from typing import Literal, TypeAlias

from orchestrator.config.retraining import Retraining
from orchestrator.errors import UserInputError
from orchestrator.pipelines.retraining.lease import held_lease
from orchestrator.pipelines.retraining.outcome import Outcome, RetrainingOutcome
from orchestrator.retraining import promotion
from orchestrator.retraining.lease import Lease
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.settling import Registry
from orchestrator.retraining.state import ModelPair
from orchestrator.retraining.webhook import post_to_webhook
from orchestrator.tracking.names import STATE_TAG
from orchestrator.tracking.reading import open_registry
from orchestrator.tracking.registry import DECIDED_BY_TAG, REASON_TAG

Decision: TypeAlias = Literal["approve", "reject"]
_Decide: TypeAlias = Callable[[Lease, Registry, ModelPair | None, str, str], ModelPair]
_CARRY_OUT: dict[Decision, tuple[_Decide, Outcome]] = {
    "approve": (promotion.approve, "promoted"),
    "reject": (promotion.dismiss, "rejected"),
}


def decide(
    retraining: Retraining, decision: Decision, version: str | None, reason: str
) -> RetrainingOutcome:
    """Carry out a person's decision: make a candidate the champion, or reject the candidate. Later
    ticks skip the files of a rejected candidate until the files change.

    Args:
        retraining: The retraining.
        decision: Whether to approve or to reject.
        version: Version of the candidate's student; None means the held candidate, about which the
            gate could not decide.
        reason: The reason, stored with the versions and in the journal, and sent to the webhook.

    Raises:
        UserInputError: No candidate is held, the version does not exist, or the version is the
            champion or was not trained from the champion.
        LockedError: Another process is changing the retraining.
        TransientError: Journal or registry does not answer.
    """
    if not reason.strip():
        raise UserInputError(
            "--reason is empty", next_step="say why: the reason is stored with the versions"
        )
    carry_out, outcome = _CARRY_OUT[decision]
    registry = open_registry(retraining.experiment.tracking.uri, retraining.name)
    pairs, person = ModelPairs(registry), this_person()
    with held_lease(retraining, pairs) as lease:
        candidate = pairs.of_student(version) if version is not None else None
        decided = carry_out(lease, pairs, candidate, reason, person)
        run_id = registry.version("student", decided.student).run_id
        if run_id:
            tags = {STATE_TAG: outcome, REASON_TAG: reason, DECIDED_BY_TAG: person}
            registry.tag_run(run_id, tags)
        state = lease.state
    held = state.held.pair if state.held else None
    result = RetrainingOutcome(
        outcome, f"by {person}: {reason}", state.champion, decided, run_id or None, held=held
    )
    post_to_webhook(retraining.webhook, {"retraining": retraining.name, **result.summary()})
    return result


def this_person() -> str:
    """Return the user of this process as user@host."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # in a container, the user id may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
