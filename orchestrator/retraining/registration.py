"""A candidate's state in the registry, beside its package: all that the next tick needs to learn
on, and nothing that must be served.

```
continual/lineage.json        what it has learned, from which files
continual/experiment.yaml     how
continual/stages/<key>/…      both roles' last stages: tensors and checksums
```
It lies with the teacher: the student's package holds only what is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pydantic
import torch

from orchestrator.config import dump_experiment, load_experiment
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.config.yaml_files import BY_PROGRAM
from orchestrator.errors import OrchestratorError, UserInputError
from orchestrator.methods.method import ArtifactContext, is_pretrained
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
    """A registered pair, with its state.

    Attributes:
        pair: Its versions.
        lineage: What it has learned.
        experiment: How.
        stages: Its last stages.
    """

    pair: ModelPair
    lineage: Lineage
    experiment: Experiment
    stages: Mapping[Role, Artifact]

    @property
    def keys(self) -> dict[Role, str]:
        """Of its last stages."""
        return stage_keys(self.lineage)

    def restore(self, store: StageStore) -> None:
        """Puts its stages into a stage store that does not have them (any more): another cluster's,
        or a cleaned one.

        Raises:
            StorageUnavailableError: The store cannot be read or written.
        """
        for role, key in self.keys.items():
            if store.values_of(key) is None:
                store.save(key, self.stages[role])

    def networks(self) -> dict[Role, AnyNetwork]:
        """Both networks, on the CPU.

        Raises:
            UserInputError: The file of a pre-trained extractor's weights has become another one:
                they are not part of a stage.
        """
        now = weights_of(self.experiment)
        for role in ROLES:
            if (
                is_pretrained(role, self.experiment)
                and self.lineage.weights.get(role, now[role]) != now[role]
            ):
                raise UserInputError(
                    "these are not the pre-trained weights that the champion was learned with",
                    where=f"{role}.backbone.weights",
                    next_step="put them back, and give new ones a file of their own",
                )
        shape, cpu = self.experiment.data.shape, torch.device("cpu")
        return {
            role: from_artifact(
                self.stages[role], ArtifactContext(role, self.experiment, shape, cpu)
            ).network
            for role in ROLES
        }


def stage_keys(lineage: Lineage) -> dict[Role, str]:
    """Keys of the last stages of a lineage that has been learned."""
    assert lineage.learned is not None  # noqa: S101 - only drafts have not
    return {"teacher": lineage.learned.teacher, "student": lineage.learned.student}


def write_state(folder: Path, lineage: Lineage, experiment: Experiment, store: StageStore) -> None:
    """Puts a candidate's state into its teacher's package.

    Raises:
        StorageUnavailableError: The stages are not in the store any more.
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
                f"stage {key[:12]} has just been learned and is gone",
                "run the same command again",
            )
            raise OrchestratorError(what, store.uri, advice)
        own.save(key, artifact)


def load_lineage(registry: ModelRegistry, pair: ModelPair, folder: Path) -> Lineage:
    """What a registered pair has learned.

    Raises:
        UserInputError: Its files are missing or damaged.
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
    """A registered pair with its stages; those that are damaged are taken from the stage store, if
    they are there.

    Args:
        registry: Where it is.
        pair: Which.
        folder: An empty one, for its files.
        store: The stage store.

    Raises:
        UserInputError: Its files are missing or damaged.
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
                f"the {role}'s stage {key[:12]} is damaged or missing", registry, pair
            )
        stages[role] = artifact
    return Registered(pair, lineage, experiment, stages)


def _as_user_error(problem: object, registry: ModelRegistry, pair: ModelPair) -> OrchestratorError:
    if isinstance(problem, OrchestratorError) and problem.is_retryable:
        return problem
    where = f"{registry.model_name('teacher')} version {pair.teacher}"
    advice = (
        "restore its files in MLflow's artifact store, or return to the champion before:"
        " `orchestrator rollback`"
    )
    return UserInputError(
        f"the champion cannot be loaded ({str(problem).splitlines()[0]})", where, advice
    )
