"""Configure an experiment, as read by `orchestrator run`."""

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
    """Location of the stage store, which keeps computed stages."""

    uri: str = Field(
        default=".orchestrator/store",
        min_length=1,
        description="Local folder, or s3:// or gs:// address.",
    )

    @field_validator("uri")
    @classmethod
    def _absolute(cls, uri: str) -> str:
        return absolute_place(uri)


class TrackingConfig(Config):
    """Address of MLflow, and settings for logging to it."""

    uri: str = Field(
        default="sqlite:///mlflow.db",
        min_length=1,
        description=(
            "sqlite:///FILE, the http(s):// address of a server, or the address of a database."
        ),
    )
    experiment: str | None = Field(
        default=None,
        description="Name of the MLflow experiment; null uses `name` of this experiment.",
    )
    storage: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "Optuna storage for the studies of sweeps: sqlite:///FILE, or a database such as"
            " postgresql://HOST/NAME; null uses the environment variable ORCHESTRATOR_STORAGE,"
            " otherwise studies.db next to the stage store."
        ),
    )
    required: bool = Field(
        default=True,
        description=(
            "Whether MLflow must be reachable at the start; if false, the run keeps the values that"
            " it logs until MLflow is reachable."
        ),
    )
    spool: Path = Field(
        default=Path(".orchestrator/spool"),
        description=(
            "Folder, on a local disk, where logged values wait until MLflow has received them."
        ),
    )
    models: Literal["log", "candidate", "register", "none"] = Field(
        default="log",
        description=(
            "log: log both final models; `orchestrator register` can register them later."
            " candidate: also register them as new versions of NAME-teacher-candidate and"
            " NAME-student-candidate. register: also register them as new versions of NAME-teacher"
            " and NAME-student, which programs in service may read. none: log no model."
        ),
    )
    system_metrics: bool = Field(
        default=False,
        description="Whether to log the use of CPU, memory, disk, network and GPU on this machine.",
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
                f"storage = {shown(self.storage)} is MLflow's own database, but MLflow and Optuna"
                " both keep their schema version in a table of the same name; give a separate"
                " database, such as sqlite:///studies.db"
            )
            raise ValueError(msg)
        return self

    @field_validator("spool")
    @classmethod
    def _absolute_spool(cls, spool: Path) -> Path:
        return absolute_path(spool)


class Experiment(Config):
    """Complete description of one run. Together with the data, it determines every result of the
    run.
    """

    name: str = Field(
        default="digits",
        pattern=r"^[\w][\w.\- ]*$",
        max_length=200,
        description="Name shown in MLflow and in every report.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="Seed of every random generator.")
    data: DataConfig = Field(default_factory=DigitsConfig, description="Source of the images.")
    scenario: ScenarioConfig = Field(
        default_factory=ScenarioConfig, description="Order and grouping in which classes arrive."
    )
    method: MethodConfig = Field(
        default_factory=DualTeacherConfig,
        description=(
            "Learning method: this project's dual teacher, or another method to compare it with."
        ),
    )
    teacher: TeacherConfig = Field(
        default_factory=TeacherConfig,
        description="The teacher: the larger model, which learns the tasks.",
    )
    student: StudentConfig = Field(
        default_factory=StudentConfig,
        description="The student: the smaller model, distilled from the teacher.",
    )
    execution: ExecutionConfig = Field(
        default_factory=RayConfig,
        description="Where stages are computed: by Ray or in the calling process.",
    )
    store: StoreConfig = Field(
        default_factory=StoreConfig,
        description="Location of the stage store, which keeps computed stages.",
    )
    tracking: TrackingConfig = Field(
        default_factory=TrackingConfig, description="Location of MLflow, and what is logged to it."
    )

    @property
    def study_storage(self) -> str:
        """Return the address of the Optuna storage for the studies of this experiment's sweeps."""
        given = self.tracking.storage or os.environ.get(STORAGE_VARIABLE)
        return absolute_storage(given) if given else storage_beside(self.store.uri)

    def backbone_of(self, role: Role) -> BuildableBackboneConfig:
        """Return the backbone configuration of the teacher or the student. The configuration of an
        inherited backbone also contains the configuration of the teacher's backbone.
        """
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
                            f"{path}.batch_size = {training.batch_size} is too small for the {num}"
                            f" workers of execution.{role}, which share each batch; raise it or"
                            " lower num_train_workers"
                        )
                        raise ValueError(msg)
        return self
