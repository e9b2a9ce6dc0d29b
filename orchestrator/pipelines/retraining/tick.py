"""One tick of a retraining: from the scan of the source to the decision."""

from __future__ import annotations

from pathlib import Path

from orchestrator.config.retraining import Retraining
from orchestrator.config.roles import ROLES
from orchestrator.data.scenario import Split
from orchestrator.pipelines.retraining.monitor import monitor
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.pipelines.retraining.versions import register, tag_decision
from orchestrator.pipelines.run.listener import RunListener
from orchestrator.pipelines.run.run import RunResult, run
from orchestrator.retraining.candidate import candidate_experiment, draft_lineage
from orchestrator.retraining.changes import ChangePlan, plan_changes
from orchestrator.retraining.evidence import KnownTasks, gather_evidence
from orchestrator.retraining.gate import PromotionDecision, decide
from orchestrator.retraining.journal import State
from orchestrator.retraining.lease import Lease
from orchestrator.retraining.lineage import Lineage, QuarantinedFile
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.promotion import promote, reject
from orchestrator.retraining.registration import Registered, load_lineage, load_registered
from orchestrator.retraining.scan import list_unlabeled, scan, take_unlabeled
from orchestrator.retraining.shift import find_shifts
from orchestrator.stages import StageStore
from orchestrator.tracking import NullTracker
from orchestrator.tracking.mlflow.registry import REASON_TAG, ModelRegistry


class Tick:
    """Scan, learn, judge, and promote or reject."""

    def __init__(
        self,
        retraining: Retraining,
        registry: ModelRegistry,
        folder: Path,
        scratch: Path,
        state: State,
        listener: RunListener | None,
    ) -> None:
        """Do nothing yet.

        Args:
            retraining: What, from where, and under which conditions.
            registry: Has the versions.
            folder: For what the candidate's run writes.
            scratch: For files that are needed only during the tick.
            state: Who is champion, previous and challenger.
            listener: Receives the events of the learning; None for silence.
        """
        self._retraining = retraining
        self._registry = registry
        self._folder = folder
        self._scratch = scratch
        self._state = state
        self._listener = listener
        self._store = StageStore(retraining.experiment.store.uri)

    def work(self, lease: Lease | None) -> RetrainingOutcome:
        """Do what is to be done now, and return how it ended.

        Args:
            lease: Held by this process; None for a dry run, which changes nothing.

        Raises:
            UserInputError: Data, or the champion's files, cannot be used.
            TransientError: Source, store, journal or registry cannot be used, or another
                retraining has taken over.
        """
        champion = self._champion()
        lineage = champion.lineage if champion else Lineage()
        source = self._retraining.source
        found = scan(source, lineage, self._quarantined(lineage))
        without_labels = list_unlabeled(source)
        shifts = find_shifts(found, champion, self._retraining) if champion else []
        shifts += monitor(self._retraining, champion, found, without_labels, lease)
        plan = plan_changes(found, lineage, self._retraining, shifts)
        outcome = RetrainingOutcome.before_learning(
            plan, found, self._state.champion, is_dry=lease is None
        )
        if not plan.learns:
            return outcome
        unlabeled = take_unlabeled(source, without_labels, lineage.unlabeled)
        draft = draft_lineage(self._retraining.experiment, lineage, found, plan, unlabeled)
        experiment = candidate_experiment(self._retraining, champion, draft, plan)
        if champion is not None:
            champion.restore(self._store)
        tracker = NullTracker() if lease is None else None
        result = run(
            experiment,
            self._folder / "candidate",
            name=self._run_name(plan),
            listener=self._listener,
            tracker=tracker,
        )
        decision = self._judge(result, champion)
        if lease is None:
            return outcome.decided(decision, None, None)
        lease.check()
        pair = register(result, draft, champion, self._registry)
        tag_decision(self._registry, pair, result.summary["run_id"], decision)
        (promote if decision.promote else reject)(
            lease, ModelPairs(self._registry), pair, decision.reason
        )
        self._forget_decoded(result)
        return outcome.decided(decision, pair, result.summary["run_id"])

    def _forget_decoded(self, result: RunResult) -> None:
        """Remove decoded images that have arrived: the next tick reads others."""
        scenario = result.work.scenario
        scenario.table.path.unlink(missing_ok=True)
        if scenario.unlabeled is not None and self._retraining.source.unlabeled is not None:
            scenario.unlabeled.table.path.unlink(missing_ok=True)

    def _champion(self) -> Registered | None:
        if self._state.champion is None:
            return None
        return load_registered(
            self._registry, self._state.champion, self._scratch / "champion", self._store
        )

    def _quarantined(self, champion: Lineage) -> list[QuarantinedFile]:
        """Return the files of what was rejected, or rolled back, since the champion learned."""
        challenger, of_champion = self._state.challenger, self._state.champion
        if self._retraining.reactions.rejected_files == "retry":
            return []
        found = list(champion.quarantined)
        if challenger is not None and (
            of_champion is None or int(challenger.student) > int(of_champion.student)
        ):
            rejected = load_lineage(self._registry, challenger, self._scratch / "challenger")
            known = {file.sha256 for file in champion.files}
            reason = self._registry.version("student", challenger.student).tags.get(
                REASON_TAG, "rejected"
            )
            found += [
                QuarantinedFile(
                    name=file.name,
                    sha256=file.sha256,
                    reason=f"version {challenger.student}: {reason}",
                )
                for file in rejected.files
                if file.sha256 not in known
            ]
            found += rejected.quarantined
        return found

    def _run_name(self, plan: ChangePlan) -> str:
        learned = [f"+{{{', '.join(map(str, plan.new_classes))}}}"] if plan.new_classes else []
        refreshed = [f"refresh {{{', '.join(plan.refreshed)}}}"] if plan.refreshed else []
        return f"{self._retraining.name} candidate {' '.join([*learned, *refreshed])}"

    def _judge(self, result: RunResult, champion: Registered | None) -> PromotionDecision:
        scenario = result.work.scenario
        num_old = len(champion.lineage.classes) if champion else 0
        evidence = gather_evidence(
            {role: model.network for role, model in result.models.items()},
            champion.networks() if champion else {},
            scenario.images_of(Split.TEST, range(len(scenario.class_names))),
            num_old,
            KnownTasks(
                scenario.class_names,
                [task.new_classes for task in scenario.tasks],
                {role: result.summary[role]["forgetting"] for role in ROLES},
            ),
        )
        return decide(evidence, self._retraining.gate)
