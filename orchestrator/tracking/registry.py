"""The model registry as retrainings see it: pairs of a teacher and its student, and their aliases.

The student's aliases are authoritative, because the student is the model that is served; the
teacher's follow. A student's tag `TEACHER_TAG` names its teacher.
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
DECIDED_BY_TAG = "orchestrator.decided_by"  # `gate`, or a person as user@host
TEACHER_TAG = "orchestrator.teacher_version"
PREDECESSOR_TAG = (  # student version of the champion from which it continued learning
    "orchestrator.predecessor"
)
GATE_TAG_PREFIX = "orchestrator.gate."
GATE_CONDITIONS_TAG = (  # all of them, as JSON, in earlier releases; now a file of the run
    "orchestrator.gate_conditions"
)
EVENTS_TAG = "orchestrator.events"  # all states of a version so far (see `version_events`)
TICK_TAG = "orchestrator.tick"  # of a version: the tick that learned it; of the model: the last one
MAX_TAG = 5000


@dataclass(frozen=True)
class VersionFacts:
    """A version in the registry.

    Attributes:
        version: Version number.
        run_id: The run that trained it; empty if unknown.
        tags: Its tags.
        source: Location of its files.
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
    """The registry of one store, for two models; each method raises `TrackingUnavailableError` if
    it does not answer.

    Attributes:
        uri: URI of the store.
        name: Base name of the models: NAME-teacher and NAME-student.
    """

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name

    def model_name(self, role: Role) -> str:
        """Return the name of a role's model."""
        return f"{self.name}-{role}"

    @abstractmethod
    def with_alias(self, role: Role, alias: str) -> VersionFacts | None:
        """Return the version that has an alias; None if no version has it."""

    @abstractmethod
    def find(self, role: Role, version: str) -> VersionFacts | None:
        """Return one version; None if it is deleted."""

    @abstractmethod
    def set_alias(self, role: Role, alias: str, version: str | None) -> None:
        """Move an alias to a version; None removes it."""

    @abstractmethod
    def version(self, role: Role, version: str) -> VersionFacts:
        """Return one version, which must exist."""

    @abstractmethod
    def versions(self, role: Role, tag: str = "", value: str = "") -> list[VersionFacts]:
        """Return all versions of a role's model, or those with a tag, the oldest first."""

    @abstractmethod
    def set_tags(self, role: Role, version: str, tags: Mapping[str, str]) -> None:
        """Set or replace tags of a version."""

    @abstractmethod
    def model_tags(self, role: Role) -> dict[str, str]:
        """Return the tags of a role's model as a whole; empty if it has no version yet."""

    @abstractmethod
    def set_model_tag(self, role: Role, key: str, value: str) -> None:
        """Set or replace a tag of a role's model as a whole, if the model exists."""

    @abstractmethod
    def register(self, role: Role, package: Path, run_id: str, candidate: str) -> str:
        """Register a packaged model as a version, once for each candidate, and return its number.

        Args:
            role: Role of the model.
            package: Its folder (see `packaging`); other files in it are included.
            run_id: The run that trained it.
            candidate: Identity of the trained candidate.
        """

    @abstractmethod
    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set or replace tags of a run."""

    @abstractmethod
    def write_run_file(self, run_id: str, name: str, text: str) -> None:
        """Write or replace a text file among the artifacts of a run."""

    @abstractmethod
    def run_file(self, run_id: str, name: str, folder: Path) -> str:
        """Return the text of a file among the artifacts of a run; empty if it is missing.

        Args:
            run_id: The run.
            name: Name of the file.
            folder: Folder for a downloaded copy.
        """

    @abstractmethod
    def download(self, role: Role, version: str, path: str, folder: Path) -> Path:
        """Download files of a version, and return their path.

        Args:
            role: Role of the model.
            version: Its version.
            path: Path within its package.
            folder: Folder for the downloaded files.

        Raises:
            OrchestratorError: The files are missing.
        """

    def missing_files(
        self, role: Role, version: str, path: str, problem: object
    ) -> OrchestratorError:
        """Return the error for missing files of a version."""
        where = f"{self.model_name(role)} version {version} in {shown(self.uri)}"
        reason = str(problem).splitlines()[0]
        return OrchestratorError(f"its files {path} are missing ({reason})", where)
