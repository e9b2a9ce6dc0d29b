"""Feature extractor → embedding module → classifier, as one module."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from orchestrator.models.backbones import Backbone

_EVALUATION_BATCH = 1024
# pixels of a batch at the network's input size: the layers' outputs should fit into a processor's
# caches
_EVALUATION_PIXELS = 400_000


Embedding = TypeVar("Embedding", bound=nn.Module)
Classifier = TypeVar("Classifier", bound=nn.Module)


class NetworkOutput(NamedTuple):
    """Outputs of the three parts of a network.

    Attributes:
        features: `h = f(x)`.
        embeddings: `z = e(h)`, points of the joint embedding space.
        logits: `g(z)`, over all seen classes.
    """

    features: Float[Tensor, "n d"]
    embeddings: Float[Tensor, "n m"]
    logits: Float[Tensor, "n classes"]


class Network(nn.Module, Generic[Embedding, Classifier]):
    """The three parts of a model [A claim 2]."""

    extractor: Backbone
    embedding: Embedding
    classifier: Classifier

    def __init__(self, extractor: Backbone, embedding: Embedding, classifier: Classifier) -> None:
        """Join the three parts.

        Args:
            extractor: uint8 images → features.
            embedding: Features → joint embedding space.
            classifier: Joint embedding space → logits of all seen classes.
        """
        super().__init__()
        self.extractor = extractor
        self.embedding = embedding
        self.classifier = classifier

    def forward(self, images: UInt8[Tensor, "n c h w"]) -> NetworkOutput:
        """Apply all three parts to uint8 images."""
        features = self.extractor(images)
        embeddings = self.embedding(features)
        return NetworkOutput(features, embeddings, self.classifier(embeddings))

    def num_parameters(self) -> int:
        """Return the number of values learned from data: parameters, and buffers such as a
        whitening or class means.
        """
        return sum(tensor.numel() for tensor in self.state_dict().values())


AnyNetwork = Network[Any, Any]


@torch.no_grad()
def predict(network: AnyNetwork, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
    """Return the logits of many images, batch by batch in evaluation mode, on the CPU."""
    device = next(network.extractor.parameters()).device
    network.eval()
    return torch.cat(
        [network(batch.to(device)).logits.cpu() for batch in _batches(network.extractor, images)]
    )


@torch.no_grad()
def extract_features(extractor: Backbone, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """Return the features of many images, batch by batch in evaluation mode."""
    device = next(extractor.parameters()).device
    extractor.eval()
    return torch.cat([extractor(batch.to(device)) for batch in _batches(extractor, images)])


def _batches(extractor: Backbone, images: UInt8[Tensor, "n c h w"]) -> tuple[Tensor, ...]:
    side = extractor.input_size or images.shape[-1]
    batches: tuple[Tensor, ...] = images.split(
        min(_EVALUATION_BATCH, max(1, _EVALUATION_PIXELS // side**2))
    )
    return batches


@torch.no_grad()
def predict_from_features(
    network: AnyNetwork, features: Float[Tensor, "n d"]
) -> Float[Tensor, "n classes"]:
    """Return the logits, on the CPU, for features from the network's own extractor.

    Args:
        network: The network; its extractor may be the first stages of the extractor that computed
            the features.
        features: Features that start with those of the network's own extractor.
    """
    num_own = network.extractor.num_features
    device = next(network.extractor.parameters()).device
    network.eval()
    return torch.cat(
        [
            network.classifier(network.embedding(batch[:, :num_own].to(device).float())).cpu()
            for batch in features.split(_EVALUATION_BATCH)
        ]
    )
