"""The straightforward way, against which `throughput.py` measures: PyTorch's `DataLoader` with PIL
transforms, and a loop around it.

As most training scripts have it: one of two worker processes varies an image at a time, batches are
floating-point and in torch's default memory format, and every loss is read at once. Networks and
losses are the project's own.
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
_PROGRESS = 0.5  # how far the training is said to be


class PlainImages(Dataset[tuple[Tensor, ...]]):
    """Images in memory, each turned into randomly varied views when it is asked for."""

    def __init__(
        self, data: LabeledImages, changes: ImageAugmentationConfig, num_views: int
    ) -> None:
        """Keeps the pixels as PIL wants them.

        Args:
            data: RGB images.
            changes: How far each change may go.
            num_views: Views of an image that make one sample.
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
        """Samples."""
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, ...]:
        """The views of an image, and its label."""
        image = Image.fromarray(self.pixels[row])
        return (*(self._view(image) for _ in range(self.num_views)), self.labels[row])

    def _view(self, image: Image.Image) -> Tensor:
        view: Tensor = self.transform(image)
        return (view + self.noise * torch.randn_like(view)).clamp_(0, 1) if self.noise else view


Loader = DataLoader[tuple[Tensor, ...]]


def plain_loader(images: PlainImages, batch_size: int, device: torch.device) -> Loader:
    """Batches from worker processes that start with the first epoch and live on."""
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
    """One epoch, on the device."""
    for batch in loader:
        yield [tensor.to(device, non_blocking=True) for tensor in batch]


def train_plainly(
    trained: nn.Module, loss: Callable[..., Tensor], loader: Loader, device: torch.device
) -> Callable[[], None]:
    """A function that trains for one epoch."""
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
    """The student's losses in the first task, on what the loader gives."""

    student: AnyNetwork
    teacher: TeacherModel
    config: StudentConfig

    def __call__(self, images: Tensor, others: Tensor, labels: Tensor) -> Tensor:
        """Both teachers' losses, of images and of mixtures with other views."""
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
    """Cross-entropy on what the loader gives."""
    return lambda images, labels: functional.cross_entropy(
        head(extractor.body(images).flatten(1)), labels
    )


def _outputs(network: AnyNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings and logits of floating-point images, past the backbone's own conversion of
    pixels.
    """
    embeddings = network.embedding(network.extractor.body(images).flatten(1))
    return embeddings, network.classifier(embeddings)
