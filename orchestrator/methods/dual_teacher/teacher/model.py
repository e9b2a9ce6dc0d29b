"""The teacher after a task."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from orchestrator.methods.dual_teacher.teacher.closed_form import (
    JointSpace,
)
from orchestrator.methods.dual_teacher.teacher.prototypes import PrototypeMemory
from orchestrator.models import (
    CosineClassifier,
    Network,
    WhitenedEmbedding,
)

TeacherNetwork = Network[WhitenedEmbedding, CosineClassifier]


@dataclass(frozen=True)
class TeacherModel:
    """The teacher after a task.

    Attributes:
        network: Extractor, embedding module, classifier.
        memory: Prototypes of all seen classes.
        space: Where the joint embedding space lies after this task.
        vectors: Augmentation of the old classes' prototypes in this task (old classes, vectors,
            dimensions).
        refinement_strength: How much of what this task's refinement learned was kept, in [0, 1].
        doubted_labels: Share of this task's labels that features contradict, every doubt by its
            size.
    """

    network: TeacherNetwork
    memory: PrototypeMemory
    space: JointSpace
    vectors: Tensor
    refinement_strength: float
    doubted_labels: float = 0.0

    @property
    def details(self) -> dict[str, float]:
        """Return how much of the refinement was kept, and how many labels were doubted."""
        return {
            "refinement_strength": self.refinement_strength,
            "doubted_labels": self.doubted_labels,
        }
