"""Train in the straightforward way, the baseline of `throughput.py`: PyTorch's `DataLoader` with
PIL transforms, and a plain loop.

It follows most training scripts: two worker processes augment one image at a time, batches are
floating-point in torch's default memory format, and every loss is read at once. Networks and losses
are the project's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from orchestrator.config.augmentation import ImageAugmentationConfig
from orchestrator.config.student import StudentConfig
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.dual_teacher.student.losses import embedding_loss, transfer_loss
from orchestrator.methods.dual_teacher.student.transfer import kdr, soften, transfer_ratios
from orchestrator.methods.dual_teacher.teacher import TeacherModel
from orchestrator.models import AnyNetwork, Backbone

NUM_LOADER_WORKERS = 2
_PROGRESS = 0.5  # progress of training that the losses are given


class PlainImages(Dataset[tuple[Tensor, ...]]):
    """In-memory images that yield randomly augmented views on access."""

    def __init__(
        self, data: LabeledImages, changes: ImageAugmentationConfig, num_views: int
    ) -> None:
        """Keep the pixels in PIL's layout.

        Args:
            data: RGB images.
            changes: Strength of each augmentation.
            num_views: Number of views that make one sample.
        """
        self.pixels = data.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = data.labels
        self.num_views = num_views
        self.noise = changes.noise
        shift, scale = changes.shift_fraction, changes.scale_fraction
        affine = transforms.RandomAffine(
            changes.rotation_degrees,
            (shift, shift),
            (1 - scale, 1 + scale),
            interpolation=transforms.InterpolationMode.BILINEAR,
        )
        flip = [transforms.RandomHorizontalFlip()] if changes.horizontal_flip else []
        self.transform = transforms.Compose([affine, *flip, transforms.ToTensor()])

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, ...]:
        """Return the views of an image, and its label."""
        image = Image.fromarray(self.pixels[row])
        return (*(self._view(image) for _ in range(self.num_views)), self.labels[row])

    def _view(self, image: Image.Image) -> Tensor:
        view: Tensor = self.transform(image)
        return (view + self.noise * torch.randn_like(view)).clamp_(0, 1) if self.noise else view


Loader = DataLoader[tuple[Tensor, ...]]


def plain_loader(images: PlainImages, batch_size: int, device: torch.device) -> Loader:
    """Return batches from worker processes, which start with the first epoch and persist."""
    pinned = device.type == "cuda"
    return DataLoader(
        images,
        batch_size,
        shuffle=True,
        num_workers=NUM_LOADER_WORKERS,
        persistent_workers=True,
        pin_memory=pinned,
    )


def batches_of(loader: Loader, device: torch.device) -> Iterator[list[Tensor]]:
    """Yield the batches of one epoch on the device."""
    for batch in loader:
        yield [tensor.to(device, non_blocking=True) for tensor in batch]


def train_plainly(
    trained: nn.Module, loss: Callable[..., Tensor], loader: Loader, device: torch.device
) -> Callable[[], None]:
    """Return a function that trains for one epoch."""
    optimizer = torch.optim.AdamW(trained.parameters())

    def train_epoch() -> None:
        running = 0.0
        for batch in batches_of(loader, device):
            value = loss(*batch)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            running += value.item()

    return train_epoch


@dataclass(frozen=True)
class PlainDistillation:
    """The student's losses in the first task on the loader's batches."""

    student: AnyNetwork
    teacher: TeacherModel
    config: StudentConfig

    def __call__(self, images: Tensor, others: Tensor, labels: Tensor) -> Tensor:
        """Return the losses of both teachers, for images and for mixtures with other views."""
        config, num = self.config, len(images)
        share = torch.rand(num, 1, 1, 1, device=images.device)
        mixtures = share * others + (1 - share) * others[torch.randperm(num, device=images.device)]
        both = torch.cat([images, mixtures])
        embeddings, logits = _outputs(self.student, both)
        with torch.no_grad():
            taught, teacher_logits = _outputs(self.teacher.network, both)
        soft = (
            soften(logits[:num].detach(), config.temperature),
            soften(teacher_logits[:num], config.temperature),
        )
        similarities = kdr(*soft, labels, config.transfer.similarity)
        ratio = transfer_ratios(similarities, config.transfer, _PROGRESS)
        total = config.classifier_weight * transfer_loss(
            logits[:num], teacher_logits[:num], labels, ratio, config.temperature
        )
        imitation = embedding_loss(
            embeddings[:num], taught[:num]
        ) + config.mixture_weight * embedding_loss(embeddings[num:], taught[num:])
        anchoring = self.student.classifier.residuals.square().sum(dim=1).mean()
        return total + config.embedding_weight * imitation + config.anchor_weight * anchoring


def plain_classification(
    extractor: Backbone, head: nn.Module
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the cross-entropy on the loader's batches."""
    return lambda images, labels: functional.cross_entropy(
        head(extractor.body(images).flatten(1)), labels
    )


def _outputs(network: AnyNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return embeddings and logits of floating-point images, skipping the backbone's own conversion
    of pixels.
    """
    embeddings = network.embedding(network.extractor.body(images).flatten(1))
    return embeddings, network.classifier(embeddings)
