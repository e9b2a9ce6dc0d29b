"""Build the stage graph: each stage depends on the role's stage of the previous task and, for a
distilled student, on the teacher's stage of the same task. If a method learns every task from all
images, its stages do not depend on the previous task.

The key of a stage is a SHA-256 of exactly the inputs that determine the stage's result. The inputs
are the settings and the data that the stage reads, the seed, the keys of its upstream stages, and a
format number. A developer raises the format number when a change of the code changes results. The
settings `student.*` are not part of a teacher's key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from orchestrator.config.experiment import Experiment
from orchestrator.config.extensions import Extension
from orchestrator.config.roles import ROLES, Role
from orchestrator.data.scenario import Scenario, Task
from orchestrator.errors import ConfigError
from orchestrator.methods.facts import MethodFacts, facts_of, learns_from_unlabeled
from orchestrator.models.backbones import backbone_identity, weights_identity
from orchestrator.stages.configuration import configuration_read, extensions_read, of_role


@dataclass(frozen=True)
class Stage:
    """The teacher's or the student's learning of one task.

    Attributes:
        role: Role of the model.
        task: The task.
        key: Content key; stages with equal keys have equal results.
        upstream: Keys of the stages from whose models this stage learns: the role's stage of the
            previous task and, for a distilled student, the teacher's stage of the same task.
    """

    role: Role
    task: Task
    key: str
    upstream: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the stage's name in logs and summaries, such as `teacher[0]`."""
        return f"{self.role}[{self.task.index}]"


def learned_stages(experiment: Experiment, scenario: Scenario) -> list[Stage]:
    """Return the stages from which this experiment continues: the teacher's and the student's stage
    of the last task that an earlier run learned. Return none if the experiment learns all tasks.

    Raises:
        ConfigError: Tasks were learned earlier, but the method learns every task from all images.
    """
    learned = experiment.scenario.learned
    if learned is None:
        return []
    if facts_of(experiment).learns_from_all_images:
        raise ConfigError(
            f"method {experiment.method.kind} learns every task from all images, and cannot start"
            " from learned ones",
            "scenario.learned",
            "set it to null",
        )
    task = scenario.tasks[learned.num_tasks - 1]
    return [
        Stage("teacher", task, learned.teacher, ()),
        Stage("student", task, learned.student, (learned.teacher,)),
    ]


def stage_graph(experiment: Experiment, scenario: Scenario) -> list[Stage]:
    """Return all stages to compute, in order of computation: for each task, first the teacher's
    stage, then the student's.

    Raises:
        ConfigError: Pre-trained weights cannot be read. Or tasks were learned earlier, but the
            method learns every task from all images.
    """
    method = facts_of(experiment)
    learns_from_scratch = method.learns_from_all_images
    is_distilled = method.student_builds_on_teacher
    stages: list[Stage] = []
    newest: dict[Role, tuple[str, ...]] = {"teacher": (), "student": ()}
    newest |= {stage.role: (stage.key,) for stage in learned_stages(experiment, scenario)}
    backbones = _backbone_identities(experiment)
    data: list[str] = []
    for task in scenario.tasks[scenario.num_learned_tasks :]:
        data = [*(data if learns_from_scratch else []), scenario.fingerprint_of(task)]
        for role in ROLES:
            before = () if learns_from_scratch else newest[role]
            upstream = (*before, *(newest["teacher"] if role == "student" and is_distilled else ()))
            configuration = configuration_read(
                role, learns_from_scratch or task.index == 0, experiment
            )
            content: dict[str, Any] = {
                "format": _format_of(method, role, experiment),
                "role": role,
                "task": task.index,
                "configuration": configuration
                | {path: identity for path, identity in backbones.items() if path in configuration},
                "data": data,
                "upstream": upstream,
                "seed": experiment.seed,
            }
            if extensions := extensions_read(configuration, experiment):
                content["extensions"] = extensions
            if scenario.unlabeled is not None and learns_from_unlabeled(role, experiment):
                content["unlabeled"] = scenario.unlabeled.fingerprint
            key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
            newest[role] = (key,)
            stages.append(Stage(role, task, key, upstream))
    return stages


def _backbone_identities(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Return the identity of each role's backbone, by the backbone's dotted path."""
    found = {}
    for role in ROLES:
        with of_role(role):
            found[f"{role}.backbone"] = backbone_identity(experiment.backbone_of(role))
    return found


def _format_of(method: MethodFacts, role: Role, experiment: Experiment) -> int:
    """Return the format number of a built-in method for a role's stages. Return 0 for an extension,
    because the key of a stage contains the identity of the extension instead.
    """
    return 0 if isinstance(experiment.method, Extension) else method.formats[role]


def weights_of(experiment: Experiment) -> dict[Role, str]:
    """Return the identity of each backbone's pre-trained weights, by role; an empty text stands for
    random weights.

    Raises:
        ConfigError: The weights cannot be read.
    """
    return {role: weights_identity(experiment.backbone_of(role)) for role in ROLES}


def tells_certainty(stage: Stage, scenario: Scenario) -> bool:
    """Return whether a stage's evaluation counts the unlabelled images that the model assigns to
    each class (`Certainty`). Only the evaluation of the last teacher stage counts these images.
    """
    is_last = stage.role == "teacher" and stage.task == scenario.tasks[-1]
    return is_last and scenario.unlabeled is not None


def evaluation_key(stage: Stage, scenario: Scenario) -> str:
    """Return the key of a stage's evaluation. The key covers the model, and the validation and test
    images of all seen classes. For the last teacher stage, it also covers the unlabelled images.
    """
    content = [EVALUATION_FORMAT, stage.key, scenario.fingerprint_of_judging(stage.task)]
    if scenario.unlabeled is not None and tells_certainty(stage, scenario):
        content.append(scenario.unlabeled.fingerprint)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


EVALUATION_FORMAT = 1
