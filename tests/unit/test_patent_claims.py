"""Each mechanism of the two patents, as METHOD.md describes them: every test fails when its
mechanism is switched off.

Patent A claims 9 to 16 are claims 1 to 8 as an apparatus. The apparatus is the command line;
tests/integration tests it end to end.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from pkgutil import resolve_name
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_pre_hook

from orchestrator.config.augmentation import ImageAugmentationConfig
from orchestrator.config.scenario import ScenarioConfig
from orchestrator.config.student import StudentConfig
from orchestrator.config.teacher import (
    AdaptiveAugmentationConfig,
    FineTunedExtractorConfig,
    JointEmbeddingConfig,
    NoAugmentationConfig,
    RandomAugmentationConfig,
    TeacherConfig,
)
from orchestrator.config.training import RefinementConfig, TrainingConfig
from orchestrator.config.transfer import (
    FixedTransferConfig,
    PerSampleTransferConfig,
    ThresholdTransferConfig,
    TransferRule,
)
from orchestrator.data import ImageTable, Split
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.data.scenario_building import build_scenario
from orchestrator.methods.dual_teacher.student import StudentModel, learn_student_task
from orchestrator.methods.dual_teacher.student.losses import embedding_loss
from orchestrator.methods.dual_teacher.student.transfer import (
    kdr,
    soften,
    transfer_target,
    transfer_targets,
)
from orchestrator.methods.dual_teacher.teacher import TeacherModel, learn_teacher_task
from orchestrator.methods.dual_teacher.teacher.augmentation import (
    OldClasses,
    augmentation_loss,
    augmentation_vectors,
)
from orchestrator.methods.dual_teacher.teacher.closed_form import class_directions
from orchestrator.methods.dual_teacher.teacher.joint_embedding import push_pull
from orchestrator.methods.dual_teacher.teacher.refinement import Head, RefinementData, refine
from orchestrator.methods.dual_teacher.teacher.statistics import ClassStatistics
from orchestrator.methods.views import normalized_features
from orchestrator.models import Backbone, CosineClassifier, WhitenedEmbedding
from orchestrator.models.network import predict
from orchestrator.training.context import LearningContext
from orchestrator.training.reports import EpochReport

OLD, NEW = range(3), range(3, 6)
DIMENSIONS = 32
TEMPERATURE = 4.0
# accuracy on six classes: about 0.95 when everything works, 0.17 when nothing does
WELL_ABOVE_CHANCE = 0.7
AS_THEY_ARE = ImageAugmentationConfig(
    rotation_degrees=0, scale_fraction=0, shift_fraction=0, noise=0
)
VARIED = ImageAugmentationConfig(
    rotation_degrees=7.5, scale_fraction=0.075, shift_fraction=0.0625, noise=0.015
)
JOINT = JointEmbeddingConfig(
    dimensions=DIMENSIONS,
    pull_margin=0.3,
    push_margin=1.3,
    weight=1.0,
    keep_weight=1.0,
    shrinkage=0.1,
    adapter_width=16,
)
VECTORS = AdaptiveAugmentationConfig(
    num_vectors=8,
    radius=1.0,
    learning_rate=0.05,
    num_steps=20,
    margin=0.1,
    separation_weight=1.0,
    diversity_weight=1.0,
)
TABLE = ThresholdTransferConfig(
    similarity_thresholds=(0.6, 0.9),
    progress_thresholds=(0.25, 0.75),
    ratios=((0.95, 0.85, 0.75), (0.65, 0.55, 0.45), (0.35, 0.25, 0.15)),
)


def _teacher_config(**changes: object) -> TeacherConfig:
    settings: dict[str, object] = {
        "training": TrainingConfig(epochs=5, batch_size=32, learning_rate=0.005),
        "refinement": RefinementConfig(
            epochs=4, batch_size=32, learning_rate=0.003, weight_decay=0.0
        ),
        "self_supervision": "none",
        "num_views": 2,
        "view_weight": 5.0,
        "augmentation": VECTORS,
        "joint_embedding": JOINT,
    }
    return TeacherConfig.model_validate(settings | changes)


def _student_config(**changes: object) -> StudentConfig:
    settings: dict[str, object] = {
        "training": TrainingConfig(epochs=8, batch_size=32, learning_rate=0.01),
        "embedding_weight": 1.0,
        "classifier_weight": 1.0,
        "prototype_weight": 1.0,
        "mixture_weight": 0.5,
        # switch off what would mask another mechanism; benchmarks/methods.py measures each by
        # itself
        "anchor_weight": 0.0,
        "augmentation_strength": 1.0,
        "consolidation": 1.0,
        "stability_weight": 0.0,
        "classifier": "taught",
        "temperature": TEMPERATURE,
        "transfer": TABLE,
    }
    return StudentConfig.model_validate(settings | changes)


def _context(
    stage: str, images: ImageAugmentationConfig = VARIED, reports: list[EpochReport] | None = None
) -> LearningContext:
    return LearningContext(
        0,
        stage,
        image_augmentation=images,
        listener=(reports if reports is not None else []).append,
    )


@dataclass(frozen=True, repr=False)
class Course:
    """Digits in two tasks, and the models trained on them."""

    train: dict[range, LabeledImages]
    test: dict[range, LabeledImages]
    teachers: tuple[TeacherModel, TeacherModel]
    students: tuple[StudentModel, StudentModel]

    def second_teacher(
        self, images: ImageAugmentationConfig = VARIED, **changes: object
    ) -> TeacherModel:
        """Train the teacher's second task again with some settings changed."""
        return learn_teacher_task(
            self.teachers[0],
            self.train[NEW],
            _teacher_config(**changes),
            _context("teacher[1]", images),
        )

    def second_student(
        self,
        images: ImageAugmentationConfig = VARIED,
        reports: list[EpochReport] | None = None,
        **changes: object,
    ) -> StudentModel:
        """Distil the second task again with some settings changed."""
        context = _context("student[1]", images, reports)
        return learn_student_task(
            self.students[0], self.teachers[1], self.train[NEW], _student_config(**changes), context
        )


@pytest.fixture(scope="module")
def course(digits_table: ImageTable) -> Course:
    scenario = build_scenario(
        digits_table,
        ScenarioConfig(
            num_base_classes=len(OLD), classes_per_task=len(NEW), class_order=tuple(range(10))
        ),
        0.0,
        0,
    )

    def some(split: Split, classes: range) -> LabeledImages:
        each = [scenario.images_of(split, [label]) for label in classes]
        return LabeledImages(
            torch.cat([of.images[:40] for of in each]), torch.cat([of.labels[:40] for of in each])
        )

    train = {classes: some(Split.TRAIN, classes) for classes in (OLD, NEW)}
    test = {classes: some(Split.TEST, classes) for classes in (OLD, NEW)}
    first = learn_teacher_task(None, train[OLD], _teacher_config(), _context("teacher[0]"))
    second = learn_teacher_task(first, train[NEW], _teacher_config(), _context("teacher[1]"))
    small = learn_student_task(None, first, train[OLD], _student_config(), _context("student[0]"))
    large = learn_student_task(small, second, train[NEW], _student_config(), _context("student[1]"))
    return Course(train, test, (first, second), (small, large))


# --- observing a course ---------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Call:
    arguments: dict[str, Any]
    result: Any


def _spy(monkeypatch: pytest.MonkeyPatch, place: str) -> list[Call]:
    """Record the calls of a function without changing its behaviour."""
    original = resolve_name(place)
    signature, calls = inspect.signature(original), list[Call]()

    def spying(*args: object, **kwargs: object) -> object:
        result = original(*args, **kwargs)
        calls.append(Call(signature.bind(*args, **kwargs).arguments, result))
        return result

    monkeypatch.setattr(place, spying)
    return calls


@contextmanager
def _images_read() -> Iterator[set[bytes]]:
    """Collect every image that any feature extractor receives."""
    seen: set[bytes] = set()

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, Backbone):
            seen.update(_pixels(inputs[0]))

    handle = register_module_forward_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def _pixels(images: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def _state(module: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _tensors_in(value: object) -> Iterator[Tensor]:
    """Return every tensor reachable from a model."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from value.state_dict(keep_vars=True).values()
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors_in(getattr(value, field.name))


@torch.no_grad()
def _embeddings(model: TeacherModel | StudentModel, images: Tensor) -> Tensor:
    model.network.eval()
    embeddings: Tensor = model.network(images).embeddings
    return embeddings


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(dim=1) == labels).double().mean())


# --- patent A, claim 1: prototypes of the old classes, new data in the same space -----------------


def test_claim_a1_of_an_old_class_one_prototype_and_one_representation_remain(
    course: Course,
) -> None:
    """At the end of a task its data set is reduced to one old prototype and one representation a
    class; no other image is kept.
    """
    for task, model in enumerate(course.teachers):
        classes = range((OLD, NEW)[task].stop)
        memory = model.memory
        assert (
            len(memory.exemplars)
            == memory.statistics.num_classes
            == len(memory.statistics.means)
            == len(classes)
        )
        for label in classes:
            data = course.train[OLD if label in OLD else NEW]
            assert _pixels(memory.exemplars[label : label + 1]) <= _pixels(
                data.images[data.labels == label]
            )
        images = [tensor for tensor in _tensors_in(model) if tensor.dtype == torch.uint8]
        assert [len(tensor) for tensor in images] == [len(classes)]
    assert torch.equal(
        course.teachers[1].memory.exemplars[: len(OLD)], course.teachers[0].memory.exemplars
    )


def test_claim_a1_old_data_is_never_read_again(course: Course) -> None:
    """Learning new classes reads the second data set and the old prototypes, nothing of the first
    data set.
    """
    new, exemplars = _pixels(course.train[NEW].images), _pixels(course.teachers[0].memory.exemplars)
    old = _pixels(course.train[OLD].images)
    with _images_read() as frozen:
        course.second_teacher(AS_THEY_ARE)
    with _images_read() as fine_tuned:
        course.second_teacher(
            AS_THEY_ARE,
            extractor=FineTunedExtractorConfig(learning_rate_fraction=0.1, distillation_weight=1.0),
        )
    with _images_read() as distilled:
        course.second_student(
            AS_THEY_ARE, training=TrainingConfig(epochs=1, batch_size=32), mixture_weight=0.0
        )
    assert frozen == new
    assert fine_tuned == distilled == new | exemplars
    assert old & distilled == exemplars  # shows that the spy would have caught any old image

    with _images_read() as without_restraint:
        predict(course.teachers[1].network, course.train[OLD].images)
    assert without_restraint == old


def test_claim_a1_new_data_is_embedded_in_the_space_of_the_old_prototypes(course: Course) -> None:
    """New samples and old prototypes are points of one joint embedding space: the nearest prototype
    distinguishes old classes from new ones.
    """
    before, now = course.teachers
    with torch.no_grad():
        current = now.network.embedding.embed_normalized(now.memory.statistics.means)
        stale = before.network.embedding.embed_normalized(before.memory.statistics.means)
    images, labels = (
        torch.cat([getattr(course.test[classes], part) for classes in (OLD, NEW)])
        for part in ("images", "labels")
    )
    assert (
        _accuracy(
            functional.normalize(_embeddings(now, images), dim=1)
            @ functional.normalize(current, dim=1).T,
            labels,
        )
        > WELL_ABOVE_CHANCE
    )

    # switched off: prototypes left at the previous task's positions are not at the new class means
    for label in OLD:
        samples = _embeddings(
            now, course.train[OLD].images[course.train[OLD].labels == label]
        ).mean(dim=0)
        off, off_where_left = (
            1 - functional.cosine_similarity(samples, prototypes[label], dim=0)
            for prototypes in (current, stale)
        )
        assert off < 0.1 * off_where_left
        assert off_where_left > 0.01, "the space has not moved"


def test_claim_a1_the_memory_follows_when_the_space_changes(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that lives in the joint embedding space moves with it: anchors and vectors belong
    to the space after the task.
    """
    spaces = _spy(
        monkeypatch, "orchestrator.methods.dual_teacher.teacher.gated_refinement.joint_space"
    )
    drawn = _spy(
        monkeypatch,
        "orchestrator.methods.dual_teacher.teacher.gated_refinement.augmentation_vectors",
    )
    model = course.second_teacher()
    learned_in, lives_in = spaces[0].result, model.space
    assert not torch.allclose(learned_in.whitening, lives_in.whitening, rtol=1e-3)

    # map back to feature space, where the features differ, and from there into the new space
    in_features = drawn[0].result.double() @ torch.linalg.inv(learned_in.whitening.double())
    torch.testing.assert_close(
        model.vectors.double(), in_features @ lives_in.whitening.double(), rtol=1e-3, atol=1e-3
    )
    torch.testing.assert_close(
        model.network.embedding.whitening, lives_in.basis @ lives_in.whitening
    )
    torch.testing.assert_close(model.network.embedding.offset, lives_in.offset)
    with torch.no_grad():
        expected = class_directions(model.network.embedding, model.memory.statistics)
    torch.testing.assert_close(model.network.classifier.anchors, expected)


def test_claim_a1_representations_follow_an_extractor_that_changes(course: Course) -> None:
    """If the extractor keeps learning, old representations are moved with the observed drift of
    features instead of becoming stale.
    """
    before = course.teachers[0]
    option = FineTunedExtractorConfig(learning_rate_fraction=1.0, distillation_weight=0.1)
    model = course.second_teacher(extractor=option)
    moved = normalized_features(
        model.network.extractor, before.memory.exemplars
    ) - normalized_features(before.network.extractor, before.memory.exemplars)
    assert moved.norm(dim=1).min() > 0.01
    features = normalized_features(model.network.extractor, course.train[OLD].images)
    truth = torch.stack([features[course.train[OLD].labels == label].mean(dim=0) for label in OLD])
    stale = before.memory.statistics.means
    assert (model.memory.statistics.means[: len(OLD)] - truth).norm() < (stale - truth).norm()
    # switched off: with a frozen extractor nothing has to move
    assert torch.equal(course.teachers[1].memory.statistics.means[: len(OLD)], stale)


# --- patent A, claim 2: the parts of the first model ----------------------------------------------


def test_claim_a2_the_model_is_extractor_then_embedding_module_then_classifier(
    course: Course,
) -> None:
    """The first model embeds an extractor's features and classifies the embedding, over all classes
    seen so far.
    """
    images = course.test[NEW].images
    for model, num_classes in (
        (course.teachers[0], 3),
        (course.teachers[1], 6),
        (course.students[1], 6),
    ):
        network = model.network.eval()
        with torch.no_grad():
            embeddings = network.embedding(network.extractor(images))
            assert torch.equal(network(images).logits, network.classifier(embeddings))
        assert embeddings.shape == (len(images), DIMENSIONS)
        assert network.classifier.num_classes == num_classes
        # switched off: without its embedding module the network predicts differently
        swapped = copy.deepcopy(network)
        swapped.embedding.load_state_dict(
            {name: 0 * value for name, value in network.embedding.state_dict().items()}
        )
        assert not torch.allclose(swapped(images).logits, network(images).logits)


# --- patent A, claim 3: selection of the old prototype --------------------------------------------


def test_claim_a3_the_prototype_is_the_sample_nearest_the_mean_of_its_class(course: Course) -> None:
    """A class's samples are embedded and averaged; the sample nearest the average becomes the old
    prototype.
    """
    chosen = []
    for classes, model in zip((OLD, NEW), course.teachers, strict=True):
        data = course.train[classes]
        for label in classes:
            images = data.images[data.labels == label]
            embeddings = _embeddings(model, images)
            mean = torch.stack([*embeddings]).sum(dim=0) / len(images)
            distances = [math.dist(embedding.tolist(), mean.tolist()) for embedding in embeddings]
            [row] = [
                row
                for row, image in enumerate(images)
                if torch.equal(model.memory.exemplars[label], image)
            ]
            assert distances[row] == pytest.approx(min(distances), rel=1e-4)
            chosen.append(row)
    assert len(set(chosen)) > 1  # a fixed position would not pass


# --- patent A, claims 4 and 5: adaptive prototype augmentation ------------------------------------


@dataclass(frozen=True, repr=False)
class Surroundings:
    """Inputs of the vectors of the second task."""

    drawn: Tensor
    old: OldClasses
    new: Tensor

    def vectors(self, **changes: float) -> Tensor:
        return augmentation_vectors(
            VECTORS.model_copy(update=changes), self.drawn, self.old, self.new
        )

    def random(self) -> Tensor:
        return augmentation_vectors(
            RandomAugmentationConfig(num_vectors=8, radius=1.0), self.drawn, self.old, self.new
        )

    def limits(self, radius: float) -> Tensor:
        """Return the limits by definition: `radius` root mean square lengths of the class's
        draws.
        """
        return radius * self.drawn.square().sum(dim=2).mean(dim=1).sqrt()


@pytest.fixture(scope="module")
def surroundings(course: Course) -> Surroundings:
    with pytest.MonkeyPatch.context() as monkeypatch:
        calls = _spy(
            monkeypatch,
            "orchestrator.methods.dual_teacher.teacher.gated_refinement.augmentation_vectors",
        )
        course.second_teacher()
    given = calls[0].arguments
    return Surroundings(given["drawn"], given["old"], given["new_embeddings"])


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0])
def test_claim_a4_augmented_prototypes_stay_within_range_of_their_prototype(
    surroundings: Surroundings, radius: float
) -> None:
    """However far the optimisation would go, prototype + vector stays within the configured range
    of the prototype.
    """
    far = surroundings.vectors(radius=radius, learning_rate=2.0, diversity_weight=5.0)
    lengths, limits = far.norm(dim=2), surroundings.limits(radius)[:, None]
    assert (lengths <= limits * (1 + 1e-5)).all()
    assert (lengths >= limits * 0.999).any()  # the limit is active for some of the vectors


def test_claim_a4_without_its_range_the_optimisation_leaves_it(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter-case: the same optimisation without the range goes beyond it."""
    monkeypatch.setattr(
        "orchestrator.methods.dual_teacher.teacher.augmentation.within_range",
        lambda vectors, limits: vectors,
    )
    far = surroundings.vectors(learning_rate=2.0, diversity_weight=5.0)
    assert (far.norm(dim=2) > surroundings.limits(1.0)[:, None]).any()


def test_claim_a4_the_range_is_a_matter_of_configuration(course: Course) -> None:
    """`radius` reaches the teacher's vectors: a quarter of the radius makes vectors at most a
    quarter as long.
    """
    narrow, wide = (
        course.second_teacher(augmentation=VECTORS.model_copy(update={"radius": radius}))
        .vectors.norm(dim=2)
        .mean()
        for radius in (0.25, 1.0)
    )
    assert 0 < narrow < 0.5 * wide


class _Counting(nn.Module):
    """Classifier that counts its calls."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.num_calls = 0

    def forward(self, embeddings: Tensor) -> Tensor:
        self.num_calls += 1
        logits: Tensor = self.classifier(embeddings)
        return logits


def test_claim_a5_vectors_receive_their_gradient_through_the_old_classifier(
    surroundings: Surroundings,
) -> None:
    """The loss of the vectors is the old task's classifier at prototype + vector; that classifier
    does not change.
    """
    config = VECTORS.model_copy(
        update={"margin": 1.5, "separation_weight": 0.0, "diversity_weight": 0.0}
    )
    counting = _Counting(surroundings.old.classifier)
    old = replace(surroundings.old, classifier=counting)
    before = _state(counting)
    vectors = surroundings.random().requires_grad_()
    (gradient,) = torch.autograd.grad(
        augmentation_loss(config, vectors, old, surroundings.new), [vectors]
    )
    assert counting.num_calls == 1
    assert (gradient.norm(dim=2) > 0).all()

    counting.num_calls = 0
    optimised = augmentation_vectors(config, surroundings.drawn, old, surroundings.new)
    assert counting.num_calls == config.num_steps
    assert _same(before, _state(counting))
    assert all(parameter.grad is None for parameter in counting.parameters())
    lost, kept = (
        float(augmentation_loss(config, v, old, surroundings.new))
        for v in (surroundings.random(), optimised)
    )
    assert kept < lost

    # switched off: a classifier that is constant everywhere gives no gradient
    indifferent = _Counting(nn.Sequential(nn.Linear(DIMENSIONS, len(OLD))))
    for parameter in indifferent.parameters():
        nn.init.zeros_(parameter)
    unmoved = augmentation_vectors(
        config, surroundings.drawn, replace(old, classifier=indifferent), surroundings.new
    )
    torch.testing.assert_close(unmoved, surroundings.random())


def test_claim_a5_the_old_classifier_knows_the_old_classes_only(
    course: Course, surroundings: Surroundings
) -> None:
    """Vectors are judged by the classifier of the old task: it knows none of the new classes."""
    with torch.no_grad():
        logits = surroundings.old.classifier(surroundings.old.prototypes)
    assert logits.shape == (len(OLD), len(OLD))
    assert logits.argmax(dim=1).tolist() == list(OLD)
    assert course.teachers[1].network.classifier.num_classes == NEW.stop


def test_claim_a5_vectors_change_with_a_learning_rate_of_their_own(
    surroundings: Surroundings,
) -> None:
    """In the same number of steps, a larger learning rate moves the vectors further; 0 leaves them
    as drawn.
    """

    def distance(learning_rate: float) -> float:
        vectors = surroundings.vectors(
            learning_rate=learning_rate, num_steps=3, margin=1.0, radius=3.0
        )
        start = surroundings.vectors(learning_rate=0.0, num_steps=3, margin=1.0, radius=3.0)
        return float((vectors - start).norm())

    assert distance(0.0) == 0
    assert 0 < distance(0.001) < distance(0.01) < distance(0.1)
    assert torch.equal(surroundings.vectors(learning_rate=0.0), surroundings.random())


def test_claim_a5_the_networks_learning_rate_does_not_move_the_vectors(course: Course) -> None:
    """Only the vectors' own learning rate moves them; the network's learning rate does not."""
    # a lead of 2 in cosine is out of reach, so the gradient never vanishes
    ambitious = VECTORS.model_copy(update={"margin": 2.0})
    vectors = course.second_teacher(augmentation=ambitious).vectors
    faster = RefinementConfig(epochs=4, batch_size=32, learning_rate=0.02, weight_decay=0.0)
    assert torch.equal(
        course.second_teacher(augmentation=ambitious, refinement=faster).vectors, vectors
    )
    eager = ambitious.model_copy(update={"learning_rate": 0.2})
    assert not torch.allclose(course.second_teacher(augmentation=eager).vectors, vectors)


def test_claim_a5_vectors_keep_away_from_the_new_classes(surroundings: Surroundings) -> None:
    """Augmented prototypes that are closer to new images than to their own prototype move away
    from the new images.
    """
    # new images in the middle of the augmented points, where keeping away is hard
    crowded = (surroundings.old.prototypes[:, None] + 0.7 * surroundings.random()).flatten(0, 1)[
        ::2
    ]
    there = replace(surroundings, new=crowded)

    def intrusion(vectors: Tensor) -> float:
        points = functional.normalize(there.old.prototypes[:, None] + vectors, dim=2)
        to_own = (points - functional.normalize(there.old.prototypes, dim=1)[:, None]).norm(dim=2)
        to_new = torch.stack(
            [(points - image).norm(dim=2) for image in functional.normalize(crowded, dim=1)]
        ).amin(dim=0)
        return float((to_own - to_new).clamp_min(0).mean())

    optimised = there.vectors(separation_weight=3.0, diversity_weight=0.0)
    assert intrusion(optimised) < 0.8 * intrusion(there.random())
    assert intrusion(optimised) < 0.8 * intrusion(
        there.vectors(separation_weight=0.0, diversity_weight=0.0)
    )


def test_claim_a5_the_vectors_of_a_class_keep_apart(surroundings: Surroundings) -> None:
    """K vectors represent K different places around the prototype: they do not collapse into one
    point.
    """

    def nearest_other(vectors: Tensor) -> float:
        points = functional.normalize(surroundings.old.prototypes[:, None] + vectors, dim=2)
        distances = torch.cdist(points, points) + 9 * torch.eye(points.shape[1])
        return float(distances.amin(dim=2).mean())

    wishes: dict[str, float] = {
        "margin": 1.5,
        "separation_weight": 0.0,
        "num_steps": 60,
    }  # maximising confidence alone collapses them
    apart = nearest_other(surroundings.vectors(diversity_weight=5.0, **wishes))
    assert apart > 2 * nearest_other(surroundings.vectors(diversity_weight=0.0, **wishes))

    # draws that nearly coincide
    drawn = surroundings.drawn
    together = replace(surroundings, drawn=drawn[:, :1] + 0.05 * drawn)
    assert nearest_other(together.vectors(diversity_weight=5.0)) > 5 * nearest_other(
        together.random()
    )


# --- patent A, claims 6 and 7: training with push and pull ----------------------------------------


def test_claim_a6_new_data_and_augmented_prototypes_are_learned_together_in_balance(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every batch joins new data with augmented prototypes of the old classes, over all seen
    classes in equal shares.

    METHOD.md gives claims 3 to 7 for the teacher's steps and does not single out claim 6; this is
    what its step 5 adds to them.
    """
    calls = _spy(monkeypatch, "orchestrator.methods.dual_teacher.teacher.refinement.push_pull")
    course.second_teacher()
    assert calls
    for call in calls:
        shares = torch.bincount(call.arguments["labels"], minlength=NEW.stop)
        assert int(shares.max() - shares.min()) <= 2  # 32 places for 6 classes, in rotation

    # switched off: a batch in plain random order is not balanced
    labels = torch.cat(
        [course.train[NEW].labels, torch.arange(len(OLD)).repeat_interleave(VECTORS.num_vectors)]
    )
    shares = torch.bincount(
        labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:32]],
        minlength=NEW.stop,
    )
    assert int(shares.max() - shares.min()) > 2


def test_claim_a6_old_classes_take_part_as_prototype_plus_vector(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In training, an old class is represented by many different augmented prototypes; without
    augmentation by a single point.
    """

    def different_places() -> int:
        with monkeypatch.context() as patch:
            calls = _spy(patch, "orchestrator.methods.dual_teacher.teacher.refinement.push_pull")
            course.second_teacher(augmentation=augmentation)
        first = calls[0].arguments
        return len(torch.unique(first["embeddings"][first["labels"] == 0].detach(), dim=0))

    augmentation: AdaptiveAugmentationConfig | NoAugmentationConfig = VECTORS
    assert different_places() > 1
    augmentation = NoAugmentationConfig()
    assert different_places() == 1


@dataclass(frozen=True, repr=False)
class Material:
    """A head before its refinement, and what the refinement learns from."""

    start: Head
    data: RefinementData

    def refined(self, **changes: float) -> Head:
        head = copy.deepcopy(self.start)
        training = RefinementConfig(epochs=15, batch_size=64, learning_rate=0.03, weight_decay=0.0)
        joint = JOINT.model_copy(update=changes)
        refine(
            head,
            self.data,
            _teacher_config(refinement=training, joint_embedding=joint),
            _context("teacher[1]"),
        )
        return head

    @torch.no_grad()
    def forces(self, head: Head) -> float:
        """Return the push and pull that the new data still need, by the margins of `JOINT`."""
        means, features = self.data.statistics.means, self.data.new[0]
        embeddings, centres = (head.embedding.embed_normalized(x) for x in (features, means))
        push, pull = push_pull(embeddings, self.data.new_labels, centres, JOINT)
        return float(push + pull)

    @torch.no_grad()
    def distances(self, head: Head) -> tuple[Tensor, Tensor]:
        """Return the distances of new images to the centres of all other classes, old and new, and
        to their own.
        """
        means, features = self.data.statistics.means, self.data.new[0]
        embeddings, centres = (
            functional.normalize(head.embedding.embed_normalized(x), dim=1)
            for x in (features, means)
        )
        distances = torch.stack([(embeddings - centre).norm(dim=1) for centre in centres], dim=1)
        own = functional.one_hot(self.data.new_labels, len(centres)).bool()
        return distances[~own], distances[own]


@pytest.fixture(scope="module")
def material(course: Course) -> Material:
    captured: list[tuple[Head, RefinementData]] = []

    def capture(head: Head, data: RefinementData, *_: object) -> None:
        captured.append((copy.deepcopy(head), data))

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(
            "orchestrator.methods.dual_teacher.teacher.gated_refinement.refine", capture
        )
        course.second_teacher()
    return Material(*captured[0])


def test_claim_a7_training_pulls_the_samples_of_a_class_together(material: Material) -> None:
    """Samples are pulled to the centre of their class; with weight 0 they are not."""
    pulling = {"pull_margin": 0.0, "keep_weight": 0.0}  # no sample is near enough yet
    before, pulled, idle = (
        float(material.distances(head)[1].mean())
        for head in (
            material.start,
            material.refined(weight=5.0, **pulling),
            material.refined(weight=0.0, **pulling),
        )
    )
    assert pulled < 0.7 * before
    assert pulled < 0.7 * idle


def test_claim_a7_training_pushes_different_classes_apart(material: Material) -> None:
    """Samples are pushed away from the centres of all other classes, old and new; with weight 0
    they are not.
    """
    pushing = {
        "pull_margin": 1.2,
        "push_margin": 1.5,
        "keep_weight": 0.0,
    }  # within 1.2 of its centre no sample is pulled
    before, pushed, idle = (
        float((pushing["push_margin"] - material.distances(head)[0]).clamp_min(0).square().mean())
        for head in (
            material.start,
            material.refined(weight=20.0, **pushing),
            material.refined(weight=0.0, **pushing),
        )
    )  # distance missing to the margin
    assert pushed < 0.5 * before
    assert pushed < 0.5 * idle


def test_claim_a7_the_remaining_push_and_pull_falls_in_training(material: Material) -> None:
    """The sum of both losses falls in training, and further than without them."""
    left = material.forces(material.refined(weight=5.0, keep_weight=0.0))
    assert left < 0.7 * material.forces(material.start)
    assert left < 0.7 * material.forces(material.refined(weight=0.0, keep_weight=0.0))


def test_claim_a7_training_keeps_the_embedding_close_to_the_previous_one(
    material: Material,
) -> None:
    """The further the embedding would move from the positions of old prototypes and new data, the
    more it is held back.
    """

    def moved(head: Head) -> float:
        with torch.no_grad():
            before, after = (
                h.embedding.embed_normalized(material.data.new[0]) for h in (material.start, head)
            )
        return float((1 - functional.cosine_similarity(before, after, dim=1)).mean())

    assert moved(material.refined(keep_weight=100.0)) < 0.5 * moved(
        material.refined(keep_weight=0.0)
    )


def _changes(before: TeacherModel, after: TeacherModel) -> set[str]:
    """Return the parts that were trained: the classifier by its residuals, the embedding module by
    its adapter.
    """
    learned = {
        "extractor": (before.network.extractor.state_dict(), after.network.extractor.state_dict()),
        "embedding": (
            before.network.embedding.adapter.state_dict(),
            after.network.embedding.adapter.state_dict(),
        ),
    }
    changed = {name for name, states in learned.items() if not _same(*states)}
    residuals = functional.pad(before.network.classifier.residuals, (0, 0, 0, len(NEW)))
    return (
        changed
        if torch.equal(residuals, after.network.classifier.residuals)
        else changed | {"classifier"}
    )


def test_claim_a7_embedding_module_and_classifier_learn_and_the_extractor_does_not(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly two parts are trained with a new task: classifier and embedding module. A fine-tuned
    extractor is an option.
    """
    monkeypatch.setattr(
        "orchestrator.methods.dual_teacher.teacher.gated_refinement.best_strength", lambda *_: 1.0
    )  # make the closed form follow the training completely
    assert _changes(course.teachers[0], course.second_teacher()) == {"embedding", "classifier"}
    option = FineTunedExtractorConfig(learning_rate_fraction=0.1, distillation_weight=1.0)
    assert _changes(course.teachers[0], course.second_teacher(extractor=option)) == {
        "extractor",
        "embedding",
        "classifier",
    }
    # switched off: without this training neither part changes
    monkeypatch.setattr(
        "orchestrator.methods.dual_teacher.teacher.gated_refinement.refine", lambda *_: None
    )
    assert not _changes(course.teachers[0], course.second_teacher())


def test_claim_a7_learning_a_task_leaves_the_previous_teacher_as_it_was(course: Course) -> None:
    """The old task's model initialises and judges the new one; it does not change."""
    before = _state(course.teachers[0].network)
    course.second_teacher(
        extractor=FineTunedExtractorConfig(learning_rate_fraction=1.0, distillation_weight=0.0)
    )
    assert _same(before, course.teachers[0].network.state_dict())


def test_the_taught_teacher_classifies_old_and_new_classes(course: Course) -> None:
    """All steps together: after the second task both the old and the new classes are recognised."""
    for classes in (OLD, NEW):
        assert (
            _accuracy(
                predict(course.teachers[1].network, course.test[classes].images),
                course.test[classes].labels,
            )
            > WELL_ABOVE_CHANCE
        )


# --- patent A, claim 8: the second model is taught by both halves of the first --------------------


def test_claim_a8_the_students_embedding_approaches_the_teachers(course: Course) -> None:
    """First half: the student's embedding imitates the teacher's, of new images and of old ones
    that it never sees again.
    """
    reports: list[EpochReport] = []
    taught = course.second_student(reports=reports, embedding_weight=10.0)
    untaught = course.second_student(embedding_weight=0.0)
    falling = [report.metrics["embedding"] for report in reports]
    assert falling[-1] < 0.8 * falling[0]
    for classes in (OLD, NEW):
        images = course.test[classes].images
        wanted = _embeddings(course.teachers[1], images)
        assert embedding_loss(_embeddings(taught, images), wanted) < 0.7 * embedding_loss(
            _embeddings(untaught, images), wanted
        )


def test_claim_a8_both_embeddings_lie_in_one_space(course: Course) -> None:
    """The student's module maps into the teacher's space: either model's classifier accepts the
    other's embedding.
    """
    images, labels = course.test[NEW].images, course.test[NEW].labels
    classifier = course.teachers[1].network.classifier
    # a student that was never taught the embedding, not even in the first task
    never = _student_config(embedding_weight=0.0)
    untaught = learn_student_task(
        None, course.teachers[1], course.train[NEW], never, _context("student[1]")
    )
    swapped, without = (
        classifier(_embeddings(student, images)) for student in (course.students[1], untaught)
    )
    assert _accuracy(swapped, labels) > WELL_ABOVE_CHANCE
    assert _accuracy(without, labels) < _accuracy(swapped, labels) - 0.2


def test_claim_a8_the_student_follows_the_space_to_the_next_task(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the joint embedding space moves with a new task, the student's embedding starts at the
    teacher's new position.
    """
    before, images = course.students[0], course.train[OLD].images
    starts = _spy(monkeypatch, "orchestrator.methods.dual_teacher.student.task._start")
    monkeypatch.setattr("orchestrator.methods.dual_teacher.student.task.train", lambda *_: None)
    course.second_student()
    with torch.no_grad():
        moved = starts[0].result.embedding(starts[0].result.extractor(images))
    # the map between the spaces, fitted to the teacher's own points: least squares with a constant
    features = normalized_features(course.teachers[1].network.extractor, images)
    old, new = (
        features @ space.basis @ space.whitening - space.offset
        for space in (course.teachers[0].space, course.teachers[1].space)
    )
    constant = torch.ones(len(old), 1)
    fitted = torch.linalg.lstsq(torch.cat([old, constant], dim=1).double(), new.double()).solution
    expected = torch.cat([_embeddings(before, images), constant], dim=1).double() @ fitted
    torch.testing.assert_close(moved.double(), expected, rtol=1e-2, atol=1e-2)
    assert not torch.allclose(moved, _embeddings(before, images), rtol=1e-2, atol=1e-2)


def test_claim_a8_the_students_distribution_approaches_the_teachers(course: Course) -> None:
    """Second half: the student's class distribution imitates the teacher's; KDR rises over the
    stage.
    """
    reports: list[EpochReport] = []
    taught = course.second_student(reports=reports, transfer=FixedTransferConfig(ratio=1.0))
    rising = [report.metrics["kdr"] for report in reports]
    assert rising[-1] > rising[0]

    images = torch.cat([course.test[OLD].images, course.test[NEW].images])
    labels = torch.cat([course.test[OLD].labels, course.test[NEW].labels])
    wanted = soften(predict(course.teachers[1].network, images), TEMPERATURE)

    def difference(student: StudentModel) -> float:
        answers = soften(predict(student.network, images), TEMPERATURE)
        return 1 - float(kdr(answers, wanted, labels, "jensen_shannon").mean())

    # switched off in two ways: no classifier teacher, or one with weight 0
    assert difference(taught) < 0.8 * difference(course.second_student(classifier_weight=0.0))
    assert difference(taught) < 0.8 * difference(
        course.second_student(transfer=FixedTransferConfig(ratio=0.0))
    )


def test_claim_a8_augmented_prototypes_train_the_students_classifier(course: Course) -> None:
    """Augmented prototypes are points of the joint embedding space: they teach the student's
    classifier the old classes.
    """
    teacher = course.teachers[1]
    with torch.no_grad():
        prototypes = teacher.network.embedding.embed_normalized(
            teacher.memory.statistics.means[: len(OLD)]
        )
    points = (prototypes[:, None] + teacher.vectors).flatten(0, 1)
    labels = torch.tensor(OLD).repeat_interleave(VECTORS.num_vectors)

    def unsure(weight: float) -> float:
        classifier = course.second_student(prototype_weight=weight).network.classifier
        return float(functional.cross_entropy(classifier(points), labels).detach())

    assert unsure(5.0) < 0.8 * unsure(0.0)


def test_claim_a8_the_student_learns_from_new_data_and_one_exemplar_a_class_in_balance(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches hold new images and one old exemplar a class, with equal shares for all classes."""
    calls = _spy(monkeypatch, "orchestrator.methods.dual_teacher.student.objective.transfer_loss")
    course.second_student(training=TrainingConfig(epochs=1, batch_size=30))
    for call in calls:
        shares = torch.bincount(call.arguments["labels"], minlength=NEW.stop)
        assert shares.tolist() == [5] * 6


def test_claim_a8_distilling_leaves_the_teacher_and_the_previous_student_as_they_were(
    course: Course,
) -> None:
    """Teachers are read and never trained."""
    networks: list[nn.Module] = [course.teachers[1].network, course.students[0].network]
    before = [_state(network) for network in networks]
    course.second_student(training=TrainingConfig(epochs=1))
    assert all(
        _same(state, network.state_dict()) for state, network in zip(before, networks, strict=True)
    )


def test_claim_a8_the_teacher_runs_in_evaluation_mode(course: Course) -> None:
    """The teacher's output does not depend on the batch, as it would with layers in training mode
    (batch norm, dropout).
    """
    modes: set[bool] = set()
    teacher = replace(
        course.teachers[1], network=copy.deepcopy(course.teachers[1].network).train()
    )  # as if just loaded
    teacher.network.extractor.register_forward_hook(lambda module, *_: modes.add(module.training))
    config = _student_config(training=TrainingConfig(epochs=1))
    learn_student_task(
        course.students[0], teacher, course.train[NEW], config, _context("student[1]")
    )
    assert modes == {False}


def test_claim_a8_the_student_is_smaller(course: Course) -> None:
    """The second model has fewer parameters: at most a third of the first's."""
    for teacher, student in zip(course.teachers, course.students, strict=True):
        assert 3 * sum(p.numel() for p in student.network.parameters()) <= sum(
            p.numel() for p in teacher.network.parameters()
        )
        assert 3 * student.network.num_parameters() <= teacher.network.num_parameters()
        assert student.network.extractor.num_features < teacher.network.extractor.num_features


def test_claim_a8_without_its_teachers_the_student_is_less_sure_of_the_old_classes(
    course: Course,
) -> None:
    """All of claim 8 together, on old classes of which the student sees one image each."""
    alone = course.second_student(embedding_weight=0.0, classifier_weight=0.0, prototype_weight=0.0)

    def surprise(student: StudentModel) -> float:
        return float(
            functional.cross_entropy(
                predict(student.network, course.test[OLD].images), course.test[OLD].labels
            )
        )

    assert surprise(course.students[1]) < surprise(alone)


# --- patent B: the transfer ratio, step by step, as a stage computes it ---------------------------


@dataclass(frozen=True, repr=False)
class Batch:
    """Inputs of one batch's loss."""

    student_logits: Tensor
    teacher_logits: Tensor
    labels: Tensor
    student: Tensor
    teacher: Tensor
    similarity: float
    progress: float
    ratio: float | Tensor
    loss: Tensor


@pytest.fixture(scope="module")
def observe(course: Course) -> Callable[..., list[Batch]]:
    """Distil the second task and return the values of patent B for every batch."""

    def observed(**changes: object) -> list[Batch]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            objective = "orchestrator.methods.dual_teacher.student.objective"
            similarities = _spy(monkeypatch, f"{objective}.kdr")
            losses = _spy(monkeypatch, f"{objective}.transfer_loss")
            by_sample = _spy(monkeypatch, f"{objective}.transfer_ratios")
            rules = [
                _spy(monkeypatch, f"orchestrator.config.transfer.{rule}.tssr")
                for rule in ("ThresholdTransferConfig", "FixedTransferConfig")
            ]
            changes.setdefault(
                "training", TrainingConfig(epochs=4, batch_size=32, learning_rate=0.01)
            )
            course.second_student(VARIED, None, **changes)
        ratios = by_sample or [call for of_rule in rules for call in of_rule]
        batches = []
        for similarity, ratio, loss in zip(similarities, ratios, losses, strict=True):
            batches.append(
                Batch(
                    student_logits=loss.arguments["student_logits"].detach(),
                    teacher_logits=loss.arguments["teacher_logits"],
                    labels=loss.arguments["labels"],
                    student=similarity.arguments["student"],
                    teacher=similarity.arguments["teacher"],
                    similarity=ratio.arguments.get("kdr", similarity.result.mean()),
                    progress=ratio.arguments["tstr"],
                    ratio=loss.arguments["ratio"],
                    loss=loss.result.detach(),
                )
            )
        return batches

    return observed


@pytest.fixture(scope="module")
def batches(observe: Callable[..., list[Batch]]) -> list[Batch]:
    return observe()


def _softmax(logits: Tensor) -> Tensor:
    powers = (logits - logits.amax(dim=1, keepdim=True)).exp()
    return powers / powers.sum(dim=1, keepdim=True)


def test_step_b1_the_teachers_knowledge_is_the_softmax_of_its_softened_logits(
    batches: list[Batch],
) -> None:
    """STK = softmax(teacher logits / temperature)."""
    for batch in batches:
        torch.testing.assert_close(batch.teacher, _softmax(batch.teacher_logits / TEMPERATURE))
        assert not torch.allclose(
            batch.teacher, _softmax(batch.teacher_logits), atol=0.05
        )  # unsoftened


def test_step_b1_the_teachers_logits_are_the_continually_taught_teachers(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STK comes from the first model after this task, over all seen classes."""
    calls = _spy(monkeypatch, "orchestrator.methods.dual_teacher.student.objective.transfer_loss")
    course.second_student(AS_THEY_ARE, training=TrainingConfig(epochs=1, batch_size=32))
    data = torch.cat([course.teachers[1].memory.exemplars[: len(OLD)], course.train[NEW].images])
    known = predict(course.teachers[1].network, data)
    for row in torch.cat([call.arguments["teacher_logits"] for call in calls]):
        assert (known - row).abs().amax(dim=1).min() < 1e-3


def test_step_b2_the_students_distribution_is_softened_by_the_same_temperature(
    batches: list[Batch],
) -> None:
    """P = softmax(student logits / temperature)."""
    for batch in batches:
        torch.testing.assert_close(batch.student, _softmax(batch.student_logits / TEMPERATURE))
    assert not torch.allclose(batches[0].student, _softmax(batches[0].student_logits), atol=0.05)


def test_step_b3_kdr_is_the_similarity_of_both_distributions(batches: list[Batch]) -> None:
    """KDR = 1 - Jensen-Shannon divergence / ln 2, the mean over the batch, in [0, 1]; it rises
    while the student learns.
    """
    for batch in batches:
        p, q = batch.student.double(), batch.teacher.double()
        middle = (p + q) / 2
        divergence = (p * (p / middle).log() + q * (q / middle).log()).sum(dim=1) / 2
        assert batch.similarity == pytest.approx(
            1 - float(divergence.mean()) / math.log(2), abs=1e-5
        )
        assert 0 <= batch.similarity <= 1
    assert batches[-1].similarity > batches[0].similarity


def test_step_b3_kdr_can_be_the_cosine(observe: Callable[..., list[Batch]]) -> None:
    """The similarity is configurable; the cosine is the alternative."""
    for batch in observe(
        transfer=TABLE.model_copy(update={"similarity": "cosine"}),
        training=TrainingConfig(epochs=1),
    ):
        expected = functional.cosine_similarity(batch.student, batch.teacher, dim=1).mean()
        assert batch.similarity == pytest.approx(float(expected), abs=1e-5)


def test_step_b4_tstr_is_the_share_of_the_stages_steps_that_is_done(batches: list[Batch]) -> None:
    """TSTR = current step / all steps of the stage, over all of its epochs."""
    assert [batch.progress for batch in batches] == pytest.approx(
        [index / len(batches) for index in range(len(batches))]
    )


def test_step_b5_tssr_is_selected_from_kdr_and_tstr(
    batches: list[Batch], observe: Callable[..., list[Batch]]
) -> None:
    """TSSR is the cell of the table into which KDR and TSTR fall: it leans on the teacher early, on
    the answers late.
    """
    for batch in batches:
        row = sum(batch.similarity >= threshold for threshold in TABLE.similarity_thresholds)
        column = sum(batch.progress >= threshold for threshold in TABLE.progress_thresholds)
        assert batch.ratio == TABLE.ratios[row][column]
    assert batches[0].ratio > batches[-1].ratio
    # switched off: a fixed ratio is selected from nothing
    assert {batch.ratio for batch in observe(transfer=FixedTransferConfig(ratio=0.5))} == {0.5}


@pytest.mark.parametrize(
    "rule",
    [PerSampleTransferConfig(), TABLE.model_copy(update={"per": "sample"})],
    ids=["per_sample", "threshold"],
)
def test_steps_b3_to_b6_hold_for_a_single_sample(
    rule: TransferRule, observe: Callable[..., list[Batch]]
) -> None:
    """Each sample has its own KDR, its own TSSR, and its own target."""
    for batch in observe(transfer=rule, training=TrainingConfig(epochs=1), temperature=1.0):
        assert isinstance(batch.ratio, Tensor)
        of_one = [
            transfer_targets(
                batch.student[[i]], batch.teacher[[i]], batch.labels[[i]], rule, batch.progress
            )
            for i in range(len(batch.labels))
        ]
        torch.testing.assert_close(batch.ratio, torch.cat([it.tssr for it in of_one]))
        assert batch.ratio.min() < batch.ratio.max()
        knowledge = _softmax(batch.teacher_logits)
        target = transfer_target(knowledge, batch.labels, batch.ratio)
        cross_entropy = -(target * batch.student.log()).sum(dim=1)
        entropy = -torch.xlogy(knowledge, knowledge).sum(dim=1)
        torch.testing.assert_close(
            batch.loss, (cross_entropy - batch.ratio * entropy).mean(), rtol=1e-3, atol=1e-4
        )


def test_steps_b3_and_b5_a_label_that_the_teacher_believes_is_learned_from_the_answer(
    observe: Callable[..., list[Batch]],
) -> None:
    """KDR with the real answer is a probability, not a cosine: TSSR is small for right labels and
    large for labels that are wrong by construction.
    """
    rule = PerSampleTransferConfig()
    for batch in observe(transfer=rule, training=TrainingConfig(epochs=1)):
        assert isinstance(batch.ratio, Tensor)
        others = (batch.labels + 1) % batch.teacher.shape[1]
        wrong = transfer_targets(batch.student, batch.teacher, others, rule, batch.progress)
        assert batch.ratio.mean() < 0.5 < wrong.tssr.mean()


def test_step_b6_the_student_learns_the_mixture_of_the_teachers_knowledge_and_the_real_answers(
    observe: Callable[..., list[Batch]],
) -> None:
    """Target = TSSR · STK + (1 - TSSR) · EK; the loss is the divergence of P from it."""
    batches = observe(
        temperature=1.0, training=TrainingConfig(epochs=2, batch_size=32, learning_rate=0.01)
    )
    losses = []
    for batch in batches:
        answers = functional.one_hot(batch.labels, NEW.stop).float()
        target = batch.ratio * batch.teacher + (1 - batch.ratio) * answers
        torch.testing.assert_close(
            transfer_target(batch.teacher, batch.labels, batch.ratio), target
        )
        cross_entropy = -(target * batch.student.log()).sum(dim=1).mean()
        entropy = -(torch.xlogy(batch.teacher, batch.teacher)).sum(dim=1).mean()
        # up to the teacher's entropy, which has no gradient
        torch.testing.assert_close(
            batch.loss, cross_entropy - batch.ratio * entropy, rtol=1e-3, atol=1e-4
        )
        losses.append(float(batch.loss))
    assert losses[-1] < losses[0]


def test_step_b6_the_ratio_decides_whom_the_student_resembles(course: Course) -> None:
    """With TSSR 1 the student learns to predict what the teacher predicts; with TSSR 0 it learns
    only the answers.
    """
    images = course.test[NEW].images
    wanted = soften(predict(course.teachers[1].network, images), TEMPERATURE)

    def resemblance(ratio: float) -> float:
        student = course.second_student(transfer=FixedTransferConfig(ratio=ratio))
        answers = soften(predict(student.network, images), TEMPERATURE)
        return float(kdr(answers, wanted, course.test[NEW].labels, "jensen_shannon").mean())

    leaning, answering = resemblance(1.0), resemblance(0.0)
    assert leaning > answering


def test_a_classifier_and_an_embedding_module_are_what_the_student_shares_with_the_teacher(
    course: Course,
) -> None:
    """The student's classifier starts from the teacher's class directions in the joint space,
    unless a teacher is off.
    """
    taught, lone = (
        course.students[1].network.classifier,
        course.second_student(embedding_weight=0.0).network.classifier,
    )
    directions = course.teachers[1].network.classifier.directions().detach()
    torch.testing.assert_close(taught.anchors, directions)
    assert not torch.allclose(lone.anchors[len(OLD) :], directions[len(OLD) :], atol=0.1)


def test_untrained_parts_start_from_the_closed_form(course: Course) -> None:
    """A new adapter adds nothing and new residuals are zero: training can only start from the
    closed-form solution.
    """
    embedding, classifier = WhitenedEmbedding(8, 4, 3), CosineClassifier(4)
    statistics: ClassStatistics = course.teachers[0].memory.statistics
    features = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        embedding.embed_normalized(features), features @ embedding.whitening - embedding.offset
    )
    classifier.anchor(torch.eye(4)[: statistics.num_classes])
    assert not classifier.residuals.any()
