"""Make the previous champion the champion again when a person requests it."""

from __future__ import annotations

from orchestrator.config.retraining import Retraining
from orchestrator.pipelines.retraining.decisions import this_person
from orchestrator.pipelines.retraining.lease import held_lease
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.promotion import roll_back
from orchestrator.retraining.state import ModelPair
from orchestrator.tracking.reading import open_registry


def rollback(retraining: Retraining, reason: str) -> tuple[ModelPair, ModelPair]:
    """Make the previous champion the champion again.

    Args:
        retraining: The retraining.
        reason: The reason, stored with the versions.

    Returns:
        The new champion, and the champion that was rolled back.

    Raises:
        UserInputError: There is no previous champion.
        LockedError: Another process is changing the retraining.
        TransientError: Journal or registry does not answer.
    """
    pairs = ModelPairs(open_registry(retraining.experiment.tracking.uri, retraining.name))
    with held_lease(retraining, pairs) as lease:
        return roll_back(lease, pairs, reason, this_person())
