"""The student learns one task from new images, old exemplars and two teachers [A claim 8; §52, §71;
B].
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from orchestrator.config.student import StudentConfig
from orchestrator.data.batches import BalancedBatches
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.methods.dual_teacher.student.closed_form import (
    FeatureStatistics,
    discriminant,
    no_statistics,
)
from orchestrator.methods.dual_teacher.student.losses import (
    embedding_loss,
    stability_loss,
    transfer_loss,
)
from orchestrator.methods.dual_teacher.student.taught_images import (
    TaughtImages,
    VariedAfresh,
    WithKnownFeatures,
)
from orchestrator.methods.dual_teacher.student.transfer import kdr, soften, tssr
from orchestrator.methods.dual_teacher.teacher import TeacherModel
from orchestrator.methods.dual_teacher.teacher.closed_form import JointSpace
from orchestrator.methods.features.drift import drift_between
from orchestrator.models import (
    AnyNetwork,
    Backbone,
    CosineClassifier,
    Network,
    ProjectionEmbedding,
    build_backbone,
)
from orchestrator.models.network import extract_features
from orchestrator.training.context import LearningContext
from orchestrator.training.loop import LossOutput, Step, train
from orchestrator.training.random_streams import seeded_initialisation
from orchestrator.training.ranks import Ranks

TaughtNetwork = Network[ProjectionEmbedding, CosineClassifier]


@dataclass(frozen=True)
class StudentModel:
    """The student after a task.

    Attributes:
        network: What it answers with: the taught network's extractor and the classifier of the
            configuration's choice.
        taught: Extractor, and the embedding module and classifier that imitate the teachers': the
            next task goes on from it.
        space: The joint embedding space of that task, in which the taught network's embedding
            lives.
        statistics: The seen classes in the extractor's features.
    """

    network: AnyNetwork
    taught: TaughtNetwork
    space: JointSpace
    statistics: FeatureStatistics

    @property
    def details(self) -> dict[str, float]:
        """Nothing yet."""
        return {}


def learn_student_task(
    previous: StudentModel | None,
    teacher: TeacherModel,
    data: LabeledImages,
    config: StudentConfig,
    context: LearningContext,
    features: Float[Tensor, "n d"] | None = None,
) -> StudentModel:
    """Distils one task.

    Args:
        previous: The student of the task before; None for the first task. It is left as it is.
        teacher: The teacher after this task.
        data: The new classes' training images.
        config: How to distil.
        context: Seed, device, image augmentation, listener.
        features: What the teacher's extractor makes of the new images as they are, where that was
            computed beforehand.
    """
    network = _start(previous, teacher, data, config, context)
    num_old = int(data.labels.min())
    shown = data.preceded_by(teacher.memory.exemplars[:num_old])
    taught = _taught_images(shown, num_old, teacher.network.extractor, features, config, context)
    extractor_before = None if previous is None else previous.taught.extractor.eval()
    distillation = _Distillation(
        network, teacher, taught, shown.labels, config, context, extractor_before
    )

    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    teacher.network.eval()
    network.train()
    generator_of = partial(context.stream, "student batches")
    batches = BalancedBatches(
        shown.labels,
        config.training.batch_size,
        generator_of,
        num_old,
        config.rehearsal if num_old else 1.0,
    )
    train("student", [network], batches, distillation.loss, config.training, context)
    if previous is not None:
        _consolidate(network, before, config.consolidation)
    network.eval()
    statistics = _statistics(previous, network.extractor, shown, num_old, context.ranks)
    if config.classifier == "taught":
        return StudentModel(network, network, teacher.space, statistics)
    answering = discriminant(statistics, config.classifier_shrinkage).to(context.device)
    return StudentModel(
        Network(network.extractor, nn.Identity(), answering).eval(),
        network,
        teacher.space,
        statistics,
    )


def _taught_images(
    shown: LabeledImages,
    num_old: int,
    extractor: Backbone,
    features: Tensor | None,
    config: StudentConfig,
    context: LearningContext,
) -> TaughtImages:
    """One exemplar of every old class, then the new images, as the student will see them."""
    stronger = replace(
        context, image_augmentation=context.image_augmentation.scaled(config.augmentation_strength)
    )
    if features is None:
        return VariedAfresh(
            shown.images,
            extractor,
            stronger,
            bool(config.embedding_weight and config.mixture_weight),
        )
    if num_old:
        features = torch.cat(
            [extract_features(extractor, shown.images[:num_old]).to(features.device), features]
        )
    size = shown.shape[-1]  # a student that looks at fewer pixels is spared the others from here on
    return WithKnownFeatures(
        shown.resized(min(config.backbone.input_size or size, size)).images, features, stronger
    )


def _statistics(
    previous: StudentModel | None,
    extractor: Backbone,
    shown: LabeledImages,
    num_old: int,
    ranks: Ranks,
) -> FeatureStatistics:
    """All seen classes in the features as they are now; each rank looks at its share of the
    images.
    """

    def features_by(looking: Backbone) -> Tensor:
        return ranks.gather(extract_features(looking, ranks.share(shown.images)), len(shown)).cpu()

    features, known = features_by(extractor), no_statistics(extractor.num_features)
    if previous is not None:
        known = previous.statistics.followed(
            drift_between(features_by(previous.taught.extractor), features, num_old)
        )
    return known.with_classes(features[num_old:], shown.labels[num_old:])


@dataclass(frozen=True)
class _Distillation:
    """One stage's loss, with all that it reads."""

    network: TaughtNetwork
    teacher: TeacherModel
    images: TaughtImages
    labels: Tensor
    config: StudentConfig
    context: LearningContext
    extractor_before: Backbone | None

    def loss(self, rows: Tensor, step: Step) -> LossOutput:
        """Both teachers' losses on a batch of images, and the classification of augmented
        prototypes.
        """
        generator = self.context.stream_of_rank("student views", step.index)
        labels = self.labels[rows].to(self.context.device)
        batch = self.images.batch(rows, generator)
        output = self.network(batch.images)
        with torch.no_grad():
            embeddings = self.teacher.network.embedding(batch.features)
            teacher_logits = self.teacher.network.classifier(embeddings)
        parts: dict[str, float | Tensor] = {}
        num = len(rows)
        total = self._transfer(output.logits[:num], teacher_logits[:num], labels, step, parts)
        if self.config.embedding_weight:
            imitation = embedding_loss(output.embeddings[:num], embeddings[:num])
            parts["embedding"] = imitation.detach()
            if len(batch.images) > num:
                imitation = imitation + self.config.mixture_weight * embedding_loss(
                    output.embeddings[num:], embeddings[num:]
                )
            total = total + self.config.embedding_weight * imitation
        if self.extractor_before is not None and self.config.stability_weight:
            with torch.no_grad():
                features_before = self.extractor_before(batch.images)
            drift = stability_loss(output.features, features_before)
            parts["drift"] = drift.detach()
            total = total + self.config.stability_weight * drift
        if self.config.prototype_weight and len(self.teacher.vectors):
            total = total + self.config.prototype_weight * self._prototype_loss(generator)
        if self.config.has_both_teachers:
            total = (
                total
                + self.config.anchor_weight
                * self.network.classifier.residuals.square().sum(dim=1).mean()
            )
        return LossOutput(total, parts)

    def _transfer(
        self,
        student_logits: Tensor,
        teacher_logits: Tensor,
        labels: Tensor,
        step: Step,
        parts: dict[str, float | Tensor],
    ) -> Tensor:
        """Patent B, steps 1 to 6; without the classifier teacher only the real answers remain."""
        temperature = self.config.temperature
        with torch.no_grad():
            of_share = kdr(
                soften(student_logits, temperature),
                soften(teacher_logits, temperature),
                self.config.transfer.similarity,
            )
        ranks = self.context.ranks
        similarity = ranks.mean(
            of_share, len(labels) * ranks.size / self.config.training.batch_size
        )
        ratio = (
            tssr(self.config.transfer, similarity, step.progress)
            if self.config.classifier_weight
            else 0.0
        )
        parts.update(kdr=similarity, tstr=step.progress, tssr=ratio)
        return (self.config.classifier_weight or 1.0) * transfer_loss(
            student_logits, teacher_logits, labels, ratio, temperature
        )

    def _prototype_loss(self, generator: torch.Generator) -> Tensor:
        """Augmented prototypes live in the joint embedding space: old classes for the student's
        classifier, without images.
        """
        num_old, num_vectors, _ = self.teacher.vectors.shape
        labels = torch.arange(num_old, device=self.context.device)
        chosen = torch.randint(num_vectors, (num_old,), generator=generator).to(self.context.device)
        embedding = self.teacher.network.embedding
        with torch.no_grad():
            prototypes = embedding.embed_normalized(
                self.teacher.memory.statistics.means[:num_old].to(self.context.device)
            )
        return functional.cross_entropy(
            self.network.classifier(prototypes + self.teacher.vectors[labels, chosen]), labels
        )


def _start(
    previous: StudentModel | None,
    teacher: TeacherModel,
    data: LabeledImages,
    config: StudentConfig,
    context: LearningContext,
) -> TaughtNetwork:
    """The network to go on from, in the joint embedding space as the teacher has it now, with a
    place for the new classes.
    """
    dimensions = len(teacher.space.offset)
    if previous is None:
        with seeded_initialisation(context.seed_of("network")):
            extractor = build_backbone(config.backbone, data.shape)
            network = Network(
                extractor,
                ProjectionEmbedding(extractor.num_features, dimensions),
                CosineClassifier(dimensions),
            )
    else:
        network = copy.deepcopy(previous.taught)
        if config.embedding_weight:
            change, shift = teacher.space.change_from(previous.space)
            network.to(change.device).embedding.rebase(change, shift)
            if not config.has_both_teachers:
                network.classifier.rebase(change)
    network.to(context.device)
    directions = teacher.network.classifier.directions().detach()
    if not config.has_both_teachers:
        directions = _untaught_directions(network, directions, context)
    network.classifier.anchor(directions)
    return network


def _untaught_directions(
    network: TaughtNetwork, taught: Tensor, context: LearningContext
) -> Tensor:
    """Where one of the teachers is switched off, its class directions are none of the student's
    business: random ones serve.
    """
    num_known = network.classifier.num_classes
    drawn = functional.normalize(
        torch.randn(taught.shape, generator=context.stream("class directions")), dim=1
    ).to(taught)
    drawn[:num_known] = network.classifier.anchors
    return drawn


@torch.no_grad()
def _consolidate(network: TaughtNetwork, before: Mapping[str, Tensor], share: float) -> None:
    """Averages the weights from before and after a task, as fine-tuning without forgetting does
    (WiSE-FT, Wortsman et al. 2022).

    Training sees one exemplar an old class and drifts away from all that it does not show; the
    average drifts less, and loses little of what is new because both ends lie in one basin: the
    start already imitates the same teacher.
    """
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():  # counters of batch normalisation are not
            tensor.lerp_(before[name], 1 - share)
