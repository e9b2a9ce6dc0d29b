"""Teaching of the layers that the student inherits from the teacher: these layers learn to predict
the teacher's final features (patent A, first half of claim 8; see docs/method.md).

Targets have few dimensions and are not whitened: whitening would amplify noise, which a small
network would then fit. The basis of the targets is fixed in the first task, together with the
layers. Layers learn from *seeded views*: random augmentations that can be repeated from their
seeds. The teacher's features of the views are stored with the seeds, and the student sees exactly
these views. Beyer et al. (2022) call this a patient and consistent teacher, Faghri et al. (2023)
dataset reinforcement. Teaching needs no labels, so unlabelled images can be used as well.

Only the last inherited stage is trained, and only in the first task. The layers are frozen
afterwards, so the statistics of old classes remain valid. Teaching in every task was measured to
lose more accuracy, by the drift of these statistics, than it gains.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from orchestrator.config.student import TeachingConfig
from orchestrator.data.augmentation import mix
from orchestrator.data.batches import BalancedBatches
from orchestrator.data.image_table import room_on_disk
from orchestrator.methods.method import LearningInputs
from orchestrator.methods.views import passes_made
from orchestrator.models import Backbone, PowerNormalization
from orchestrator.models.artifact import Artifact
from orchestrator.models.backbones import FeatureGroup
from orchestrator.models.backbones.stages import FINAL, StageFeatures
from orchestrator.models.network import extract_features
from orchestrator.training.context import LearningContext
from orchestrator.training.loop import LossOutput, Step, train
from orchestrator.training.random_streams import seeded_initialisation, stream
from orchestrator.training.reports import EpochReport

# ridge strength per image, for the initial projection of standardised features to targets
_RIDGE = 0.015
_LEAST_DEVIATION = 1e-6


def taught(
    extractor: Backbone, of_teacher: Backbone, inputs: LearningInputs, context: LearningContext
) -> tuple[Backbone, dict[str, float]]:
    """Return the inherited layers after they have learned to predict the teacher's final features.
    Also return the share of the targets' variance that their predictions explain.

    The teacher's final features of the seeded views are computed once, and so are the trained
    layers. All stages with the same inputs share them.

    Args:
        extractor: The inherited layers, not modified.
        of_teacher: The extractor whose final features are the targets.
        inputs: The images of the first task, and the unlabelled images.
        context: Seed, device, ranks, augmentation, shared results.
    """
    config = inputs.experiment.student.teaching
    assert config is not None  # noqa: S101 - the caller has checked this
    images = _chosen_images(inputs, config, context)
    seen: dict[str, Any] = {
        "images": hashlib.sha256(images.contiguous().numpy().data).hexdigest(),
        "num_views": config.num_views,
        "augmentation": context.image_augmentation.model_dump(mode="json"),
        "seed": context.seed,
        "teacher": of_teacher.digest(),
    }
    views = SeededViews(images, config.num_views, context, inputs.data.folder)

    def teach() -> Artifact:
        answers = context.shared.obtain(
            {"answers to views": seen}, lambda: views.answers(of_teacher)
        )
        return _teach(extractor, views, answers.tensors["final"], (config, context))

    content = {
        "taught layers": seen,
        "layers": extractor.digest(),
        "teaching": config.model_dump(mode="json"),
    }
    found = context.shared.obtain(content, teach)
    for epoch in found.values["epochs"]:
        context.listener(EpochReport(**epoch))
    learned = copy.deepcopy(extractor)
    learned.load_state_dict(found.tensors)
    return learned.to(context.device).eval(), {"explained": found.values["explained"]}


def _chosen_images(
    inputs: LearningInputs, config: TeachingConfig, context: LearningContext
) -> UInt8[Tensor, "n c h w"]:
    """Return the images from which the inherited layers learn: at most `max_images`, drawn at
    random from the task's images and the unlabelled images.
    """
    parts = [inputs.data.images]
    if inputs.unlabeled is not None:
        parts.append(inputs.unlabeled.images)
    order = torch.randperm(sum(map(len, parts)), generator=context.stream("taught images"))
    chosen = order[: config.max_images].sort().values
    num_first = len(parts[0])
    rows = [chosen[chosen < num_first], chosen[chosen >= num_first] - num_first]
    return torch.cat(
        [images.index_select(0, own) for images, own in zip(parts, rows, strict=False)]
    )


@dataclass(frozen=True)
class SeededViews:
    """Random views of images that can be drawn repeatedly with the same result.

    A view is an augmented copy of an image. Every second view is also mixed with a view of another
    image.

    Attributes:
        images: Images as uint8.
        num_views: Number of views of each image.
        context: Seed and augmentation.
        folder: Folder for a temporary file with all views; None keeps the views in memory.
    """

    images: UInt8[Tensor, "n c h w"]
    num_views: int
    context: LearningContext
    folder: Path | None = None

    def view(self, index: int) -> UInt8[Tensor, "n c h w"]:
        """Return one view (augmented copy) of every image, on the CPU. Views with an odd index are
        also mixed with views of other images.
        """
        generator = stream(self.context.seed, "taught views", index)
        varied = self.context.vary(self.images, generator).cpu()
        return mix(varied, generator) if index % 2 else varied

    def all(self) -> UInt8[Tensor, "m c h w"]:
        """Return all views (augmented copies): the first view of every image, then the second of
        every image, and so on.
        """
        num, *shape = self.images.shape
        size = (self.num_views * num, *shape)
        if self.folder is None:
            found = torch.empty(size, dtype=torch.uint8)
        else:
            found = torch.from_numpy(room_on_disk(self.folder, size))
        for index in range(self.num_views):
            found[index * num : (index + 1) * num] = self.view(index)
        return found

    def answers(self, of_teacher: Backbone) -> Artifact:
        """Return the teacher's answers to all views (augmented copies of the images): its final
        features, in half precision.
        """
        ranks, looking = self.context.ranks, _unmirrored(of_teacher)
        num_final = next(group.size for group in looking.groups if group.name == FINAL)
        parts = []
        for index in range(self.num_views):
            own = ranks.share(self.view(index))
            features = ranks.gather(extract_features(looking, own), len(self.images))
            parts.append(features[:, -num_final:].half().cpu())
        num = self.num_views * len(self.images)
        passes = passes_made("extraction", looking, self.images[:1], num)
        return Artifact({"final": torch.cat(parts)}, passes)


def _unmirrored(extractor: Backbone) -> Backbone:
    """Return a copy of the extractor that processes each input once, without its mirror image.
    Seeded views need no mirror images, because they are already mirrored at random.
    """
    looking = copy.copy(extractor)
    looking.mirrored = False
    return looking.eval()


class _Foresight(nn.Module):
    """The layers that learn to predict the teacher's final features: the last inherited stage, and
    a projection from the student's features to the prediction.
    """

    def __init__(self, learning: Sequence[nn.Module], projection: nn.Linear) -> None:
        super().__init__()
        self.learning = nn.ModuleList(learning)
        self.projection = projection


def _teach(
    extractor: Backbone,
    views: SeededViews,
    final: Float[Tensor, "m f"],
    setting: tuple[TeachingConfig, LearningContext],
) -> Artifact:
    config, context = setting
    learned = _unmirrored(copy.deepcopy(extractor))
    images, targets = views.all(), _targets(final.float(), config.dimensions)
    normalization = PowerNormalization(learned.groups)
    start = normalization(extract_features(learned, images[: len(views.images)]))
    centre, deviation = start.mean(dim=0), start.std(dim=0).clamp_min(_LEAST_DEVIATION)
    first = targets[: len(views.images)].to(context.device)
    passes = passes_made("teaching", learned, images[:1], config.training.epochs * len(images))
    projection = _ridge((start - centre) / deviation, first, context)
    variance = targets.var(dim=0).sum().clamp_min(_LEAST_DEVIATION)
    module = _Foresight(_last_stage(learned), projection)
    epochs: list[dict[str, Any]] = []

    def loss(rows: Tensor, _step: Step) -> LossOutput:
        features = normalization(learned(images[rows].to(context.device)))
        foreseen = module.projection((features - centre) / deviation)
        missed = (foreseen - targets[rows].to(context.device)).square().sum(dim=1).mean()
        return LossOutput(missed / variance, {"embedding": (missed / variance).detach()})

    batches = BalancedBatches(
        torch.zeros(len(images), dtype=torch.int64),
        config.training.batch_size,
        partial(context.stream, "taught batches"),
    )
    noting = replace(context, listener=lambda report: epochs.append(report.as_json()))
    train("layers", [module], batches, loss, config.training, noting)
    explained = 1 - epochs[-1]["metrics"]["embedding"] if epochs else 0.0
    learned.requires_grad_(True)
    values = {"epochs": epochs, "explained": explained, **passes}
    return Artifact(dict(learned.state_dict()), values)


def _targets(final: Float[Tensor, "m f"], dimensions: int) -> Float[Tensor, "m k"]:
    """Return the teacher's normalised final features, projected on their directions of largest
    variance.
    """
    normalized = PowerNormalization([FeatureGroup(FINAL, final.shape[1])])(final)
    centred = normalized - normalized.mean(dim=0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    widest: Tensor = centred @ directions[:, -dimensions:]
    return widest


def _ridge(
    rows: Float[Tensor, "n d"], targets: Float[Tensor, "n k"], context: LearningContext
) -> nn.Linear:
    """Return the initial projection of the student's features to the targets, from ridge
    regression.
    """
    second = rows.T @ rows + _RIDGE * len(rows) * torch.eye(rows.shape[1], device=rows.device)
    with seeded_initialisation(0, "overwritten by the ridge solution"):
        projection = nn.Linear(rows.shape[1], targets.shape[1]).to(context.device)
    with torch.no_grad():
        projection.weight.copy_(torch.linalg.solve(second, rows.T @ targets).T)
        projection.bias.copy_(targets.mean(dim=0))
    return projection


def _last_stage(extractor: Backbone) -> list[nn.Module]:
    """Return the layers of the extractor's last stage, and freeze all other layers."""
    assert isinstance(extractor.body, StageFeatures)  # noqa: S101 - inherited layers report stages
    last = extractor.body.stages.last()
    extractor.requires_grad_(False)
    for module in last:
        module.requires_grad_(True)
    return last
