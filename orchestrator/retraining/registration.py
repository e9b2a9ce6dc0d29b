"""Store a candidate's state in the registry, next to the candidate's model package.

The state contains everything that the next tick needs to continue learning:

```
continual/lineage.json        what the candidate has learned, and from which files
continual/experiment.yaml     the experiment that trained the candidate
continual/stages/<key>/…      the last stages of teacher and student: tensors and checksums
```

The state is stored in the teacher's version, because the student's package contains only the files
that serving needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pydantic

from orchestrator.config import dump_experiment, load_experiment
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.config.yaml_files import BY_PROGRAM
from orchestrator.devices import CPU
from orchestrator.errors import OrchestratorError, UserInputError
from orchestrator.methods.facts import is_pretrained
from orchestrator.methods.method import ArtifactContext
from orchestrator.models import AnyNetwork
from orchestrator.models.artifact import Artifact
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.state import ModelPair
from orchestrator.stages import StageStore
from orchestrator.stages.artifacts import from_artifact
from orchestrator.stages.graph import weights_of
from orchestrator.tracking.registry import ModelRegistry

STATE_FOLDER = "continual"
_LINEAGE, _EXPERIMENT, _STAGES = "lineage.json", "experiment.yaml", "stages"


@dataclass(frozen=True)
class Registered:
    """A pair of teacher and student from the registry, with the state to continue learning from.

    Attributes:
        pair: Versions of teacher and student.
        lineage: What the pair has learned.
        experiment: The experiment that trained the pair.
        stages: The pair's last stages, by role.
    """

    pair: ModelPair
    lineage: Lineage
    experiment: Experiment
    stages: Mapping[Role, Artifact]

    @property
    def keys(self) -> dict[Role, str]:
        """Return the keys of the pair's last stages, by role."""
        return stage_keys(self.lineage)

    def restore(self, store: StageStore) -> None:
        """Put the pair's stages into a stage store that lacks them.

        A stage store lacks them after a clean-up, or if it is the store of another cluster.

        Raises:
            StorageUnavailableError: The store cannot be read or written.
        """
        for role, key in self.keys.items():
            if store.values_of(key) is None:
                store.save(key, self.stages[role])

    def networks(self) -> dict[Role, AnyNetwork]:
        """Return the networks of teacher and student, on the CPU.

        Raises:
            UserInputError: The weights file of a pre-trained extractor has changed. Stages do not
                contain such weights.
        """
        now = weights_of(self.experiment)
        for role in ROLES:
            if (
                is_pretrained(role, self.experiment)
                and self.lineage.weights.get(role, now[role]) != now[role]
            ):
                raise UserInputError(
                    "the pre-trained weights have changed since the champion learned with them",
                    where=f"{role}.backbone.weights",
                    next_step="restore the file, and store new weights in another file",
                )
        shape = self.experiment.data.shape
        return {
            role: from_artifact(
                self.stages[role], ArtifactContext(role, self.experiment, shape, CPU)
            ).network
            for role in ROLES
        }


def stage_keys(lineage: Lineage) -> dict[Role, str]:
    """Return the keys of the last stages that a lineage records, by role."""
    assert lineage.learned is not None  # noqa: S101 - only drafts have None here
    return {"teacher": lineage.learned.teacher, "student": lineage.learned.student}


def write_state(folder: Path, lineage: Lineage, experiment: Experiment, store: StageStore) -> None:
    """Write a candidate's lineage, experiment and last stages into a folder.

    The next training continues from these files. The folder is the model package of the candidate's
    teacher.

    Raises:
        OrchestratorError: A stage is no longer in the store.
    """
    state = folder / STATE_FOLDER
    state.mkdir(parents=True, exist_ok=True)
    (state / _LINEAGE).write_text(lineage.model_dump_json(indent=1), encoding="utf-8")
    (state / _EXPERIMENT).write_text(dump_experiment(experiment), encoding="utf-8")
    own = StageStore(str(state / _STAGES))
    for key in stage_keys(lineage).values():
        artifact = store.load(key)
        if artifact is None:
            what, advice = (
                f"stage {key[:12]} was learned a moment ago but is missing in the stage store",
                "rerun the same command to recompute the stage",
            )
            raise OrchestratorError(what, store.uri, advice)
        own.save(key, artifact)


def load_lineage(registry: ModelRegistry, pair: ModelPair, folder: Path) -> Lineage:
    """Return the lineage of a pair of teacher and student in the registry.

    Raises:
        UserInputError: The pair's files are missing or corrupt.
        TrackingUnavailableError: The registry does not answer.
    """
    try:
        path = registry.download("teacher", pair.teacher, f"{STATE_FOLDER}/{_LINEAGE}", folder)
        return Lineage.model_validate_json(path.read_bytes())
    except (pydantic.ValidationError, OrchestratorError) as error:
        raise _as_user_error(error, registry, pair) from error


def load_registered(
    registry: ModelRegistry, pair: ModelPair, folder: Path, store: StageStore
) -> Registered:
    """Return a pair of teacher and student from the registry, with the last stages of both.

    If a stage in the registry is corrupt, it is loaded from the stage store.

    Args:
        registry: Registry of the pair.
        pair: Versions of teacher and student.
        folder: An empty folder for the pair's files.
        store: The stage store.

    Raises:
        UserInputError: The pair's files are missing or corrupt.
        TransientError: Registry or store does not answer.
    """
    try:
        state = registry.download("teacher", pair.teacher, STATE_FOLDER, folder)
        lineage = Lineage.model_validate_json((state / _LINEAGE).read_bytes())
        experiment = load_experiment(state / _EXPERIMENT, largest=BY_PROGRAM)
    except (pydantic.ValidationError, OSError, OrchestratorError) as error:
        raise _as_user_error(error, registry, pair) from error
    own = StageStore(str(state / _STAGES))
    stages: dict[Role, Artifact] = {}
    for role, key in stage_keys(lineage).items():
        artifact = own.load(key) or store.load(key)
        if artifact is None:
            raise _as_user_error(
                f"the {role}'s stage {key[:12]} is corrupt or missing", registry, pair
            )
        stages[role] = artifact
    return Registered(pair, lineage, experiment, stages)


def _as_user_error(problem: object, registry: ModelRegistry, pair: ModelPair) -> OrchestratorError:
    if isinstance(problem, OrchestratorError) and problem.is_retryable:
        return problem
    where = f"{registry.model_name('teacher')} version {pair.teacher}"
    advice = (
        "restore the version's files in MLflow's artifact store, or return to the previous"
        " champion:"
        " `orchestrator rollback`"
    )
    return UserInputError(
        f"the champion cannot be loaded ({str(problem).splitlines()[0]})", where, advice
    )
