"""`orchestrator approve`: make a candidate the champion."""

from __future__ import annotations

from orchestrator.cli.options import CandidateVersion, Overrides, Reason, RetrainingFile


def approve(
    retraining: RetrainingFile,
    reason: Reason,
    version: CandidateVersion = None,
    overrides: Overrides = None,
) -> None:
    """Make a candidate the champion.

    By default this is the candidate that `orchestrator retrain` holds until more images arrive, or
    asks you to decide about. Give VERSION to approve a version that the gate rejected or that was
    rolled back; it must have been trained from the current champion. The journal and the tags of
    both versions record who approved it, when and why. To undo the approval, run `orchestrator
    rollback`. The exit code is 2 if there is nothing to approve, and 3 while a retraining is
    running.

    Examples:
    `orchestrator approve experiments/retraining_digits.yaml --reason "checked 50 images by hand"`

    `orchestrator approve experiments/retraining_digits.yaml 7 --reason "slower, but we need it"`
    """
    from orchestrator.cli.deciding import decide

    decide(retraining, "approve", version, reason, overrides)
