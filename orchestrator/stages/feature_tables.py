"""What a pre-trained extractor makes of the images: computed once for every class, and read memory-mapped by whoever learns from it.

An extractor that never learns gives the same features in every task, trial and run; computing them again would take most of such
a teacher's time. A table lies in the stage store, under a key of its own: the extractor with its weights, the class's images, and
how views of them are made. Class order, tasks and all other settings of an experiment are not part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from orchestrator.config.experiment import Experiment
from orchestrator.config.teacher import PretrainedExtractorConfig
from orchestrator.data.scenario import Scenario, Split
from orchestrator.models import Backbone, build_backbone
from orchestrator.models.pretrained import weights_identity
from orchestrator.stages.claims import NO_CLAIMS, Claims, holding
from orchestrator.stages.configuration import Role
from orchestrator.stages.store import Artifact, StageStore
from orchestrator.teacher.features import Views, extract_views
from orchestrator.training.context import LearningContext
from orchestrator.training.random_streams import seeded_initialisation, stream

FEATURE_FORMAT = 1
_JUDGED = (Split.VALIDATION, Split.TEST)
Progress = Callable[[int, int], None]


def is_known_beforehand(role: Role, experiment: Experiment) -> bool:
    """Whether what a role's extractor makes of an image is the same in every task."""
    return role == "teacher" and isinstance(experiment.teacher.extractor, PretrainedExtractorConfig)


class FeatureTables:
    """The tables of an experiment's classes."""

    def __init__(
        self, experiment: Experiment, scenario: Scenario, store: StageStore, context: LearningContext, claims: Claims = NO_CLAIMS
    ) -> None:
        """Computes and reads nothing yet.

        Args:
            experiment: Its teacher's extractor is pre-trained.
            scenario: The images.
            store: Where tables are kept.
            context: Device, ranks, and how views are made.
            claims: Of all who may want the same tables at the same time.
        """
        self._experiment = experiment
        self._scenario = scenario
        self._store = store
        self._context = context
        self._claims = claims
        self._tables: dict[int, Artifact] = {}
        self._extractor: Backbone | None = None

    def obtain(self, classes: Sequence[int], progress: Progress) -> None:
        """Sees to it that the tables of some classes are in the store.

        Args:
            classes: Positions in the class order.
            progress: Told how many images are done, of how many in all.

        Raises:
            StorageUnavailableError: The store cannot be read or written.
        """
        missing = [c for c in classes if c not in self._tables and not self._read(c)]
        total = sum(self._num_images(c) for c in missing)
        done = 0

        def told(num: int) -> None:
            nonlocal done
            done += num
            progress(done, total)

        for c in missing:
            with holding(self._claims, self.key_of(c), self._context.ranks):
                if not self._read(c):
                    self._compute(c, told)

    def views(self, classes: Sequence[int]) -> list[Views]:
        """Features of the training images of some classes, which have been obtained."""
        tables = [self._tables[c].tensors for c in classes]
        return [Views(tensors["clean"].to(self._context.device), tensors["varied"].to(self._context.device)) for tensors in tables]

    def judged(self, split: Split, classes: Sequence[int]) -> Float[Tensor, "n d"]:
        """Features of the images of some classes, which have been obtained, in the order of `Scenario.images_of`."""
        return torch.cat([self._tables[c].tensors[split.value] for c in classes])

    def key_of(self, c: int) -> str:
        """What a class's table depends on, as a SHA-256."""
        experiment, teacher = self._experiment, self._experiment.teacher
        varied: dict[str, Any] = {"augmentation": experiment.data.augmentation.model_dump(mode="json"), "seed": experiment.seed}
        content = {
            "format": FEATURE_FORMAT,
            "backbone": teacher.backbone.model_dump(mode="json"),
            "weights": self._weights,
            "images": self._scenario.fingerprint_of_class(c),
            "views": {"num_views": teacher.num_views, **varied} if teacher.num_views else None,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _weights(self) -> str:
        return weights_identity(self._experiment.teacher.backbone)

    def _num_images(self, c: int) -> int:
        num_train = len(self._scenario.indices[Split.TRAIN][c])
        return num_train * (1 + self._experiment.teacher.num_views) + sum(len(self._scenario.indices[split][c]) for split in _JUDGED)

    def _read(self, c: int) -> bool:
        ranks, key = self._context.ranks, self.key_of(c)
        if not ranks.from_first(lambda: self._store.values_of(key) is not None):
            return False
        found = self._store.load_mapped(key)
        if not all(ranks.values_of_all(found is not None)) or found is None:
            return False
        self._tables[c] = found
        return True

    def _compute(self, c: int, told: Callable[[int], None]) -> None:
        if self._extractor is None:
            with seeded_initialisation(0, "overwritten by pre-trained weights"):
                self._extractor = build_backbone(self._experiment.teacher.backbone, self._scenario.shape).to(self._context.device)
        extractor, context, ranks = self._extractor, self._context, self._context.ranks
        name = self._scenario.class_names[c]
        images = self._scenario.images_of(Split.TRAIN, [c]).images
        generator = views_generator(self._experiment.seed, name)
        views = extract_views(extractor, images, self._experiment.teacher.num_views, generator, context, told)
        tensors = {"clean": views.clean.cpu(), "varied": views.varied.cpu()}
        for split in _JUDGED:
            judged = self._scenario.images_of(split, [c]).images
            tensors[split.value] = extract_views(extractor, judged, 0, generator, context, told).clean.cpu()
        if ranks.is_first:
            self._store.save(self.key_of(c), Artifact(tensors, {"features_of": name}))
        self._tables[c] = Artifact(tensors)


def views_generator(seed: int, class_name: str) -> torch.Generator:
    """Draws the views of a class's training images: the same in whatever task it comes, for the teacher and for the student."""
    return stream(seed, "features", class_name)


def varied_images(experiment: Experiment, scenario: Scenario, c: int, context: LearningContext) -> Iterator[UInt8[Tensor, "n c h w"]]:
    """The views of a class's training images whose features are in its table: the images as they are, then the varied ones."""
    images = scenario.images_of(Split.TRAIN, [c]).images
    generator = views_generator(experiment.seed, scenario.class_names[c])
    yield images
    for _ in range(experiment.teacher.num_views):
        yield context.vary(images, generator).cpu()
