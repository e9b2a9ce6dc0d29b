"""`orchestrator reject`: reject a candidate."""

from __future__ import annotations

from orchestrator.cli.options import CandidateVersion, Overrides, Reason, RetrainingFile


def reject(
    retraining: RetrainingFile,
    reason: Reason,
    version: CandidateVersion = None,
    overrides: Overrides = None,
) -> None:
    """Reject a candidate: the one about which `orchestrator retrain` asks, or that it holds until
    more images have arrived.

    Without VERSION it is the held candidate. The champion stays; the next ticks skip the files
    that the candidate has learned from, until those change. Who has rejected, when and why stands
    in the journal and in the tags of both versions. The champion itself is not rejected but rolled
    back: `orchestrator rollback`. Exit code 2 where there is nothing to reject, 3 while a
    retraining works.

    Example:
    `orchestrator reject experiments/retraining_digits.yaml --reason "the labels of 4 are wrong"`
    """
    from orchestrator.cli.deciding import decide

    decide(retraining, "reject", version, reason, overrides)
