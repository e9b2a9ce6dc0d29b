"""Define the model registry in which retrainings keep pairs of a teacher and a student version.

An alias such as `champion` is set on a student version and on the teacher version of the same pair.
The student's aliases are authoritative, because the student is the model that is served. The tag
`TEACHER_TAG` of a student version contains the number of the teacher version.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.roles import Role
from orchestrator.errors import OrchestratorError
from orchestrator.masking import shown

REASON_TAG = "orchestrator.state_reason"
DECIDED_BY_TAG = "orchestrator.decided_by"  # who decided a version's state: `gate`, or user@host
TEACHER_TAG = "orchestrator.teacher_version"
PREDECESSOR_TAG = (  # student version of the champion from which a candidate continued learning
    "orchestrator.predecessor"
)
GATE_TAG_PREFIX = "orchestrator.gate."
GATE_CONDITIONS_TAG = (  # the gate's conditions as JSON, in earlier releases; now a file of the run
    "orchestrator.gate_conditions"
)
EVENTS_TAG = "orchestrator.events"  # all states that a version has had (see `version_events`)
# Record of a tick (one execution of `orchestrator retrain`). A version has the record of the tick
# that trained the version; a model has the record of the last tick.
TICK_TAG = "orchestrator.tick"
MAX_TAG = 5000


@dataclass(frozen=True)
class VersionFacts:
    """A version of a registered model.

    Attributes:
        version: Version number.
        run_id: Id of the run that trained the version; empty if unknown.
        tags: All tags of the version.
        source: Location of the version's files.
        created_ms: Time of registration, in milliseconds since 1970.
        model: The registered model's name.
    """

    version: str
    run_id: str
    tags: Mapping[str, str]
    source: str
    created_ms: int
    model: str = ""


class ModelRegistry(ABC):
    """Model registry of one store, for one pair of a teacher model and a student model.

    Each method raises `TrackingUnavailableError` if the store does not answer.

    Attributes:
        uri: URI of the store.
        name: Common part of the model names, which are NAME-teacher and NAME-student.
    """

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name

    def model_name(self, role: Role) -> str:
        """Return the name under which a role's model is registered."""
        return f"{self.name}-{role}"

    @abstractmethod
    def with_alias(self, role: Role, alias: str) -> VersionFacts | None:
        """Return a version of a role's model by alias; None if no version has the alias."""

    @abstractmethod
    def find(self, role: Role, version: str) -> VersionFacts | None:
        """Return a version of a role's model; None if there is no such version."""

    @abstractmethod
    def set_alias(self, role: Role, alias: str, version: str | None) -> None:
        """Move an alias of a role's model to a version; if `version` is None, remove the alias."""

    @abstractmethod
    def version(self, role: Role, version: str) -> VersionFacts:
        """Return an existing version of a role's model."""

    @abstractmethod
    def versions(self, role: Role, tag: str = "", value: str = "") -> list[VersionFacts]:
        """Return the versions of a role's model, the oldest first. If `tag` is not empty, return
        only the versions whose tag has the value `value`.
        """

    @abstractmethod
    def set_tags(self, role: Role, version: str, tags: Mapping[str, str]) -> None:
        """Set or replace tags of a version of a role's model."""

    @abstractmethod
    def model_tags(self, role: Role) -> dict[str, str]:
        """Return the tags of a role's model, not of a version; empty if the model is missing."""

    @abstractmethod
    def set_model_tag(self, role: Role, key: str, value: str) -> None:
        """Set or replace a tag of a role's model, not of a version, if the model is registered."""

    @abstractmethod
    def register(self, role: Role, package: Path, run_id: str, candidate: str) -> str:
        """Register a packaged model as a new version, and return the version's number. If the
        candidate already has a version, return that version's number instead.

        Args:
            role: Role of the model.
            package: Folder of the package (see `mlflow.packaging`). All files in the folder become
                files of the version.
            run_id: Id of the run that trained the model.
            candidate: Id of the retraining's candidate, which is a pair of teacher and student.
        """

    @abstractmethod
    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set or replace tags of a run."""

    @abstractmethod
    def write_run_file(self, run_id: str, name: str, text: str) -> None:
        """Write or replace a text file among the artifacts of a run."""

    @abstractmethod
    def run_file(self, run_id: str, name: str, folder: Path) -> str:
        """Return the text of a file among the artifacts of a run; empty if the file is missing.

        Args:
            run_id: Id of the run.
            name: Name of the file.
            folder: Folder to which the file may be downloaded.
        """

    @abstractmethod
    def download(self, role: Role, version: str, path: str, folder: Path) -> Path:
        """Copy a file or folder of a version into a folder, and return the path of the copy.

        Args:
            role: Role of the model.
            version: Version number.
            path: Path of the file or folder within the version's package.
            folder: Folder for the copy.

        Raises:
            OrchestratorError: The file or folder is missing.
        """

    def missing_files(
        self, role: Role, version: str, path: str, problem: object
    ) -> OrchestratorError:
        """Return the error for missing files of a registered model's version."""
        where = f"{self.model_name(role)} version {version} in {shown(self.uri)}"
        reason = str(problem).splitlines()[0]
        return OrchestratorError(f"its files {path} are missing ({reason})", where)
