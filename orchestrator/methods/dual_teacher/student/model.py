"""The model of a student with weights of its own, after learning a task."""

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
        network: The network that predicts: the extractor of `taught` and the configured classifier.
        taught: The trained network: extractor, embedding module and classifier. The next task
            continues its training.
        space: The joint embedding space of this task: `taught` maps images into it.
        statistics: Statistics of the seen classes in the extractor's features.
    """

    network: AnyNetwork
    taught: TaughtNetwork
    space: JointSpace
    statistics: FeatureStatistics

    @property
    def details(self) -> dict[str, float]:
        """Return an empty mapping: a student with weights of its own reports no further values."""
        return {}
