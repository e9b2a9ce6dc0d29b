"""The dual-teacher method as an implementation of `Method`: a teacher after patent A, and a student
that is distilled from the teacher after patents A and B (see docs/method.md).
"""

from __future__ import annotations

import torch
from torch import nn

from orchestrator.config.backbones import InheritedBackboneConfig
from orchestrator.methods.artifacts import (
    Tensors,
    network_tensors,
    prefixed,
    rebuilt_network,
    tensors_of,
    unprefixed,
)
from orchestrator.methods.dual_teacher.earlier_artifacts import as_stored_now
from orchestrator.methods.dual_teacher.facts import DualTeacherFacts
from orchestrator.methods.dual_teacher.student import StudentModel, learn_student_task
from orchestrator.methods.dual_teacher.student.closed_form import FeatureStatistics
from orchestrator.methods.dual_teacher.student.inherited import (
    InheritedStudent,
    learn_inherited_student,
)
from orchestrator.methods.dual_teacher.teacher import TeacherModel, learn_teacher_task
from orchestrator.methods.dual_teacher.teacher.closed_form import JointSpace
from orchestrator.methods.dual_teacher.teacher.prototypes import PrototypeMemory
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics
from orchestrator.methods.heads import (
    HeadInputs,
    cosine_classifier,
    linear_head,
    projection_head,
    zeros_classifier,
)
from orchestrator.methods.method import (
    ArtifactContext,
    LearningInputs,
    Model,
)
from orchestrator.models import AnyNetwork, LinearClassifier, Network, WhitenedEmbedding
from orchestrator.models.artifact import Artifact
from orchestrator.training.context import LearningContext

_WHITENING = "network.embedding.whitening"


class DualTeacher(DualTeacherFacts):
    """Train the teacher task by task, and distil each task's student from the teacher."""

    def learn(self, inputs: LearningInputs, context: LearningContext) -> Model:
        """Train the teacher, or distil the student, for one task."""
        experiment, previous = inputs.experiment, inputs.previous
        if inputs.role == "teacher":
            assert previous is None or isinstance(previous, TeacherModel)  # noqa: S101 - for the type checker
            return learn_teacher_task(
                previous, inputs.data, experiment.teacher, context, inputs.views
            )
        if isinstance(experiment.student.backbone, InheritedBackboneConfig):
            assert previous is None or isinstance(previous, InheritedStudent)  # noqa: S101 - for the type checker
            return learn_inherited_student(previous, inputs, context)
        assert isinstance(inputs.teacher, TeacherModel)  # noqa: S101 - for the type checker
        assert previous is None or isinstance(previous, StudentModel)  # noqa: S101 - for the type checker
        features = None if inputs.views is None else torch.cat([it.clean for it in inputs.views])
        return learn_student_task(
            previous, inputs.teacher, inputs.data, experiment.student, context, features
        )

    def untrained_head(self, inputs: HeadInputs) -> tuple[nn.Module, nn.Module]:
        """Return the untrained embedding module and classifier with which the given role
        predicts.
        """
        experiment, extractor = inputs.experiment, inputs.extractor
        joint = experiment.teacher.joint_embedding
        dimensions = joint.dimensions_for(inputs.extractors["teacher"].num_features)
        if inputs.role == "teacher":
            embedding = WhitenedEmbedding(
                extractor.num_features, dimensions, joint.adapter_width, extractor.groups
            )
            return embedding, cosine_classifier(dimensions, inputs.num_classes)
        if isinstance(experiment.student.backbone, InheritedBackboneConfig):
            return linear_head(extractor, inputs.num_classes)
        if experiment.student.classifier == "taught":
            return projection_head(extractor, dimensions, inputs.num_classes)
        return nn.Identity(), zeros_classifier(extractor.num_features, inputs.num_classes)

    def to_artifact(self, model: Model) -> Artifact:
        """Return all parts of a model that later stages need, as tensors and values.

        A student with weights of its own may predict with a classifier other than the trained one.
        Both classifiers are then stored.
        """
        if isinstance(model, TeacherModel):
            tensors = network_tensors(model.network)
            # The whitening is not stored: the tensors of the joint embedding space determine it.
            del tensors[_WHITENING]
            tensors |= {"exemplars": model.memory.exemplars, "vectors": model.vectors}
            tensors |= tensors_of("statistics", model.memory.statistics)
            tensors |= prefixed("space", model.space.tensors())
            return Artifact(tensors, model.details)
        if isinstance(model, InheritedStudent):
            tensors = network_tensors(model.network) | tensors_of("statistics", model.statistics)
            return Artifact(tensors, {"details": model.details})
        assert isinstance(model, StudentModel)  # noqa: S101 - for the type checker
        tensors = network_tensors(model.taught)
        if model.network is not model.taught:
            tensors |= prefixed("answers", dict(model.network.classifier.state_dict()))
        tensors |= prefixed("space", model.space.tensors())
        return Artifact(tensors | tensors_of("statistics", model.statistics))

    def from_artifact(self, artifact: Artifact, context: ArtifactContext) -> Model:
        """Rebuild a teacher or a student from its artifact."""
        tensors = as_stored_now(artifact.tensors)
        if context.role == "teacher" and _WHITENING not in tensors:
            space = JointSpace.from_tensors(unprefixed("space", tensors))
            tensors = tensors | {_WHITENING: space.map_of_features()}
        network = rebuilt_network(tensors, context)
        statistics = unprefixed("statistics", tensors)
        inherits = isinstance(context.experiment.student.backbone, InheritedBackboneConfig)
        if context.role == "student" and inherits:
            details = artifact.values["details"]
            return InheritedStudent(network, FeatureStatistics(**statistics), details)
        space = JointSpace.from_tensors(unprefixed("space", tensors))
        if context.role == "student":
            answering = _answering(network, unprefixed("answers", tensors))
            return StudentModel(answering, network, space, FeatureStatistics(**statistics))
        return TeacherModel(
            network,
            PrototypeMemory(tensors["exemplars"], ClassStatistics(**statistics)),
            space,
            tensors["vectors"].to(context.device),
            artifact.values["refinement_strength"],
            artifact.values.get("doubted_labels", 0.0),
        )


METHOD = DualTeacher()


def _answering(taught: AnyNetwork, classifier: Tensors) -> AnyNetwork:
    """Return the network with which a student predicts.

    If tensors of a classifier are given, the network consists of this classifier and the extractor
    of `taught`, the trained network. Otherwise it is `taught` itself.
    """
    if not classifier:
        return taught
    device = next(taught.extractor.parameters()).device
    answers = LinearClassifier(classifier["weights"], classifier["biases"]).to(device)
    return Network(taught.extractor, nn.Identity(), answers).eval()
