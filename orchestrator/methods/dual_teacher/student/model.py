"""The student after a task."""

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
    """The student after a task.

    Attributes:
        network: The network that predicts: the taught network's extractor and the configured
            classifier.
        taught: Extractor, and the embedding module and classifier that imitate the teachers'; the
            next task continues from this network.
        space: The joint embedding space of this task, into which the taught network embeds.
        statistics: Statistics of the seen classes in the extractor's features.
    """

    network: AnyNetwork
    taught: TaughtNetwork
    space: JointSpace
    statistics: FeatureStatistics

    @property
    def details(self) -> dict[str, float]:
        """Return an empty mapping: this student has no further figures."""
        return {}
