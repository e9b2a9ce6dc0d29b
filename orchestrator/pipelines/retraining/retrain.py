"""One tick of a retraining: whenever a scheduler runs it, and however often, it does the right
thing once.

Take the lease → load the champion → scan the source → decide → learn one more task → measure → gate
→ promote, or not → release. Each step can be interrupted: what was learned is in the stage store,
what was decided is in the journal, and the next tick goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.config.addresses import below, sqlite_path
from orchestrator.config.retraining import Retraining
from orchestrator.config.roles import ROLES, Role
from orchestrator.data.scenario import Split
from orchestrator.errors import LockedError, OrchestratorError, TransientError
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome, outcome_tags
from orchestrator.pipelines.run.execution import check_execution, check_extensions_everywhere
from orchestrator.pipelines.run.listener import RunListener
from orchestrator.pipelines.run.models import package_final_model
from orchestrator.pipelines.run.outputs import remove_earlier_summary, write_summary
from orchestrator.pipelines.run.run import RunResult, make_writable, run
from orchestrator.retraining.candidate import candidate_experiment, draft_lineage, learned_lineage
from orchestrator.retraining.changes import ChangePlan, plan_changes
from orchestrator.retraining.gate import PromotionDecision, decide, measure
from orchestrator.retraining.journal import Journal, ModelPair, State
from orchestrator.retraining.lease import Heartbeat, Lease, this_holder
from orchestrator.retraining.lineage import Lineage, QuarantinedFile
from orchestrator.retraining.model_pairs import ModelPairs
from orchestrator.retraining.promotion import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    check_champion,
    promote,
    reject,
    settle,
)
from orchestrator.retraining.registration import (
    Registered,
    load_lineage,
    load_registered,
    stage_keys,
    write_state,
)
from orchestrator.retraining.scan import scan
from orchestrator.retraining.shift import find_shifts
from orchestrator.retraining.storage import ObjectStorage
from orchestrator.retraining.webhook import tell
from orchestrator.stages import StageStore
from orchestrator.tracking import NullTracker
from orchestrator.tracking.mlflow.registry import (
    PREDECESSOR_TAG,
    REASON_TAG,
    STATE_TAG,
    TEACHER_TAG,
    ModelRegistry,
)
from orchestrator.tracking.reading import open_registry

logger = logging.getLogger(__name__)


def retrain(
    retraining: Retraining,
    dry_run: bool = False,
    output: str | Path | None = None,
    scheduled_at: datetime | None = None,
    listener: RunListener | None = None,
) -> RetrainingOutcome:
    """Does what is to be done now.

    Args:
        retraining: What, from where, and under which conditions.
        dry_run: Decide, and change nothing: no lease, no run in MLflow, no version, no alias, and
            nobody is told. What is learned on the way stays in the stage store, where the next tick
            finds it.
        output: Folder for summary.json, and for what the candidate's run writes; None means
            `out/retraining/NAME`.
        scheduled_at: When this tick was due; None means now.
        listener: Told about the learning; None for silence.

    Raises:
        UserInputError: Configuration, data or the champion's files cannot be used.
        TransientError: Source, store, journal, registry or output folder cannot be used, or another
            retraining has taken over.
        InterruptedRunError: It was interrupted.
    """
    folder = Path(output) if output is not None else Path("out") / "retraining" / retraining.name
    make_writable(folder)
    remove_earlier_summary(folder)
    try:
        outcome = _outcome(retraining, dry_run, folder, scheduled_at, listener)
    except OrchestratorError as error:
        if not dry_run:
            failure = {"outcome": "failed", "reason": str(error), "exit_code": error.exit_code}
            tell(retraining.webhook, {"retraining": retraining.name, **failure})
        raise
    write_summary(folder, outcome.summary())
    if outcome.conditions:
        from orchestrator.pipelines.retraining.report import write_report  # noqa: PLC0415 - draws with matplotlib, which is slow to import

        outcome = write_report(outcome, retraining, folder)
    if not dry_run:  # who is told of a promotion may deliver it
        tell(retraining.webhook, {"retraining": retraining.name, **outcome.summary()})
    return outcome


def _outcome(
    retraining: Retraining,
    dry_run: bool,
    folder: Path,
    scheduled_at: datetime | None,
    listener: RunListener | None,
) -> RetrainingOutcome:
    limit = retraining.max_tick_age_seconds
    age = (datetime.now(UTC) - scheduled_at).total_seconds() if scheduled_at else 0.0
    if limit is not None and age > limit:
        return RetrainingOutcome(
            "nothing_to_do",
            f"this tick was due {age:.0f} s ago; from {limit:.0f} s on it is skipped",
        )
    check_execution(retraining.experiment.execution)
    check_extensions_everywhere(retraining.experiment)
    with tempfile.TemporaryDirectory(prefix="orchestrator-champion-") as scratch:
        uri = retraining.experiment.tracking.uri
        database = sqlite_path(uri)
        if dry_run and database is not None and not database.exists():  # opening it would make it
            uri = f"sqlite:///{scratch}/mlflow.db"
        registry = open_registry(uri, retraining.name)
        pairs = ModelPairs(registry)
        if dry_run:
            state = State(
                pairs.holder_of(CHAMPION), pairs.holder_of(PREVIOUS), pairs.holder_of(CHALLENGER)
            )
            return _Tick(retraining, registry, folder, Path(scratch), state, listener).work(None)
        try:
            with held_lease(retraining, pairs) as lease:
                check_champion(lease.state, pairs)
                return _Tick(
                    retraining, registry, folder, Path(scratch), lease.state, listener
                ).work(lease)
        except LockedError as locked:
            return RetrainingOutcome("locked", str(locked))


@contextmanager
def held_lease(retraining: Retraining, pairs: ModelPairs) -> Iterator[Lease]:
    """The lease, with journal and registry settled before and after.

    Raises:
        LockedError: Another process has it.
        TransientError: Journal or registry does not answer.
    """
    folder = hashlib.sha256(retraining.experiment.tracking.uri.encode()).hexdigest()[:8]
    journal = Journal(ObjectStorage(below(retraining.journal_uri, f"{retraining.name}-{folder}")))
    lease = Lease.acquire(journal, retraining.lease, this_holder())
    try:
        with Heartbeat(lease, retraining.lease.heartbeat_seconds):
            settle(lease, pairs)
            yield lease
            if lease.state.late_tellers:
                settle(lease, pairs)
    finally:
        with suppress(TransientError):  # whoever comes next sees that this process is gone
            lease.release()


class _Tick:
    """One tick, with the lease or (a dry run) without."""

    def __init__(
        self,
        retraining: Retraining,
        registry: ModelRegistry,
        folder: Path,
        scratch: Path,
        state: State,
        listener: RunListener | None,
    ) -> None:
        self._retraining = retraining
        self._registry = registry
        self._folder = folder
        self._scratch = scratch
        self._state = state
        self._listener = listener
        self._store = StageStore(retraining.experiment.store.uri)

    def work(self, lease: Lease | None) -> RetrainingOutcome:
        """From the scan to the decision."""
        champion = self._champion()
        lineage = champion.lineage if champion else Lineage()
        found = scan(self._retraining.source, lineage, self._quarantined(lineage))
        shifts = find_shifts(found, champion, self._retraining) if champion else []
        plan = plan_changes(found, lineage, self._retraining, shifts)
        outcome = RetrainingOutcome.before_learning(
            plan, found, self._state.champion, is_dry=lease is None
        )
        if not plan.learns:
            return outcome
        draft = draft_lineage(self._retraining.experiment, lineage, found, plan)
        experiment = candidate_experiment(self._retraining, champion, draft, plan)
        if champion is not None:
            champion.restore(self._store)
        tracker = NullTracker() if lease is None else None
        result = run(
            experiment, self._folder / "candidate", self._run_name(plan), self._listener, tracker
        )
        decision = self._judge(result, champion)
        if lease is None:
            return outcome.decided(decision, None, None)
        lease.check()
        pair = self._register(result, draft, champion)
        self._tag(pair, result.summary["run_id"], decision)
        (promote if decision.promote else reject)(
            lease, ModelPairs(self._registry), pair, decision.reason
        )
        result.work.scenario.table.path.unlink(missing_ok=True)  # the next tick reads other images
        return outcome.decided(decision, pair, result.summary["run_id"])

    def _champion(self) -> Registered | None:
        if self._state.champion is None:
            return None
        return load_registered(
            self._registry, self._state.champion, self._scratch / "champion", self._store
        )

    def _quarantined(self, champion: Lineage) -> list[QuarantinedFile]:
        """Files of what was rejected, or rolled back, since the champion learned."""
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
        measured = measure(
            {role: model.network for role, model in result.models.items()},
            champion.networks() if champion else {},
            scenario.images_of(Split.TEST, range(len(scenario.class_names))),
            num_old,
            {role: result.summary[role]["forgetting"] for role in ROLES},
        )
        return decide(measured, self._retraining.gate)

    def _register(
        self, result: RunResult, draft: Lineage, champion: Registered | None
    ) -> ModelPair:
        """Both versions; of a candidate that an interrupted tick has registered, the same ones
        again.
        """
        keys: dict[Role, str] = {stage.role: stage.key for stage in result.work.stages}
        matrices: dict[Role, list[list[float]]] = {
            role: result.summary[role]["accuracy_matrix"] for role in ROLES
        }
        lineage = learned_lineage(draft, keys, matrices)
        identity = hashlib.sha256(
            json.dumps([stage_keys(lineage), [file.sha256 for file in draft.files]]).encode()
        ).hexdigest()[:32]
        versions = {}
        for role in ROLES:
            package = package_final_model(result.output_dir, result.summary, result.work, role)
            if role == "teacher":
                write_state(package, lineage, result.work.experiment, result.work.store)
            versions[role] = self._registry.register(
                role, package, result.summary["run_id"], identity
            )
        pair = ModelPair(**versions)
        predecessor = champion.pair.student if champion else ""
        self._registry.set_tags(
            "student", pair.student, {TEACHER_TAG: pair.teacher, PREDECESSOR_TAG: predecessor}
        )
        return pair

    def _tag(self, pair: ModelPair, run_id: str, decision: PromotionDecision) -> None:
        tags = outcome_tags(decision)
        self._registry.tag_run(
            run_id,
            {
                **tags,
                STATE_TAG: "promoted" if decision.promote else "rejected",
                REASON_TAG: decision.reason,
            },
        )
        self._registry.set_tags("teacher", pair.teacher, tags)
        self._registry.set_tags("student", pair.student, tags)
