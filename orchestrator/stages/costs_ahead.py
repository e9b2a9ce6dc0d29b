"""Compute before training what the networks of an experiment will cost after the last task: number
of parameters, multiply-adds, size in bytes, and latency. Each network is built with random weights;
networks with the same architecture are built once.

The latency of an architecture is measured once on each machine, and kept in the stage store. So all
trials of a sweep, and of later sweeps, compare the same latency.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection

import torch

from orchestrator.config.backbones import without_pretrained_weights
from orchestrator.config.experiment import Experiment
from orchestrator.config.objective import COSTS
from orchestrator.config.roles import ROLES, Role
from orchestrator.data import Scenario
from orchestrator.errors import ConfigError
from orchestrator.methods.heads import ForeseesNetwork, HeadInputs
from orchestrator.methods.method import method_of
from orchestrator.models import AnyNetwork, Network, build_backbone
from orchestrator.models.artifact import Artifact
from orchestrator.models.backbones import Shape
from orchestrator.models.network_costs import NetworkCosts, costs_of, latency_ms, machine_name
from orchestrator.stages.configuration import of_role
from orchestrator.stages.preparation import Preparation
from orchestrator.stages.store import StageStore

_LATENCY = "latency_ms"
_NUM_IMAGES = 8


class CostsAhead:
    """Compute costs, such as the number of parameters, of networks that are not trained yet.

    Args:
        preparation: Provides the images' shape and the final number of classes.
    """

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        self._costs: dict[str, NetworkCosts] = {}
        self._latencies: dict[str, float] = {}

    def of(self, experiment: Experiment, names: Collection[str]) -> dict[str, float]:
        """Return the named costs, such as `student/num_parameters`, of the networks after the last
        task.

        Raises:
            UserInputError: Data or backbones cannot be used, or the method cannot build its
                networks before training.
            StorageUnavailableError: The data cache, or the store with the latencies, cannot be
                reached.
        """
        wanted = [name for name in COSTS if name in names]
        if not wanted:
            return {}
        scenario = self._preparation.scenario_of(experiment)
        return {name: self._cost(name, experiment, scenario) for name in wanted}

    def _cost(self, name: str, experiment: Experiment, scenario: Scenario) -> float:
        role = next(role for role in ROLES if name.startswith(f"{role}/"))
        cost = name.rpartition("/")[2]
        form = _form_read(role, experiment, scenario)
        known = self._latencies if cost == _LATENCY else self._costs
        if form not in known:
            network = untrained_network(role, experiment, scenario)
            if cost == _LATENCY:
                store = StageStore(experiment.store.uri)
                self._latencies[form] = _latency(network, store, scenario.shape)
            else:
                image = torch.zeros(1, *scenario.shape, dtype=torch.uint8)
                self._costs[form] = costs_of(network, image)
        return self._latencies[form] if cost == _LATENCY else getattr(self._costs[form], cost)


def untrained_network(role: Role, experiment: Experiment, scenario: Scenario) -> AnyNetwork:
    """Return the network that a role will have after the last task, but with random weights.

    Raises:
        ConfigError: The method cannot build its networks before training, or a backbone cannot be
            built.
    """
    method = method_of(experiment)
    if not isinstance(method, ForeseesNetwork):
        raise ConfigError(
            f"the method {experiment.method.kind!r} does not say how large its networks will be",
            "method.kind",
            f"remove {', '.join(dict.fromkeys(name.partition('/')[2] for name in COSTS))} from"
            " metrics and bounds, or update the package that offers the method",
        )
    extractors = {}
    with torch.random.fork_rng(devices=()):
        for each in ROLES:
            config = without_pretrained_weights(experiment.backbone_of(each))
            with of_role(each):
                extractors[each] = build_backbone(config, scenario.shape)
        inputs = HeadInputs(role, experiment, extractors, _num_classes(scenario))
        network: AnyNetwork = Network(extractors[role], *method.untrained_head(inputs))
    return network.eval()


def _latency(network: AnyNetwork, store: StageStore, shape: Shape) -> float:
    """Return the latency of a network on this machine, in milliseconds. If the store has no latency
    for the network's architecture, measure and store the latency.
    """
    machine = machine_name()
    key = hashlib.sha256(json.dumps([_LATENCY, _architecture(network), shape, machine]).encode())
    known = store.values_of(key.hexdigest()) or {}
    if isinstance(known.get(_LATENCY), float):
        store.note_use([key.hexdigest()])
        return float(known[_LATENCY])
    drawn = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (_NUM_IMAGES, *shape), dtype=torch.uint8, generator=drawn)
    measured = latency_ms(network, images)
    store.save(key.hexdigest(), Artifact({}, {_LATENCY: measured, "machine": machine}))
    return measured


def _architecture(network: AnyNetwork) -> list[object]:
    """Return all that determines a network's latency except the machine and the image shape."""
    extractor = network.extractor
    sizes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    settings = [str(extractor.precision), extractor.mirrored, extractor.input_size]
    return [str(network), sizes, settings]


def _form_read(role: Role, experiment: Experiment, scenario: Scenario) -> str:
    """Return as JSON all settings that determine the architecture of a role's network."""
    teacher, student = experiment.teacher, experiment.student
    parts = {
        "role": role,
        "method": experiment.method.model_dump(mode="json"),
        "backbones": [part.backbone.model_dump(mode="json") for part in (teacher, student)],
        "extractor": teacher.extractor.model_dump(mode="json"),
        "embedding": teacher.joint_embedding.model_dump(include={"dimensions", "adapter_width"}),
        "classifier": student.classifier,
        "images": [scenario.shape, _num_classes(scenario)],
    }
    return json.dumps(parts, sort_keys=True)


def _num_classes(scenario: Scenario) -> int:
    return scenario.tasks[-1].num_seen_classes
