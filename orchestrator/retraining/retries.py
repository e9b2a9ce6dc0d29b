"""Decide when to try the files of a rejected candidate again, and with which seed.

If the data did not cause the rejection, the candidate's seed or the held-out images may have been
unlucky. The files that the candidate learned from then still count as new. The next candidate
learns from all new files as soon as more files have arrived, or the configuration of the experiment
or of the gate has changed. Until then, the same files are tried again only after some time, with
another seed, and only a few times.
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
    """A planned training of a candidate, with the decision to train now or to wait.

    Attributes:
        files: Identifiers of the new files that the candidate would learn from (see `file_id`).
        num_retries: Number of retries with other seeds, including this attempt.
        settings: Digest of the settings of the experiment and the gate.
        waits: Reason to wait; empty if the candidate is trained now.
    """

    files: tuple[str, ...]
    num_retries: int
    settings: str
    waits: str = ""

    def repeats(self, tried: Tried | None) -> bool:
        """Return whether this attempt repeats a rejected one: same files, seed and settings.

        The repetition trains an equal candidate, so the gate need not count it as another attempt.
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
    """Plan the next training of a candidate: decide whether to train now, and with which seed.

    Args:
        state: State of the retraining, including the last rejected attempt.
        found: Scan of the source.
        plan: Plan of the tick, with classes to learn.
        retraining: Configuration of the retraining, including the number of retries and the time
            between them.
        now: Present time in seconds since 1970.
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
            f"{again} when more files have arrived, or after {when} with another seed"
            f" ({num_retries} of {reactions.max_retries})"
        )
        return Attempt(files, num_retries, attempt.settings, waits)
    return Attempt(files, num_retries, attempt.settings)


def tried_with(attempt: Attempt, rejected: ModelPair, now: float) -> Tried:
    """Return the record of a rejected attempt for the retraining's state."""
    return Tried(rejected, now, attempt.files, attempt.num_retries, attempt.settings)


def settings_of(retraining: Retraining) -> str:
    """Return a digest of the settings by which a candidate is trained and judged."""
    tree = {
        "experiment": retraining.experiment.model_dump(mode="json", exclude=_NOT_LEARNED_BY),
        "gate": retraining.gate.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]
