"""Run the steps of one tick of a retraining, from the scan of the source to the decision.

While a candidate is held, training continues from the held candidate instead of the champion, so
that no class is learned twice. The gate then compares the new candidate with the champion. If the
new candidate is promoted or held, it supersedes the held candidate. If the new candidate is
rejected, the held candidate stays held.

Before a tick trains, it checks for new held-out images of the held candidate's classes. If there
are any, the gate judges the held candidate again. While the gate asks a person to decide, no
candidate is trained or promoted, and new files wait for the person's decision.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.config.retraining import Retraining
from orchestrator.pipelines.retraining.judging import Gatekeeper, carry_out
from orchestrator.pipelines.retraining.looking import Look, Looking
from orchestrator.pipelines.retraining.monitor import monitor
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.pipelines.retraining.versions import register, tag_decision
from orchestrator.pipelines.run.listener import RunListener
from orchestrator.pipelines.run.run import RunResult, run
from orchestrator.retraining.candidate import candidate_experiment, draft_lineage
from orchestrator.retraining.changes import ChangePlan, plan_changes
from orchestrator.retraining.gate_power import find_few_images
from orchestrator.retraining.lease import Lease
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.promotion import reject
from orchestrator.retraining.registration import Registered
from orchestrator.retraining.retries import Attempt, next_attempt, settings_of
from orchestrator.retraining.scan import list_unlabeled, take_unlabeled
from orchestrator.retraining.shift import find_shifts
from orchestrator.retraining.state import GATE, Note, State, Tried
from orchestrator.retraining.version_states import VersionState
from orchestrator.stages import StageStore
from orchestrator.tracking import NullTracker
from orchestrator.tracking.registry import ModelRegistry

logger = logging.getLogger(__name__)


class Tick:
    """One tick of a retraining. The tick scans the source, trains a candidate, lets the gate judge
    the candidate, and then promotes, holds or rejects it.
    """

    def __init__(
        self,
        retraining: Retraining,
        registry: ModelRegistry,
        folder: Path,
        scratch: Path,
        state: State,
        listener: RunListener | None,
    ) -> None:
        """Create the tick without running it.

        Args:
            retraining: The retraining.
            registry: The registry of the versions.
            folder: Folder for the files of the candidate's run.
            scratch: Folder for files that are needed only during the tick.
            state: The current champion, and the held candidate about which the gate could not
                decide.
            listener: Receives the events of training; None if no listener is needed.
        """
        self._retraining = retraining
        self._registry = registry
        self._folder = folder
        self._scratch = scratch
        self._state = state
        self._listener = listener
        self._pairs = ModelPairs(registry)
        self._store = StageStore(retraining.experiment.store.uri)
        self._looking = Looking(retraining, registry, self._store, scratch)

    def work(self, lease: Lease | None) -> RetrainingOutcome:
        """Run the tick, and return its outcome.

        Args:
            lease: The lease, held by this process; None for a dry run, which changes nothing.

        Raises:
            UserInputError: Data, or the champion's files, cannot be used.
            TransientError: Source, store, journal or registry cannot be used, or another process
                has taken the lease.
        """
        look = self._looking.look(self._state, lease)
        if look.changed_held_files and not self._is_asked:
            self._end_held(lease, look)
            look = self._looking.look(self._state, lease)
        base, found = look.base, look.found
        unlabeled = look.without_set_aside(list_unlabeled(self._retraining.source))
        shifts = find_shifts(found, base, self._retraining) if base else []
        shifts += monitor(self._retraining, look.champion, found, unlabeled, lease)
        plan = plan_changes(found, look.lineage, self._retraining, shifts)
        outcome = self._before_learning(plan, look, is_dry=lease is None)
        if self._state.held is not None and self._is_asked:
            return outcome.still_held(self._state.held)
        if plan.refusals:
            return outcome
        if look.held is not None and not found.rewritten:
            outcome = self._judge_again(lease, look, look.held, outcome)
            if outcome.outcome in ("promoted", "rejected", "asked"):
                return outcome
        if not plan.learns:
            return self._nothing_learned(outcome)
        few = find_few_images(found, look.lineage, self._retraining)
        # log the findings before training, and not only in the outcome after training
        for finding in few:
            logger.warning("%s", finding.message)
        outcome = replace(outcome, findings=(*outcome.findings, *few))
        attempt = next_attempt(self._state, found, plan, self._retraining, time.time())
        if attempt.waits:
            return self._nothing_learned(outcome, attempt.waits)
        taken = take_unlabeled(self._retraining.source, unlabeled, look.lineage.unlabeled)
        draft = draft_lineage(self._retraining.experiment, look.lineage, found, plan, taken)
        return self._learn(lease, look, _Task(plan, draft, attempt), outcome)

    @property
    def _is_asked(self) -> bool:
        return self._state.held is not None and self._state.held.is_asked

    def _before_learning(self, plan: ChangePlan, look: Look, is_dry: bool) -> RetrainingOutcome:
        outcome = RetrainingOutcome.before_learning(plan, look.found, self._state.champion, is_dry)
        held = self._state.held
        return replace(
            outcome,
            new_classes=look.new_classes(plan.new_classes),
            held=held.pair if held else None,
        )

    def _end_held(self, lease: Lease | None, look: Look) -> None:
        """Reject the held candidate (neither promoted nor rejected so far), because files that it
        has learned have changed. The current tick can then train on the changed files.
        """
        held = self._state.held
        assert held is not None  # noqa: S101 - its files have changed
        if lease is None:
            self._state = replace(self._state, held=None, tried=None)
            return
        reason = f"the candidate's files have changed: {', '.join(look.changed_held_files)}"
        note = Note(held.pair, VersionState.REJECTED, reason, GATE)
        again = Tried(held.pair, time.time(), settings=settings_of(self._retraining))
        reject(lease, self._pairs, note, again)
        self._state = lease.state

    def _judge_again(
        self, lease: Lease | None, look: Look, held: Registered, outcome: RetrainingOutcome
    ) -> RetrainingOutcome:
        """Judge the held candidate (neither promoted nor rejected so far) again if the source has
        new held-out images of the candidate's classes. Otherwise return the outcome unchanged.
        """
        judged = self._state.held.judged_files if self._state.held else ()
        files = look.files_to_judge_by(self._retraining.source.held_out_fraction)
        if {*files} <= {*judged}:
            return outcome
        gatekeeper = Gatekeeper(self._retraining, look.champion, self._state.num_verdicts + 1)
        decision = gatekeeper.held(held, look.found)
        run_id = self._registry.version("student", held.pair.student).run_id
        decided = outcome.decided(decision, held.pair, run_id)
        if lease is None:
            self._state = replace(self._state, num_verdicts=gatekeeper.num_looks)
            return decided
        lease.check()
        tag_decision(self._registry, held.pair, run_id, decision)
        attempt = Attempt((*look.held_files,), 0, settings_of(self._retraining))
        carry_out(decision, lease, self._pairs, held.pair, attempt, (*{*judged, *files},))
        self._state = lease.state
        return decided

    def _nothing_learned(self, outcome: RetrainingOutcome, waits: str = "") -> RetrainingOutcome:
        held = self._state.held
        if held is not None and not outcome.conditions:
            return outcome.still_held(held, waits)
        return replace(outcome, reason="; ".join(filter(None, (outcome.reason, waits))))

    def _learn(
        self, lease: Lease | None, look: Look, task: _Task, outcome: RetrainingOutcome
    ) -> RetrainingOutcome:
        """Train, judge and register the candidate; then promote, hold or reject it as the gate
        decides.
        """
        if look.base is not None:
            look.base.restore(self._store)
        experiment = candidate_experiment(self._retraining, look.base, task.draft, task.plan)
        result = run(
            task.attempt.seeded(experiment),
            self._folder / "candidate",
            name=f"{self._retraining.name} candidate {task.name}",
            listener=self._listener,
            tracker=NullTracker() if lease is None else None,
            retraining=self._retraining.name,
        )
        num_looks = self._state.num_verdicts + (not task.attempt.repeats(self._state.tried))
        decision = Gatekeeper(self._retraining, look.champion, num_looks).learned(result)
        if lease is None:
            return outcome.decided(decision, None, None)
        lease.check()
        run_id = result.summary["run_id"]
        pair = register(
            result, task.draft, look.champion, self._registry, decision.class_accuracies
        )
        tag_decision(self._registry, pair, run_id, decision)
        carry_out(decision, lease, self._pairs, pair, task.attempt)
        self._forget_decoded(result)
        return outcome.decided(decision, pair, run_id)

    def _forget_decoded(self, result: RunResult) -> None:
        """Remove the decoded images of this tick, because the next tick decodes other images."""
        scenario = result.work.scenario
        scenario.table.path.unlink(missing_ok=True)
        if scenario.unlabeled is not None and self._retraining.source.unlabeled is not None:
            scenario.unlabeled.table.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Task:
    """Task of a tick: the candidate to train.

    Attributes:
        plan: The plan, which lists the classes to learn.
        draft: The lineage of the candidate, as far as it is known before training.
        attempt: The new files to learn from, and the number of retries with other seeds.
    """

    plan: ChangePlan
    draft: Lineage
    attempt: Attempt

    @property
    def name(self) -> str:
        """Return the name of the candidate's run."""
        new, refreshed = self.plan.new_classes, self.plan.refreshed
        retries = self.attempt.num_retries
        return " ".join(
            [
                *([f"+{{{', '.join(map(str, new))}}}"] if new else []),
                *([f"refresh {{{', '.join(refreshed)}}}"] if refreshed else []),
                *([f"retry {retries}"] if retries else []),
            ]
        )
