"""Feature extractor → embedding module → classifier, as one module."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from orchestrator.models.backbones import Backbone

_EVALUATION_BATCH = 1024
# largest number of pixels in a batch, at the network's input size: outputs of layers should fit
# into a processor's caches
_EVALUATION_PIXELS = 400_000


Embedding = TypeVar("Embedding", bound=nn.Module)
Classifier = TypeVar("Classifier", bound=nn.Module)


class NetworkOutput(NamedTuple):
    """Outputs of the three parts of a network.

    Attributes:
        features: Output of the extractor, `h = f(x)`.
        embeddings: Output of the embedding module, `z = e(h)`: points of the joint embedding space.
        logits: Output of the classifier, `g(z)`, over all seen classes.
    """

    features: Float[Tensor, "n d"]
    embeddings: Float[Tensor, "n m"]
    logits: Float[Tensor, "n classes"]


class Network(nn.Module, Generic[Embedding, Classifier]):
    """Network of three parts: feature extractor, embedding module, classifier (patent A, claim 2;
    see docs/method.md).
    """

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
        """Return the number of values learned from data: parameters, and buffers such as whitening
        matrices and class means.
        """
        return sum(tensor.numel() for tensor in self.state_dict().values())


AnyNetwork = Network[Any, Any]


@torch.no_grad()
def predict(network: AnyNetwork, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
    """Return the logits of many images, on the CPU. The network runs in evaluation mode, batch by
    batch.
    """
    device = next(network.extractor.parameters()).device
    network.eval()
    return torch.cat(
        [network(batch.to(device)).logits.cpu() for batch in _batches(network.extractor, images)]
    )


@torch.no_grad()
def extract_features(extractor: Backbone, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """Return the features of many images. The extractor runs in evaluation mode, batch by batch."""
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
    """Return the logits for precomputed features, on the CPU.

    Args:
        network: The network. Its extractor may be the first stages of the extractor that computed
            the features.
        features: Features of images. The first columns are the features of the network's own
            extractor.
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
