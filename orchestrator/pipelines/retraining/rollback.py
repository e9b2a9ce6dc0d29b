"""Back to the champion before: by a person, when the new one turns out worse than its gate could
see.
"""

from __future__ import annotations

from orchestrator.config.retraining import Retraining
from orchestrator.pipelines.retraining.decisions import this_person
from orchestrator.pipelines.retraining.lease import held_lease
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.promotion import roll_back
from orchestrator.retraining.state import ModelPair
from orchestrator.tracking.reading import open_registry


def rollback(retraining: Retraining, reason: str) -> tuple[ModelPair, ModelPair]:
    """Makes the previous champion the champion again.

    Args:
        retraining: Whose.
        reason: Kept beside the versions.

    Returns:
        The champion from here on, and the one that was.

    Raises:
        UserInputError: There is no previous one.
        LockedError: A retraining works right now.
        TransientError: Journal or registry does not answer.
    """
    pairs = ModelPairs(open_registry(retraining.experiment.tracking.uri, retraining.name))
    with held_lease(retraining, pairs) as lease:
        return roll_back(lease, pairs, reason, this_person())
