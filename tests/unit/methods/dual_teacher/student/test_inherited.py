"""A student that inherits the teacher's first stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch

from orchestrator.config.experiment import Experiment
from orchestrator.config.methods import DualTeacherConfig
from orchestrator.data import Split
from orchestrator.data.labeled_images import UnlabeledImages
from orchestrator.methods.dual_teacher.student.inherited import InheritedStudent
from orchestrator.methods.dual_teacher.student.teaching import SeededViews
from orchestrator.methods.dual_teacher.teacher import TeacherModel
from orchestrator.methods.dual_teacher.teacher.posterior import TeacherPosterior
from orchestrator.methods.method import ArtifactContext, LearningInputs, method_of
from orchestrator.models import PowerNormalization
from orchestrator.models.artifact import Artifact
from orchestrator.models.network import extract_features, predict
from orchestrator.training.context import LearningContext
from tests.unit.methods.few_digits import Digits, experiment_with, of_classes

OLD, NEW = range(2), range(2, 4)


@dataclass
class Kept:
    """Store that keeps artifacts in memory and counts computations."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)
    computed: int = 0

    def obtain(self, content: Mapping[str, Any], compute: Callable[[], Artifact]) -> Artifact:
        key = repr(sorted(content.items()))
        if key not in self.artifacts:
            self.computed += 1
            self.artifacts[key] = compute()
        return self.artifacts[key]


@dataclass(frozen=True)
class Course:
    """Two teachers of four digits, and settings for a student of theirs."""

    digits: Digits
    experiment: Experiment
    teachers: tuple[TeacherModel, TeacherModel]

    def student(
        self,
        task: int,
        previous: InheritedStudent | None,
        unlabeled: UnlabeledImages | None = None,
        shared: Kept | None = None,
        **changes: Any,  # noqa: ANN401 - fields of the student
    ) -> InheritedStudent:
        data = of_classes(self.digits[Split.TRAIN], (OLD, NEW)[task])
        plain = self.experiment.model_dump()
        plain["student"] |= changes
        experiment = Experiment.model_validate(plain)
        inputs = LearningInputs(
            "student", data, experiment, previous, self.teachers[task], None, unlabeled
        )
        context = LearningContext(0, f"student[{task}]")
        context = replace(context, shared=shared) if shared is not None else context
        model = method_of(experiment).learn(inputs, context)
        assert isinstance(model, InheritedStudent)
        return model


@pytest.fixture(scope="module")
def course(digits: Digits) -> Course:
    plain = experiment_with(DualTeacherConfig()).model_dump()
    plain["teacher"]["backbone"] |= {"features": {"kind": "stages"}}
    plain["student"] |= {"backbone": {"kind": "inherited", "until": "stage2"}, "temperature": 1}
    experiment = Experiment.model_validate(plain)
    teachers: list[TeacherModel] = []
    for task, classes in enumerate((OLD, NEW)):
        data = of_classes(digits[Split.TRAIN], classes)
        previous = teachers[-1] if teachers else None
        inputs = LearningInputs("teacher", data, experiment, previous)
        model = method_of(experiment).learn(inputs, LearningContext(0, f"teacher[{task}]"))
        assert isinstance(model, TeacherModel)
        teachers.append(model)
    return Course(digits, experiment, (teachers[0], teachers[1]))


def test_an_inherited_students_features_are_the_teachers_first_ones(course: Course) -> None:
    images = course.digits[Split.TEST].images
    student = course.student(0, None).network.extractor
    whole = extract_features(course.teachers[0].network.extractor, images)

    torch.testing.assert_close(extract_features(student, images), whole[:, : student.num_features])


def test_inherited_layers_do_not_change(course: Course) -> None:
    first = course.student(0, None)
    second = course.student(1, first)
    before, after = (model.network.extractor.state_dict() for model in (first, second))

    assert all(torch.equal(before[name], after[name]) for name in before)


def test_without_the_classifier_teacher_the_student_learns_the_real_answers(course: Course) -> None:
    first = course.student(0, None, classifier_weight=0.0)
    second = course.student(1, first, classifier_weight=0.0)
    data = course.digits[Split.TRAIN]
    extractor = second.network.extractor
    features = PowerNormalization(extractor.groups)(extract_features(extractor, data.images))
    means = torch.stack([features[data.labels == c].mean(dim=0) for c in range(4)])

    torch.testing.assert_close(second.statistics.means, means, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second.statistics.counts, torch.full((4,), 30.0))


def test_every_image_counts_once_whatever_the_ratio(course: Course) -> None:
    for transfer in ({"kind": "per_sample"}, {"kind": "fixed", "ratio": 0.7}, {"kind": "linear"}):
        student = course.student(0, None, transfer=transfer)
        assert abs(float(student.statistics.counts.sum()) - 60) < 1e-3


def test_images_without_labels_change_the_predictions_but_not_the_stored_statistics(
    course: Course,
) -> None:
    images = course.digits[Split.TEST].images
    alone = course.student(0, None)
    helped = course.student(0, None, UnlabeledImages(images))

    torch.testing.assert_close(helped.statistics.means, alone.statistics.means)
    assert not torch.equal(helped.network.classifier.weights, alone.network.classifier.weights)
    assert 0 < helped.details["unlabeled_images"] <= len(images)


def test_without_the_classifier_teacher_images_without_labels_have_no_effect(
    course: Course,
) -> None:
    unlabeled = UnlabeledImages(course.digits[Split.TEST].images)
    alone = course.student(0, None, classifier_weight=0.0)
    helped = course.student(0, None, unlabeled, classifier_weight=0.0)

    assert torch.equal(helped.network.classifier.weights, alone.network.classifier.weights)


def test_a_student_is_rebuilt_from_its_artifact(course: Course) -> None:
    student = course.student(0, None)
    method = method_of(course.experiment)
    context = ArtifactContext("student", course.experiment, (1, 8, 8), torch.device("cpu"))
    rebuilt = method.from_artifact(method.to_artifact(student), context)
    images = course.digits[Split.TEST].images

    assert torch.equal(predict(rebuilt.network, images), predict(student.network, images))
    assert rebuilt.details == student.details


TEACHING = {"training": {"epochs": 2, "batch_size": 16}, "num_views": 2, "dimensions": 8}


def test_only_the_last_inherited_stage_is_taught(course: Course) -> None:
    plain = course.student(0, None).network.extractor.state_dict()
    learned = course.student(0, None, teaching=TEACHING).network.extractor.state_dict()
    changed = {name for name in plain if not torch.equal(plain[name], learned[name])}

    assert changed
    assert all(name.startswith("body.stages.parts.1.") for name in changed)


def test_layers_are_taught_once_for_all_students_with_equal_teaching(course: Course) -> None:
    kept = Kept()
    one = course.student(0, None, shared=kept, teaching=TEACHING)
    computed = kept.computed
    other = course.student(
        0, None, shared=kept, teaching=TEACHING, transfer={"kind": "fixed", "ratio": 0.9}
    )

    assert kept.computed == computed
    assert one.network.extractor.digest() == other.network.extractor.digest()
    assert one.details["explained"] == other.details["explained"]


def test_without_the_embedding_teacher_layers_are_not_taught(course: Course) -> None:
    plain = course.student(0, None).network.extractor.digest()
    untaught = course.student(0, None, teaching=TEACHING, embedding_weight=0.0)

    assert untaught.network.extractor.digest() == plain


def test_seeded_views_are_reproducible_and_differ_from_each_other(digits: Digits) -> None:
    views = SeededViews(digits[Split.TRAIN].images, 3, LearningContext(0, "student[0]"))

    assert torch.equal(views.view(1), views.view(1))
    assert not torch.equal(views.view(0), views.view(2))
    assert torch.equal(views.all()[: len(views.images)], views.view(0))


def test_images_of_seen_classes_are_more_probably_seen_than_others(course: Course) -> None:
    data = course.digits[Split.TEST]
    teacher = course.teachers[0]
    features = extract_features(teacher.network.extractor, data.images)
    known = TeacherPosterior(teacher).shares(features, 1.0).sum(dim=1)
    is_seen = data.labels < 2

    assert known[is_seen].mean() > known[~is_seen].mean()
    assert bool(((known >= 0) & (known <= 1 + 1e-6)).all())
