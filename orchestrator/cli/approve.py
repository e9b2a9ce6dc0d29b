"""`orchestrator approve`: make a candidate the champion."""

from __future__ import annotations

from orchestrator.cli.options import CandidateVersion, Overrides, Reason, RetrainingFile


def approve(
    retraining: RetrainingFile,
    reason: Reason,
    version: CandidateVersion = None,
    overrides: Overrides = None,
) -> None:
    """Make a candidate the champion: the one about which `orchestrator retrain` asks, or that it
    holds until more images have arrived.

    Without VERSION it is the held candidate. A version that the gate has rejected, or that was
    rolled back, may be approved too, as long as it has learned on from the present champion. Who
    has approved, when and why stands in the journal and in the tags of both versions. To undo it:
    `orchestrator rollback`. Exit code 2 where there is nothing to approve, 3 while a retraining
    works.

    Examples:
    `orchestrator approve experiments/retraining_digits.yaml --reason "checked 50 images by hand"`

    `orchestrator approve experiments/retraining_digits.yaml 7 --reason "slower, but we need it"`
    """
    from orchestrator.cli.deciding import decide

    decide(retraining, "approve", version, reason, overrides)
