"""When the files of a rejected candidate are tried again, and with which seed.

A candidate that was rejected for no fault of its data may have been unlucky: with its seed, or with
the images it was judged by. Its files count as new. As soon as others have arrived, or the
experiment or the gate is configured differently, a candidate learns from all of them; before that,
only after some time, with another seed, and only a few times.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.config.experiment import Experiment
from orchestrator.config.retraining import Retraining
from orchestrator.retraining.changes import ChangePlan
from orchestrator.retraining.scan import Scan
from orchestrator.retraining.state import ModelPair, State, Tried, file_id

_SEEDS = 2**63
_NOT_LEARNED_BY = {"name", "scenario", "execution", "store", "tracking"}


@dataclass(frozen=True)
class Attempt:
    """Describe a candidate before it is learned.

    Attributes:
        files: New files that it would learn from (see `file_id`).
        num_retries: How many other seeds have been tried, this one included.
        settings: Identity of the experiment and the gate.
        waits: Why it is not learned now; empty where it is.
    """

    files: tuple[str, ...]
    num_retries: int
    settings: str
    waits: str = ""

    def repeats(self, tried: Tried | None) -> bool:
        """Return whether the same candidate was judged by the same images before: another verdict
        is no other chance to pass.
        """
        return tried is not None and (self.files, self.num_retries, self.settings) == (
            tried.files,
            tried.num_retries,
            tried.settings,
        )

    def seeded(self, experiment: Experiment) -> Experiment:
        """Return the experiment with this attempt's seed."""
        seed = (experiment.seed + self.num_retries) % _SEEDS
        return experiment.model_copy(update={"seed": seed})


def next_attempt(
    state: State, found: Scan, plan: ChangePlan, retraining: Retraining, now: float
) -> Attempt:
    """Return whether a candidate is learned now, and with which seed.

    Args:
        state: What was tried last.
        found: In the source.
        plan: Learns something.
        retraining: How often, and how long after, the same files are tried again.
        now: Seconds since 1970.
    """
    reactions, tried = retraining.reactions, state.tried
    learned = {*map(str, plan.new_classes), *plan.refreshed}
    files = tuple(sorted(file_id(file.sha256) for file in found.new if learned & {*file.digests}))
    attempt = Attempt(files, 0, settings_of(retraining))
    if (
        tried is None
        or reactions.rejected_files == "retry"
        or not {*files} <= {*tried.files}
        or attempt.settings != tried.settings
    ):
        return attempt
    num_retries = tried.num_retries + 1
    again = f"version {tried.pair.student}, which was rejected, is tried again"
    if num_retries > reactions.max_retries or reactions.retry_after_seconds is None:
        waits = f"{again} when more files have arrived"
        return Attempt(files, num_retries, attempt.settings, waits)
    due = tried.at + reactions.retry_after_seconds
    if now < due:
        when = datetime.fromtimestamp(due, UTC).isoformat(timespec="seconds")
        waits = (
            f"{again} when more files have arrived, or from {when} on with another seed"
            f" ({num_retries} of {reactions.max_retries})"
        )
        return Attempt(files, num_retries, attempt.settings, waits)
    return Attempt(files, num_retries, attempt.settings)


def tried_with(attempt: Attempt, rejected: ModelPair, now: float) -> Tried:
    """Return what the state keeps of an attempt whose candidate is rejected."""
    return Tried(rejected, now, attempt.files, attempt.num_retries, attempt.settings)


def settings_of(retraining: Retraining) -> str:
    """Return the identity of what a candidate is learned and judged by."""
    tree = {
        "experiment": retraining.experiment.model_dump(mode="json", exclude=_NOT_LEARNED_BY),
        "gate": retraining.gate.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]
