"""Convert models to artifacts for the stage store, and restore them bit for bit."""

from __future__ import annotations

from orchestrator.methods.method import ArtifactContext, Method, Model, method_of
from orchestrator.models.artifact import Artifact
from orchestrator.stages.packed_matrices import packed, unpacked

_EXTRACTOR = "network.extractor."
NOT_UNDERSTOOD = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""Errors that code raises when it reads an artifact with unexpected tensors or values."""


def to_artifact(method: Method, model: Model, with_extractor: bool = True) -> Artifact:
    """Return all parts of a model that a later stage or a user needs. The tensors are on the CPU,
    and have the memory layout of tensors that are loaded from the store.

    Args:
        method: The method of the model.
        model: The model after a stage.
        with_extractor: Whether to include the extractor's weights. They can be omitted for a
            pre-trained extractor, because its weights are available elsewhere.
    """
    artifact = method.to_artifact(model)
    kept = {
        name: tensor
        for name, tensor in artifact.tensors.items()
        if with_extractor or not name.startswith(_EXTRACTOR)
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}
    return Artifact(packed(tensors), artifact.values)


def from_artifact(artifact: Artifact, context: ArtifactContext) -> Model:
    """Rebuild a model from its artifact.

    Args:
        artifact: An artifact from `to_artifact`.
        context: Role, configuration and device of the model.
    """
    whole = Artifact(unpacked(artifact.tensors), artifact.values)
    return method_of(context.experiment).from_artifact(whole, context)
