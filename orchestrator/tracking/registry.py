"""The model registry as retrainings see it: pairs of a teacher and its student, and their aliases.

The student's aliases decide, for it is the student that is served; the teacher's follow. Of a
student, the tag `TEACHER_TAG` names its teacher.
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
PREDECESSOR_TAG = (  # the student version from whose champion it has learned on
    "orchestrator.predecessor"
)
GATE_TAG_PREFIX = "orchestrator.gate."
GATE_CONDITIONS_TAG = (  # all of them, as JSON; of earlier releases: now a file of the run
    "orchestrator.gate_conditions"
)
EVENTS_TAG = "orchestrator.events"  # all states of a version so far (see `version_events`)
TICK_TAG = "orchestrator.tick"  # of a version: the tick that learned it; of the model: the last one
MAX_TAG = 5000


@dataclass(frozen=True)
class VersionFacts:
    """A version as the registry has it.

    Attributes:
        version: Its number.
        run_id: The run that has learned it; empty where it is not known.
        tags: Its tags.
        source: Where its files are.
        created_ms: When it was registered, in milliseconds since 1970.
        model: The registered model's name.
    """

    version: str
    run_id: str
    tags: Mapping[str, str]
    source: str
    created_ms: int
    model: str = ""


class ModelRegistry(ABC):
    """The registry of one store, and in it two models; every method raises
    `TrackingUnavailableError` where it does not answer.

    Attributes:
        uri: Of the store.
        name: Of the models: NAME-teacher and NAME-student.
    """

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name

    def model_name(self, role: Role) -> str:
        """Return what a role's model is called."""
        return f"{self.name}-{role}"

    @abstractmethod
    def with_alias(self, role: Role, alias: str) -> VersionFacts | None:
        """Return the version that has an alias; None for nobody."""

    @abstractmethod
    def find(self, role: Role, version: str) -> VersionFacts | None:
        """Return one version; None where it is deleted."""

    @abstractmethod
    def set_alias(self, role: Role, alias: str, version: str | None) -> None:
        """Give an alias to a version, from whoever has it; None takes it away."""

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
        """Return the tags of a role's model as a whole; none where no version was ever made."""

    @abstractmethod
    def set_model_tag(self, role: Role, key: str, value: str) -> None:
        """Set or replace a tag of a role's model as a whole, if the model exists."""

    @abstractmethod
    def register(self, role: Role, package: Path, run_id: str, candidate: str) -> str:
        """Register a packaged model as a version, once for each candidate, and return its number.

        Args:
            role: Whose model.
            package: Its folder (see `packaging`); what else lies in it goes along.
            run_id: The run that has learned it.
            candidate: Tells what was learned apart from all else.
        """

    @abstractmethod
    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set or replace tags of a run."""

    @abstractmethod
    def write_run_file(self, run_id: str, name: str, text: str) -> None:
        """Write or replace a text file among the artifacts of a run."""

    @abstractmethod
    def run_file(self, run_id: str, name: str, folder: Path) -> str:
        """Return the text of a file among the artifacts of a run; empty where it is missing.

        Args:
            run_id: Whose.
            name: Of the file.
            folder: Where it may go.
        """

    @abstractmethod
    def download(self, role: Role, version: str, path: str, folder: Path) -> Path:
        """Fetch files of a version, and return where they lie.

        Args:
            role: Whose.
            version: Which.
            path: Within its package.
            folder: Where they go.

        Raises:
            OrchestratorError: They are not there.
        """

    def missing_files(
        self, role: Role, version: str, path: str, problem: object
    ) -> OrchestratorError:
        """Return the error for files of a version that are not there."""
        where = f"{self.model_name(role)} version {version} in {shown(self.uri)}"
        reason = str(problem).splitlines()[0]
        return OrchestratorError(f"its files {path} are missing ({reason})", where)
