"""Register the versions of a candidate, and write the gate's decision to the candidate's run."""

from __future__ import annotations

import hashlib
import json

from orchestrator import output_files
from orchestrator.config.roles import ROLES, Role
from orchestrator.pipelines.retraining.outcome import OUTCOMES, outcome_tags
from orchestrator.pipelines.run.models import package_final_model
from orchestrator.pipelines.run.run import RunResult
from orchestrator.retraining.candidate import learned_lineage
from orchestrator.retraining.class_accuracies import ClassAccuracies, write_class_accuracies
from orchestrator.retraining.gate import PromotionDecision
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.registration import STATE_FOLDER, Registered, stage_keys, write_state
from orchestrator.retraining.state import GATE, ModelPair
from orchestrator.tracking.names import STATE_TAG
from orchestrator.tracking.registry import (
    DECIDED_BY_TAG,
    PREDECESSOR_TAG,
    REASON_TAG,
    TEACHER_TAG,
    ModelRegistry,
)


def register(
    result: RunResult,
    draft: Lineage,
    champion: Registered | None,
    registry: ModelRegistry,
    accuracies: ClassAccuracies,
) -> ModelPair:
    """Register the teacher and the student of a candidate, and return both versions. Versions that
    an interrupted tick has already registered are reused.

    Args:
        result: The result of the candidate's run.
        draft: The lineage of the candidate, without its stages.
        champion: The champion when the candidate was trained; None if there was none.
        registry: The registry.
        accuracies: The candidate's accuracies by class, stored with the teacher's version.

    Raises:
        TransientError: The registry does not answer.
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
            write_class_accuracies(package / STATE_FOLDER, accuracies)
        versions[role] = registry.register(role, package, result.summary["run_id"], identity)
    pair = ModelPair(**versions)
    predecessor = champion.pair.student if champion else ""
    registry.set_tags(
        "student", pair.student, {TEACHER_TAG: pair.teacher, PREDECESSOR_TAG: predecessor}
    )
    return pair


def tag_decision(
    registry: ModelRegistry, pair: ModelPair, run_id: str, decision: PromotionDecision
) -> None:
    """Write the gate's decision to the candidate's run: outcome, reason and conditions as tags, and
    the whole decision as a file. State and reason are also stored as tags of the versions, but not
    by this function.

    Args:
        registry: The registry with the run and the versions.
        pair: The candidate.
        run_id: Id of the candidate's run.
        decision: The decision, with the gate's conditions.

    Raises:
        TransientError: The registry does not answer.
    """
    state = OUTCOMES[decision.verdict]
    content = {
        "teacher_version": pair.teacher,
        "student_version": pair.student,
        "outcome": state,
        "reason": decision.reason,
        "conditions": [condition.summary() for condition in decision.conditions],
    }
    registry.write_run_file(run_id, output_files.GATE_FILE, json.dumps(content, indent=1))
    decided = {STATE_TAG: state, REASON_TAG: decision.reason, DECIDED_BY_TAG: GATE}
    registry.tag_run(run_id, {**outcome_tags(decision), **decided})
