"""Models as artifacts of tensors and plain values, and back, bit for bit."""

from __future__ import annotations

from dataclasses import fields
from typing import assert_never

import torch
from torch import Tensor, nn

from orchestrator.config.backbones import BackboneConfig, PretrainedBackboneConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import Role
from orchestrator.methods.baselines import BaselineModel
from orchestrator.methods.dual_teacher.student import StudentModel
from orchestrator.methods.dual_teacher.student.closed_form import FeatureStatistics
from orchestrator.methods.dual_teacher.teacher import TeacherModel
from orchestrator.methods.dual_teacher.teacher.closed_form import JointSpace
from orchestrator.methods.dual_teacher.teacher.prototypes import PrototypeMemory
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics
from orchestrator.methods.features.moments import FeatureMoments
from orchestrator.models import (
    AnyNetwork,
    CosineClassifier,
    LinearClassifier,
    Network,
    PowerNormalization,
    ProjectionEmbedding,
    WhitenedEmbedding,
    build_backbone,
)
from orchestrator.models.artifact import Artifact
from orchestrator.stages.model import Model
from orchestrator.training.random_streams import seeded_initialisation

Tensors = dict[str, Tensor]
_EXTRACTOR = "network.extractor."


def to_artifact(model: Model, with_extractor: bool = True) -> Artifact:
    """All that a later stage or a user needs of a model, on the CPU, and laid out as the store will
    give it back.

    Args:
        model: After a stage.
        with_extractor: False leaves out the extractor's weights: those of a pre-trained one are at
            hand elsewhere.
    """
    artifact = _parts(model)
    kept = {
        name: tensor
        for name, tensor in artifact.tensors.items()
        if with_extractor or not name.startswith(_EXTRACTOR)
    }
    return Artifact(
        {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}, artifact.values
    )


def _parts(model: Model) -> Artifact:
    network = model.taught if isinstance(model, StudentModel) else model.network
    tensors = _prefixed("network", dict(network.state_dict()))
    match model:
        case TeacherModel():
            tensors |= {"exemplars": model.memory.exemplars, "vectors": model.vectors}
            tensors |= _tensors_of("statistics", model.memory.statistics) | _tensors_of(
                "space", model.space
            )
            return Artifact(tensors, {"refinement_strength": model.refinement_strength})
        case StudentModel():
            if model.network is not model.taught:
                tensors |= _prefixed("answers", dict(model.network.classifier.state_dict()))
            return Artifact(
                tensors
                | _tensors_of("space", model.space)
                | _tensors_of("statistics", model.statistics)
            )
        case BaselineModel():
            return Artifact(
                tensors | (_tensors_of("moments", model.moments) if model.moments else {})
            )
        case _:
            assert_never(model)


def from_artifact(
    artifact: Artifact,
    role: Role,
    experiment: Experiment,
    shape: tuple[int, int, int],
    device: torch.device,
) -> Model:
    """The model that an artifact was made of.

    Args:
        artifact: As from `to_artifact`.
        role: Whose model it is.
        experiment: The configuration that its stage's key stands for.
        shape: (channels, height, width) of the images.
        device: Where the network goes.
    """
    tensors = artifact.tensors
    backbone = experiment.teacher.backbone if role == "teacher" else experiment.student.backbone
    with seeded_initialisation(
        0, "overwritten by what is stored"
    ):  # the caller's global generator stays as it was
        network = (
            _network(_unprefixed("network", tensors), backbone, experiment, shape).to(device).eval()
        )
    if experiment.method.kind != "dual_teacher":
        moments = _unprefixed("moments", tensors)
        return BaselineModel(
            network,
            FeatureMoments(**{name: tensor.to(device) for name, tensor in moments.items()})
            if moments
            else None,
        )
    space, statistics = (
        JointSpace(**_unprefixed("space", tensors)),
        _unprefixed("statistics", tensors),
    )
    if role == "student":
        return StudentModel(
            _answering(network, _unprefixed("answers", tensors)),
            network,
            space,
            FeatureStatistics(**statistics),
        )
    memory = PrototypeMemory(tensors["exemplars"], ClassStatistics(**statistics))
    return TeacherModel(
        network,
        memory,
        space,
        tensors["vectors"].to(device),
        artifact.values["refinement_strength"],
    )


def _network(
    state: Tensors, backbone: BackboneConfig, experiment: Experiment, shape: tuple[int, int, int]
) -> AnyNetwork:
    has_extractor = any(name.startswith("extractor.") for name in state)
    if has_extractor and isinstance(backbone, PretrainedBackboneConfig):
        backbone = backbone.model_copy(update={"weights": None})  # they are in the artifact
    extractor = build_backbone(backbone, shape)
    dimensions = experiment.teacher.joint_embedding.dimensions
    embedding: nn.Module
    if "embedding.whitening" in state:
        embedding = WhitenedEmbedding(
            extractor.num_features, dimensions, experiment.teacher.joint_embedding.adapter_width
        )
    elif "embedding.weight" in state:
        embedding = ProjectionEmbedding(extractor.num_features, dimensions)
    else:
        embedding = PowerNormalization()
    classifier: nn.Module
    if "classifier.anchors" in state:
        classifier = CosineClassifier(dimensions)
        classifier.anchor(state["classifier.anchors"])
    else:
        classifier = LinearClassifier(state["classifier.weights"], state["classifier.biases"])
    network: AnyNetwork = Network(extractor, embedding, classifier)
    network.load_state_dict(
        state
        if has_extractor
        else {**_prefixed("extractor", dict(extractor.state_dict())), **state}
    )
    return network


def _answering(taught: AnyNetwork, classifier: Tensors) -> AnyNetwork:
    """A student's network with the classifier that it answers with, where that is not the taught
    one.
    """
    if not classifier:
        return taught
    device = next(taught.extractor.parameters()).device
    answers = LinearClassifier(classifier["weights"], classifier["biases"]).to(device)
    return Network(taught.extractor, nn.Identity(), answers).eval()


def _tensors_of(
    prefix: str, record: ClassStatistics | JointSpace | FeatureMoments | FeatureStatistics
) -> Tensors:
    return _prefixed(prefix, {field.name: getattr(record, field.name) for field in fields(record)})


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _unprefixed(prefix: str, tensors: Tensors) -> Tensors:
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
