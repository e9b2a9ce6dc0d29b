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
