"""The student's predictions, and the preservation of its features. test_patent_claims.py tests that
its training follows the patents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import nn

from orchestrator.config.scenario import ScenarioConfig
from orchestrator.config.student import StudentConfig
from orchestrator.config.teacher import JointEmbeddingConfig, TeacherConfig
from orchestrator.config.training import TrainingConfig
from orchestrator.data import ImageTable, Split
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.data.scenario_building import build_scenario
from orchestrator.methods.dual_teacher.student import StudentModel, learn_student_task
from orchestrator.methods.dual_teacher.student.closed_form import discriminant
from orchestrator.methods.dual_teacher.teacher import TeacherModel, learn_teacher_task
from orchestrator.methods.dual_teacher.teacher.closed_form import JointSpace
from orchestrator.models import LinearClassifier
from orchestrator.models.network import extract_features, predict
from orchestrator.training.context import LearningContext
from orchestrator.training.reports import EpochReport

OLD, NEW = range(2), range(2, 4)
BRIEF = TrainingConfig(epochs=6, batch_size=32, learning_rate=0.005)


@dataclass(frozen=True, repr=False, eq=False)
class Course:
    """Four digits in two tasks; the student has learned the first task."""

    train: dict[range, LabeledImages]
    test: dict[range, LabeledImages]
    teacher: TeacherModel
    student: StudentModel

    def second(self, **changes: float | str) -> StudentModel:
        """Train the student on the second task."""
        return _learned(self, **changes)[0]

    def accuracy(self, student: StudentModel, classes: range) -> float:
        """Return the accuracy on test images of some classes."""
        test = self.test[classes]
        return float(
            (predict(student.network, test.images).argmax(dim=1) == test.labels).double().mean()
        )


def _config(**changes: float | str | TrainingConfig) -> StudentConfig:
    return StudentConfig.model_validate({"training": BRIEF, **changes})


@cache  # several tests need the same result
def _learned(course: Course, **changes: float | str) -> tuple[StudentModel, list[EpochReport]]:
    reports: list[EpochReport] = []
    context = LearningContext(0, "student[1]", listener=reports.append)
    return learn_student_task(
        course.student, course.teacher, course.train[NEW], _config(**changes), context
    ), reports


@pytest.fixture(scope="module")
def course(digits_table: ImageTable) -> Course:
    settings = ScenarioConfig(num_base_classes=2, classes_per_task=2, class_order=tuple(range(10)))
    scenario = build_scenario(digits_table, settings, 0.0, 0)
    train, test = (
        {classes: scenario.images_of(split, classes) for classes in (OLD, NEW)}
        for split in (Split.TRAIN, Split.TEST)
    )
    teacher = TeacherConfig(
        training=BRIEF,
        num_views=2,
        joint_embedding=JointEmbeddingConfig(dimensions=32),
    )
    first = learn_teacher_task(None, train[OLD], teacher, LearningContext(0, "teacher[0]"))
    second = learn_teacher_task(first, train[NEW], teacher, LearningContext(0, "teacher[1]"))
    student = learn_student_task(
        None, first, train[OLD], _config(), LearningContext(0, "student[0]")
    )
    return Course(train, test, second, student)


def test_the_student_predicts_with_discriminants_of_its_own_features(course: Course) -> None:
    student, images = course.second(), course.test[NEW].images
    assert isinstance(student.network.classifier, LinearClassifier)
    assert student.network.extractor is student.taught.extractor
    wanted = discriminant(student.statistics, StudentConfig().classifier_shrinkage)
    torch.testing.assert_close(
        predict(student.network, images),
        wanted(extract_features(student.network.extractor, images)),
    )
    assert student.statistics.counts.tolist() == [
        int((course.train[c].labels == k).sum()) for c in (OLD, NEW) for k in c
    ]


def test_the_student_predicts_with_its_taught_classifier_if_configured(course: Course) -> None:
    student = course.second(classifier="taught")
    assert student.network is student.taught
    other = course.second()
    for one, same in zip(
        student.taught.state_dict().values(), other.taught.state_dict().values(), strict=True
    ):
        assert torch.equal(one, same), "what it answers with changes nothing that is taught"


def test_transported_means_of_old_classes_are_nearer_to_the_true_means_than_stale_ones(
    course: Course,
) -> None:
    student = course.second(stability_weight=0.0)
    old = course.train[OLD]
    features = extract_features(student.taught.extractor, old.images)
    truth = torch.stack([features[old.labels == c].mean(dim=0) for c in OLD])
    stale, followed = course.student.statistics.means, student.statistics.means[: len(OLD)]
    assert (followed - truth).norm() < 0.8 * (stale - truth).norm()


def test_old_and_new_classes_are_recognised(course: Course) -> None:
    student = course.second()
    # 0.99 if all works; 0.25 if nothing does; 0 on old classes if they are forgotten
    assert min(course.accuracy(student, OLD), course.accuracy(student, NEW)) > 0.8


def test_without_the_classifier_teacher_old_class_directions_follow_the_space(
    course: Course,
) -> None:
    """The student's next task starts in the new joint embedding space, with its earlier
    predictions.
    """
    training = TrainingConfig(
        epochs=1, learning_rate=1e-9, weight_decay=0
    )  # its weights do not move
    config = _config(training=training, classifier_weight=0.0, prototype_weight=0.0)
    images, before = course.test[OLD].images, course.student.taught
    after = learn_student_task(
        course.student,
        replace(course.teacher, space=_turned(course.student.space)),
        course.train[NEW],
        config,
        LearningContext(0, "student[1]"),
    ).taught
    with torch.no_grad():
        embeddings = after.embedding(extract_features(after.extractor, images))
        answers = after.classifier.restricted_to(len(OLD))(embeddings)
        left_alone = before.classifier(embeddings)
    expected = predict(before, images)
    torch.testing.assert_close(answers, expected, rtol=1e-2, atol=1e-2)
    assert not torch.allclose(left_alone, expected, rtol=0.1, atol=0.1)


def _turned(space: JointSpace) -> JointSpace:
    """Return the same space on rotated axes. Lengths and angles are unchanged, and so are the
    logits of a classifier that follows it.
    """
    size = len(space.offset)
    random = torch.randn(size, size, generator=torch.Generator().manual_seed(0))
    axes = torch.linalg.qr(random).Q
    return JointSpace(space.basis, space.whitening @ axes, space.offset @ axes)


def test_stability_reduces_the_drift_of_features(course: Course) -> None:
    images = course.test[OLD].images
    before = extract_features(course.student.taught.extractor, images)

    def moved(weight: float) -> float:
        student, reports = _learned(course, stability_weight=weight)
        assert ("drift" in reports[-1].metrics) == (weight > 0)
        return float((extract_features(student.taught.extractor, images) - before).square().sum())

    assert moved(20.0) < 0.7 * moved(0.0)


def test_the_previous_student_does_not_change(course: Course) -> None:
    def state(network: nn.Module) -> list[torch.Tensor]:
        return [tensor.clone() for tensor in network.state_dict().values()]

    before = state(course.student.network) + state(course.student.taught)
    replace(course).second()  # trains it now
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            before, state(course.student.network) + state(course.student.taught), strict=True
        )
    )
