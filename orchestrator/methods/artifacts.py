"""Convert networks, and dataclasses of tensors, to an artifact's tensors and back, bit for bit."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from torch import Tensor, nn

from orchestrator.config.backbones import BuildableBackboneConfig, without_pretrained_weights
from orchestrator.methods.method import ArtifactContext
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
from orchestrator.training.random_streams import seeded_initialisation

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Tensors = dict[str, Tensor]


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    """Return the tensors with `prefix.` prepended to their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def unprefixed(prefix: str, tensors: Tensors) -> Tensors:
    """Return the tensors whose names start with `prefix.`, with the prefix removed."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }


def tensors_of(prefix: str, record: DataclassInstance) -> Tensors:
    """Return the fields of a dataclass of tensors; each tensor is named `prefix.field`."""
    return prefixed(prefix, {field.name: getattr(record, field.name) for field in fields(record)})


def network_tensors(network: AnyNetwork) -> Tensors:
    """Return the tensors of a network's state; each name starts with `network.`."""
    return prefixed("network", dict(network.state_dict()))


def rebuilt_network(tensors: Tensors, context: ArtifactContext) -> AnyNetwork:
    """Rebuild a network from its stored state.

    The embedding module must be a `WhitenedEmbedding`, a `ProjectionEmbedding` or power
    normalisation, the classifier a `CosineClassifier` or a `LinearClassifier`. `rebuilt` serves all
    other modules.

    Args:
        tensors: Tensors from `network_tensors`. The tensors of a pre-trained extractor may be
            absent; they are then loaded from their original source.
        context: Role, experiment and image shape of the network.
    """
    state = unprefixed("network", tensors)
    classifier: nn.Module
    if "classifier.anchors" in state:
        classifier = CosineClassifier(state["classifier.anchors"].shape[1])
        classifier.anchor(state["classifier.anchors"])
    else:
        classifier = LinearClassifier(state["classifier.weights"], state["classifier.biases"])
    return rebuilt(state, context, _embedding_for(state, context), classifier)


def rebuilt(
    state: Tensors,
    context: ArtifactContext,
    embedding: nn.Module | None,
    classifier: nn.Module,
) -> AnyNetwork:
    """Rebuild a network with the given embedding module and classifier, and load its stored state.

    Args:
        state: State of the whole network; the tensors of a pre-trained extractor may be absent.
        context: Role, experiment and image shape of the network.
        embedding: Embedding module, or None for power normalisation. Its values are replaced by
            those in `state`.
        classifier: Classifier, whose values the state overwrites.
    """
    # Building the network must not change torch's random state.
    with seeded_initialisation(0, "overwritten by what is stored"):
        has_extractor = any(name.startswith("extractor.") for name in state)
        extractor = build_backbone(_backbone(context, has_extractor), context.shape)
        parts = (embedding or PowerNormalization(extractor.groups), classifier)
        if embedding is not None and hasattr(embedding, "normalization"):
            embedding.normalization = PowerNormalization(extractor.groups)
        network: AnyNetwork = Network(extractor, *parts)
    if not has_extractor:
        state = {**prefixed("extractor", dict(extractor.state_dict())), **state}
    network.load_state_dict(state)
    return network.to(context.device).eval()


def _backbone(context: ArtifactContext, has_extractor: bool) -> BuildableBackboneConfig:
    backbone = context.experiment.backbone_of(context.role)
    return without_pretrained_weights(backbone) if has_extractor else backbone


def _embedding_for(state: Tensors, context: ArtifactContext) -> nn.Module | None:
    if "embedding.whitening" in state:
        adapter_width = context.experiment.teacher.joint_embedding.adapter_width
        num_features, dimensions = state["embedding.whitening"].shape
        return WhitenedEmbedding(num_features, dimensions, adapter_width)
    if "embedding.weight" in state:
        dimensions, num_features = state["embedding.weight"].shape
        return ProjectionEmbedding(num_features, dimensions)
    return None
