"""A whole experiment: what `orchestrator run` reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.address import is_same_place
from orchestrator.config.addresses import (
    STORAGE_VARIABLE,
    absolute_path,
    absolute_place,
    absolute_storage,
    absolute_tracking_uri,
    storage_beside,
)
from orchestrator.config.backbones import (
    BuildableBackboneConfig,
    InheritedBackboneConfig,
    InheritedLayersConfig,
)
from orchestrator.config.base import Config
from orchestrator.config.data import DataConfig, DigitsConfig
from orchestrator.config.execution import ExecutionConfig, RayConfig
from orchestrator.config.methods import DualTeacherConfig, MethodConfig
from orchestrator.config.roles import Role
from orchestrator.config.scenario import ScenarioConfig
from orchestrator.config.student import StudentConfig
from orchestrator.config.teacher import TeacherConfig
from orchestrator.masking import shown


class StoreConfig(Config):
    """Where computed stages are kept."""

    uri: str = Field(
        default=".orchestrator/store",
        min_length=1,
        description="Local folder, s3:// or gs:// address.",
    )

    @field_validator("uri")
    @classmethod
    def _absolute(cls, uri: str) -> str:
        return absolute_place(uri)


class TrackingConfig(Config):
    """Where MLflow keeps the run, and what of it."""

    uri: str = Field(
        default="sqlite:///mlflow.db",
        min_length=1,
        description="sqlite:///FILE, a server's http(s):// address, or a database.",
    )
    experiment: str | None = Field(
        default=None, description="MLflow experiment; null means the experiment's name."
    )
    storage: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "Optuna storage of every sweep's study: sqlite:///FILE, or a database such as"
            " postgresql://HOST/NAME; null means ORCHESTRATOR_STORAGE, else studies.db beside the"
            " store."
        ),
    )
    required: bool = Field(
        default=True,
        description=(
            "Whether the store must answer at the start; if not, the run keeps its numbers until it"
            " does."
        ),
    )
    spool: Path = Field(
        default=Path(".orchestrator/spool"),
        description=(
            "Folder where numbers wait until the store has them; on a disk of this machine."
        ),
    )
    models: Literal["log", "candidate", "register", "none"] = Field(
        default="log",
        description=(
            "log: both final models are logged, and `orchestrator register` may register them;"
            " candidate: each is also a new version of NAME-teacher-candidate or"
            " NAME-student-candidate; register: of NAME-teacher or NAME-student, where its newest"
            " version may be what is served; none: neither."
        ),
    )
    system_metrics: bool = Field(
        default=False,
        description="Whether CPU, memory, disk, network and GPU of this machine are logged.",
    )

    @field_validator("uri")
    @classmethod
    def _absolute(cls, uri: str) -> str:
        return absolute_tracking_uri(uri, Path.cwd())

    @field_validator("storage")
    @classmethod
    def _absolute_storage(cls, storage: str | None) -> str | None:
        return None if storage is None else absolute_storage(storage)

    @model_validator(mode="after")
    def _storage_is_not_mlflows(self) -> TrackingConfig:
        if self.storage is not None and is_same_place(self.storage, self.uri):
            msg = (
                f"storage = {shown(self.storage)} is MLflow's own database, and both keep their"
                " version in a table of one name; give a database of its own, such as"
                " sqlite:///studies.db"
            )
            raise ValueError(msg)
        return self

    @field_validator("spool")
    @classmethod
    def _absolute_spool(cls, spool: Path) -> Path:
        return absolute_path(spool)


class Experiment(Config):
    """One run, completely described: together with the data it determines every number."""

    name: str = Field(
        default="digits",
        pattern=r"^[\w][\w.\- ]*$",
        max_length=200,
        description="Shown in MLflow and in every report.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Reaches every random generator.")
    data: DataConfig = Field(
        default_factory=DigitsConfig, description="Where the images come from."
    )
    scenario: ScenarioConfig = Field(
        default_factory=ScenarioConfig, description="How classes arrive."
    )
    method: MethodConfig = Field(
        default_factory=DualTeacherConfig,
        description="This project's method, or one to compare it with.",
    )
    teacher: TeacherConfig = Field(default_factory=TeacherConfig, description="The first model.")
    student: StudentConfig = Field(
        default_factory=StudentConfig, description="The second, smaller model."
    )
    execution: ExecutionConfig = Field(
        default_factory=RayConfig, description="Where stages are computed."
    )
    store: StoreConfig = Field(
        default_factory=StoreConfig, description="Where computed stages are kept."
    )
    tracking: TrackingConfig = Field(
        default_factory=TrackingConfig, description="Where MLflow keeps the run."
    )

    @property
    def study_storage(self) -> str:
        """Address of the Optuna storage that sweeps of this experiment write their studies to."""
        given = self.tracking.storage or os.environ.get(STORAGE_VARIABLE)
        return absolute_storage(given) if given else storage_beside(self.store.uri)

    def backbone_of(self, role: Role) -> BuildableBackboneConfig:
        """Return what a role's backbone is built from; an inherited one includes the teacher's."""
        own = self.teacher.backbone if role == "teacher" else self.student.backbone
        if isinstance(own, InheritedBackboneConfig):
            return InheritedLayersConfig(until=own.until, base=self.teacher.backbone)
        return own

    @model_validator(mode="after")
    def _every_worker_has_a_share(self) -> Experiment:
        if isinstance(self.execution, RayConfig):
            for role, trainings in {
                "teacher": {
                    "teacher.training": self.teacher.training,
                    "teacher.refinement": self.teacher.refinement,
                },
                "student": {"student.training": self.student.training},
            }.items():
                num = (
                    self.execution.teacher if role == "teacher" else self.execution.student
                ).max_train_workers
                for path, training in trainings.items():
                    if training.batch_size < num:
                        msg = (
                            f"{path}.batch_size = {training.batch_size} is not enough for the {num}"
                            f" workers of execution.{role}: they share each batch; raise it or"
                            " lower num_train_workers"
                        )
                        raise ValueError(msg)
        return self
