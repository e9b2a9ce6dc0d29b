"""Models as the artifacts that the store keeps, and back, bit for bit."""

from __future__ import annotations

from orchestrator.methods.method import ArtifactContext, Method, Model, method_of
from orchestrator.models.artifact import Artifact
from orchestrator.stages.packed_matrices import packed, unpacked

_EXTRACTOR = "network.extractor."
NOT_UNDERSTOOD = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What reading an artifact raises whose tensors or values are not what they should be."""


def to_artifact(method: Method, model: Model, with_extractor: bool = True) -> Artifact:
    """Return all that a later stage or a user needs of a model, on the CPU, and laid out as the
    store will give it back.

    Args:
        method: Whose model it is.
        model: After a stage.
        with_extractor: False leaves out the extractor's weights: those of a pre-trained one are at
            hand elsewhere.
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
    """Return the model that an artifact was made of.

    Args:
        artifact: As from `to_artifact`.
        context: Whose model it is, under which configuration, and where it goes.
    """
    whole = Artifact(unpacked(artifact.tensors), artifact.values)
    return method_of(context.experiment).from_artifact(whole, context)
