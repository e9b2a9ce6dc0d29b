"""Store the number of features and the multiply-adds of an experiment's extractors, for the command
`orchestrator plan`.

With the stored values, the command does not have to build the extractors, which would import torch.
The import takes longer than the rest of the command.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.data.scenario import Scenario
from orchestrator.methods.facts import inherits, is_pretrained
from orchestrator.models.backbones import backbone_identity
from orchestrator.stages.configuration import of_role
from orchestrator.stages.store import StageStore


@dataclass(frozen=True)
class Extractors:
    """Size and cost of both extractors of an experiment.

    Attributes:
        num_features: Number of features of each extractor for one image, by role.
        multiply_adds: Multiply-adds of each extractor for one image, by role. None if the role's
            stages read stored features, or if no operation can be counted.
        networks: Multiply-adds of each extractor for one image, by role, even if the role's stages
            read stored features. None if no operation can be counted.
    """

    num_features: Mapping[Role, int]
    multiply_adds: Mapping[Role, int | None]
    networks: Mapping[Role, int | None]


def extractors_of(experiment: Experiment, scenario: Scenario, store: StageStore) -> Extractors:
    """Return the stored number of features and multiply-adds of the extractors. If the store lacks
    these values, build the extractors and measure the values, but do not store them.

    Raises:
        ConfigError: A backbone cannot be built, or does not support the shape of the images.
        StorageUnavailableError: The store cannot be read.
    """
    match store.values_of(_key(experiment, scenario)):
        case {
            "num_features": dict(num_features),
            "multiply_adds": dict(multiply_adds),
            "networks": dict(networks),
        }:
            return Extractors(num_features, multiply_adds, networks)
    return _measured(experiment, scenario)


def store_extractors(experiment: Experiment, scenario: Scenario, store: StageStore) -> None:
    """Store the number of features and the multiply-adds of the extractors, unless the store
    already has these values.

    Raises:
        ConfigError: A backbone cannot be built, or does not support the shape of the images.
        StorageUnavailableError: The store cannot be reached.
    """
    from orchestrator.models.artifact import Artifact  # noqa: PLC0415 - loads torch

    key = _key(experiment, scenario)
    if store.values_of(key) is None:
        store.save(key, Artifact({}, asdict(_measured(experiment, scenario))))
    else:
        store.note_use([key])


def _measured(experiment: Experiment, scenario: Scenario) -> Extractors:
    from orchestrator.stages.backbones import (  # noqa: PLC0415 - loads torch
        check_backbones,
        size_of_network,
        work_of_an_image,
    )

    return Extractors(
        check_backbones(experiment, scenario),
        {role: work_of_an_image(experiment, role, scenario.shape) for role in ROLES},
        {role: size_of_network(experiment, role, scenario.shape) for role in ROLES},
    )


def _key(experiment: Experiment, scenario: Scenario) -> str:
    roles: dict[str, Any] = {}
    for role in ROLES:
        with of_role(role):
            identity = backbone_identity(experiment.backbone_of(role))
        reads_tables = is_pretrained(role, experiment) or (
            role == "student" and inherits(experiment)
        )
        roles[role] = [identity, reads_tables]
    content = ["extractors with networks", _version_of_building(), scenario.shape, roles]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _version_of_building() -> list[str]:
    """Return the version of the code that builds backbones: torch's version and a source digest."""
    spec = find_spec("orchestrator.models.backbones")
    digest = hashlib.sha256()
    for folder in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(folder).glob("*.py")):
            digest.update(file.read_bytes())
    return [metadata.version("torch"), digest.hexdigest()]
