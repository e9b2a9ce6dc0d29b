"""The model of the teacher after learning a task."""

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
    """Teacher that has learned one or more tasks.

    Attributes:
        network: Extractor, embedding module, classifier.
        memory: Prototypes and representations of all seen classes.
        space: The joint embedding space after this task.
        vectors: (old classes, vectors per class, dimensions), the augmentation vectors of this
            task. Adding such a vector to an old prototype gave an augmented prototype.
        refinement_strength: Share of this task's refinement that was kept, in [0, 1]. Refinement
            trains corrections of the closed-form embedding module and classifier.
        doubted_labels: Mean probability that a label of this task is wrong, estimated from the
            agreement of features and labels.
    """

    network: TeacherNetwork
    memory: PrototypeMemory
    space: JointSpace
    vectors: Tensor
    refinement_strength: float
    doubted_labels: float = 0.0

    @property
    def details(self) -> dict[str, float]:
        """Return the values of `refinement_strength` and `doubted_labels`, for the summary of the
        task.
        """
        return {
            "refinement_strength": self.refinement_strength,
            "doubted_labels": self.doubted_labels,
        }
