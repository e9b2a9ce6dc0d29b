"""`orchestrator reject`: reject a candidate."""

from __future__ import annotations

from orchestrator.cli.options import CandidateVersion, Overrides, Reason, RetrainingFile


def reject(
    retraining: RetrainingFile,
    reason: Reason,
    version: CandidateVersion = None,
    overrides: Overrides = None,
) -> None:
    """Reject a candidate, so that the champion stays.

    By default this is the candidate that `orchestrator retrain` holds until more images arrive, or
    asks you to decide about. The next ticks skip the files that the candidate learned from, until
    these files change. The journal and the tags of both versions record who rejected it, when and
    why. The champion itself cannot be rejected; run `orchestrator rollback` instead. The exit code
    is 2 if there is nothing to reject, and 3 while a retraining is running.

    Example:
    `orchestrator reject experiments/retraining_digits.yaml --reason "the labels of 4 are wrong"`
    """
    from orchestrator.cli.deciding import decide

    decide(retraining, "reject", version, reason, overrides)
