"""A student that inherits the first stages (groups of layers) of the teacher's network, so that it
has fewer layers (patent A, paragraph 53; see docs/method.md). It learns its classes in closed form.

The inherited layers are frozen after the first task. An image then has the same features in every
task, so the statistics of old classes never go stale. Linear discriminants are learned from soft
targets, which divide an image between several classes. The target of each image is the mixture of
patent B, `TSSR · STK + (1 - TSSR) · EK`: STK is the teacher's class distribution, EK the one-hot
real answer, and TSSR the transfer ratio.

The stage processes all images in several rounds. The training progress TSTR is the completed share
of these rounds, and the targets of all rounds count equally. Images without labels have no real
answer: their TSSR is 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from orchestrator.config.backbones import InheritedBackboneConfig
from orchestrator.config.student import StudentConfig
from orchestrator.methods.dual_teacher.student.closed_form import (
    FeatureStatistics,
    discriminant,
    no_statistics,
)
from orchestrator.methods.dual_teacher.student.teaching import taught
from orchestrator.methods.dual_teacher.student.transfer import soften, transfer_targets
from orchestrator.methods.dual_teacher.teacher import TeacherModel
from orchestrator.methods.dual_teacher.teacher.posterior import TeacherPosterior
from orchestrator.methods.facts import is_taught
from orchestrator.methods.features.shrinkage import shrinkage_for_images
from orchestrator.methods.method import LearningInputs
from orchestrator.methods.views import Views, shared_features
from orchestrator.models import AnyNetwork, Backbone, LinearClassifier, Network, PowerNormalization
from orchestrator.models.network import extract_features
from orchestrator.training.context import LearningContext
from orchestrator.training.reports import EpochReport


@dataclass(frozen=True)
class InheritedStudent:
    """Inherited student that has learned one or more tasks.

    Attributes:
        network: Inherited layers, normalisation, linear discriminants.
        statistics: Statistics of the seen classes in the network's features. Unlabelled images are
            not included.
        details: Values for the summary, such as the mean KDR and TSSR of the task's images. The
            value `unlabeled_images` is the expected number of unlabelled images that show a seen
            class, according to the teacher's class probabilities.
    """

    network: AnyNetwork
    statistics: FeatureStatistics
    details: dict[str, float] = field(default_factory=dict)


class _Known(NamedTuple):
    """Features of images, from the extractors of student and teacher.

    Attributes:
        student: Normalised features from the student's extractor.
        teacher: Features from the teacher's extractor.
    """

    student: Float[Tensor, "n d"]
    teacher: Float[Tensor, "n e"]


def learn_inherited_student(
    previous: InheritedStudent | None, inputs: LearningInputs, context: LearningContext
) -> InheritedStudent:
    """Learn one task with a student that inherits the teacher's first stages.

    Args:
        previous: The student of the previous task, not modified; None for the first task.
        inputs: New images, images without labels, the teacher after this task, the configuration.
        context: Device, ranks, listener for epoch reports.
    """
    teacher, config = inputs.teacher, inputs.experiment.student
    assert isinstance(teacher, TeacherModel)  # noqa: S101 - for the type checker
    teacher.network.eval()
    extractor, explained = _extractor_of(previous, inputs, context)
    seeing = _Seeing(extractor, teacher, context, is_taught(inputs.experiment))
    images = seeing.images(inputs.data.images, inputs.views)
    known = previous.statistics if previous else no_statistics(extractor.num_features)
    targets, details = _targets(known, images, inputs.data.labels, teacher, (config, context))
    details |= explained
    statistics = known.with_shares(images.student, targets)
    answering = statistics
    if inputs.unlabeled is not None and config.classifier_weight:
        others = seeing.images(inputs.unlabeled.images, inputs.unlabeled_views)
        shares = _unlabeled_shares(others, teacher, config)
        details["unlabeled_images"] = float(shares.sum())
        answering = statistics.with_shares(others.student, shares)
    classifier = _classifier(answering, config).to(context.device)
    network = Network(extractor, PowerNormalization(extractor.groups), classifier).eval()
    return InheritedStudent(network, statistics, details)


def _extractor_of(
    previous: InheritedStudent | None, inputs: LearningInputs, context: LearningContext
) -> tuple[Backbone, dict[str, float]]:
    """Return the inherited layers, which are the same in all tasks. If this task teaches the
    layers, also return how well they predict the teacher's features: the explained share of the
    variance.
    """
    if previous is not None:
        extractor: Backbone = previous.network.extractor
        return extractor.eval(), {}
    config, teacher = inputs.experiment.student, inputs.teacher
    assert isinstance(teacher, TeacherModel)  # noqa: S101 - for the type checker
    assert isinstance(config.backbone, InheritedBackboneConfig)  # noqa: S101 - for the type checker
    of_teacher = teacher.network.extractor.eval()
    inherited = of_teacher.until(config.backbone.until).eval()
    if not is_taught(inputs.experiment):
        return inherited, {}
    return taught(inherited, of_teacher, inputs, context)


@dataclass(frozen=True)
class _Seeing:
    """Source of the student's and the teacher's features of images: precomputed features where they
    exist, otherwise the two extractors.
    """

    extractor: Backbone
    teacher: TeacherModel
    context: LearningContext
    is_taught: bool

    def images(self, images: Tensor, views: Sequence[Views] | None) -> _Known:
        """Return the student's and the teacher's features of images.

        Args:
            images: Images as uint8.
            views: Features of the images from the teacher's extractor, if already computed.
        """
        of_teacher = self.teacher.network.extractor
        if views is None:
            features = self._extracted(of_teacher, images)
        else:
            features = torch.cat([part.clean for part in views])
        groups = self.extractor.groups
        begins_alike = of_teacher.groups[: len(groups)] == groups
        if views is not None and begins_alike and not self.is_taught:
            own = features[:, : self.extractor.num_features]
        else:
            identity = hashlib.sha256(images.contiguous().numpy().data).hexdigest()
            own = shared_features(self.extractor, images, identity, self.context)
        return _Known(PowerNormalization(groups)(own.float()).cpu(), features)

    def _extracted(self, extractor: Backbone, images: Tensor) -> Tensor:
        ranks = self.context.ranks
        return ranks.gather(extract_features(extractor, ranks.share(images)), len(images))


def _targets(
    known: FeatureStatistics,
    images: _Known,
    labels: Tensor,
    teacher: TeacherModel,
    setting: tuple[StudentConfig, LearningContext],
) -> tuple[Float[Tensor, "n classes"], dict[str, float]]:
    """Return the student's target for each image: the mean of the image's targets in all rounds."""
    config, context = setting
    num_classes, labels = teacher.network.classifier.num_classes, labels.cpu()
    answers = functional.one_hot(labels, num_classes).float()
    if not config.classifier_weight:
        return answers, {}
    taught = soften(_posterior(teacher, images.teacher, context), config.temperature)
    mean, targets = torch.zeros_like(answers), answers
    details: dict[str, float] = {}
    for done in range(config.transfer_rounds):
        statistics = known.with_shares(images.student, targets)
        logits = _classifier(statistics, config)(images.student)
        tstr = done / config.transfer_rounds
        found = transfer_targets(
            soften(logits, config.temperature), taught, labels, config.transfer, tstr
        )
        targets = found.targets
        mean += targets / config.transfer_rounds
        loss = -(targets * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()
        details = {"kdr": float(found.kdr.mean()), "tssr": float(found.tssr.mean())}
        if context.ranks.is_first:
            metrics = {"loss": float(loss), "tstr": tstr, **details}
            context.listener(EpochReport("student", done + 1, config.transfer_rounds, metrics))
    return mean, details


def _posterior(
    teacher: TeacherModel, features: Tensor, context: LearningContext
) -> Float[Tensor, "n classes"]:
    posterior = TeacherPosterior(teacher)
    return torch.cat(
        [posterior.logits(rows.to(context.device).float()).cpu() for rows in features.split(1024)]
    )


def _unlabeled_shares(
    images: _Known, teacher: TeacherModel, config: StudentConfig
) -> Float[Tensor, "n classes"]:
    """Return the teacher's probability of each seen class for each unlabelled image. The sum of a
    row is the probability that the image shows a seen class.
    """
    device = next(teacher.network.parameters()).device
    features = images.teacher.to(device).float()
    return TeacherPosterior(teacher).shares(features, config.temperature).cpu()


def _classifier(statistics: FeatureStatistics, config: StudentConfig) -> LinearClassifier:
    deviations = statistics.covariance.diagonal().clamp_min(1e-12).sqrt()
    correlation = statistics.covariance / deviations / deviations[:, None]
    shrinkage = shrinkage_for_images(
        correlation,
        statistics.degrees_of_freedom,
        config.classifier_shrinkage,
        config.few_images_shrinkage,
    )
    return discriminant(statistics, shrinkage)
