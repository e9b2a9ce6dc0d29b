"""The stage graph: teacher[0] → teacher[1] → …, and student[t] after teacher[t] and student[t-1].

A stage's key is a SHA-256 over all that determines its result, and nothing else: the part of the configuration it reads, the
data it reads, the seed, the keys of the stages before it, and a format number that is raised by hand when the code changes
what it computes. `student.*` is not part of a teacher's key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.config.experiment import Experiment
from orchestrator.config.learning import DualTeacherConfig
from orchestrator.data.scenario import Scenario, Task

Role = Literal["teacher", "student"]
STAGE_FORMAT = {"teacher": 2, "student": 2}


@dataclass(frozen=True)
class Stage:
    """The teacher's or the student's learning of one task.

    Attributes:
        role: Whose.
        task: Which.
        key: Content key: equal keys, equal results.
    """

    role: Role
    task: Task
    key: str

    @property
    def name(self) -> str:
        """`teacher[0]`: as in logs and summaries."""
        return f"{self.role}[{self.task.index}]"


def stage_graph(experiment: Experiment, scenario: Scenario) -> list[Stage]:
    """All stages in an order in which they can be computed: each task's teacher, then its student."""
    stages: list[Stage] = []
    keys: dict[Role, str] = {"teacher": "", "student": ""}
    for task in scenario.tasks:
        data = scenario.fingerprint_of(task)
        for role in ("teacher", "student"):
            upstream = [keys[role], *([keys["teacher"]] if role == "student" and _is_distilled(experiment) else [])]
            keys[role] = _key(role, _configuration_read(role, experiment), data, upstream, experiment.seed)
            stages.append(Stage(role, task, keys[role]))
    return stages


def _is_distilled(experiment: Experiment) -> bool:
    return isinstance(experiment.method, DualTeacherConfig)


def _configuration_read(role: Role, experiment: Experiment) -> dict[str, Any]:
    """The part of the configuration that a stage reads."""
    tree = experiment.model_dump(mode="json")
    read = {"method": tree["method"], "augmentation": tree["data"]["augmentation"]}
    if role == "teacher":
        return {**read, "teacher": tree["teacher"]}
    if _is_distilled(experiment):
        return {**read, "student": tree["student"]}
    # a comparison method on the student's backbone trains as it does on the teacher's
    shared = {name: value for name, value in tree["teacher"].items() if name not in ("backbone", "training")}
    pretraining = tree["teacher"]["training"]
    own = {name: tree["student"][name] for name in ("backbone", "training")}
    return {**read, "teacher": {**shared, "training": pretraining}, "student": own}


def _key(role: Role, configuration: dict[str, Any], data: str, upstream: list[str], seed: int) -> str:
    content = {"format": STAGE_FORMAT[role], "role": role, "configuration": configuration, "data": data, "upstream": upstream, "seed": seed}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
