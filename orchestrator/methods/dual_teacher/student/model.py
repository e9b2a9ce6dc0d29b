"""The student as it is after learning a task."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.methods.dual_teacher.student.closed_form import (
    FeatureStatistics,
)
from orchestrator.methods.dual_teacher.teacher.closed_form import JointSpace
from orchestrator.models import (
    AnyNetwork,
    CosineClassifier,
    Network,
    ProjectionEmbedding,
)

TaughtNetwork = Network[ProjectionEmbedding, CosineClassifier]


@dataclass(frozen=True)
class StudentModel:
    """Student that has learned one or more tasks.

    Attributes:
        network: The network that predicts: the taught network's extractor and the configured
            classifier.
        taught: Extractor, with the embedding module and the classifier that imitate the teacher's;
            the next task continues from this network.
        space: The joint embedding space of this task, into which the taught network embeds.
        statistics: Statistics of the seen classes in the extractor's features.
    """

    network: AnyNetwork
    taught: TaughtNetwork
    space: JointSpace
    statistics: FeatureStatistics

    @property
    def details(self) -> dict[str, float]:
        """Return an empty mapping: this student reports no further values."""
        return {}
