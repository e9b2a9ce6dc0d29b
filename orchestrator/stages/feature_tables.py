"""Compute a pre-trained extractor's features of the images once for each class and split, and store
them. The stored features of one class and split are a feature table.

A frozen extractor gives the same features in every task, trial and run. For a teacher with such an
extractor, computing the features again would take most of the time.

A feature table has its own key in the stage store. The key covers the extractor with its weights,
the images, and the augmentation of the training images with its seed. The key does not cover the
class order, the tasks or other settings of an experiment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from orchestrator.config.experiment import Experiment
from orchestrator.data.scenario import Scenario, Split
from orchestrator.data.unlabeled import UNLABELED
from orchestrator.methods.facts import (
    is_judged_by_tables,
)
from orchestrator.methods.views import Views, extract_views, in_half_precision
from orchestrator.models import Backbone, build_backbone
from orchestrator.models.artifact import Artifact
from orchestrator.models.backbones import FeatureGroup
from orchestrator.stages.claims import NO_CLAIMS, Claims, holding
from orchestrator.stages.cost_notes import note_cost
from orchestrator.stages.graph import Stage
from orchestrator.stages.label_beliefs import classes_believed
from orchestrator.stages.stage_reading import ImagesOfClass, TableKeys
from orchestrator.stages.store import StageStore
from orchestrator.training.context import LearningContext
from orchestrator.training.random_streams import seeded_initialisation, stream

Progress = Callable[[int, int], None]


def tables_believed_by(
    stage: Stage, experiment: Experiment, scenario: Scenario
) -> list[ImagesOfClass]:
    """Return the feature tables from which a role's last model computes its beliefs: how probable
    the labels of the training images are. Return none if the model's features are not in tables.
    """
    is_known = is_judged_by_tables(stage.role, experiment)
    return [(Split.TRAIN, c) for c in (classes_believed(scenario) if is_known else ())]


class FeatureTables(TableKeys):
    """Compute, store and read the feature tables of an experiment's classes."""

    def __init__(
        self,
        experiment: Experiment,
        scenario: Scenario,
        store: StageStore,
        context: LearningContext,
        claims: Claims = NO_CLAIMS,
    ) -> None:
        """Keep the arguments without computing or reading any table.

        Args:
            experiment: The experiment, whose teacher has a pre-trained extractor.
            scenario: The images.
            store: Store of the feature tables.
            context: Device, ranks and augmentation.
            claims: Locks that let only one process at a time compute a given table.
        """
        super().__init__(experiment, scenario)
        self._store = store
        self._context = context
        self._claims = claims
        self._tables: dict[ImagesOfClass, Artifact] = {}
        self._noted: set[ImagesOfClass] = set()
        self._extractor: Backbone | None = None

    def obtain(self, tables: Sequence[ImagesOfClass], progress: Progress) -> None:
        """Load feature tables from the store. If a table is missing, compute and store the table.

        Args:
            tables: Split and class of the images of each feature table.
            progress: Receives the number of processed images and the total number of images.

        Raises:
            StorageUnavailableError: The store cannot be read or written.
        """
        wanted = [images for images in tables if images not in self._tables]
        missing = [images for images in wanted if not self._read(images)]
        total = sum(self.num_images_of(*images) for images in missing)
        done = 0

        def advance(num: int) -> None:
            nonlocal done
            done += num
            progress(done, total)

        for images in missing:
            with holding(self._claims, self.key_of(*images), self._context.ranks):
                if not self._read(images):
                    self._compute(images, advance)

    def note_use(self, tables: Sequence[ImagesOfClass]) -> None:
        """Mark tables in the store as used. Call this method for a stage that was a cache hit,
        because the tables of the stage were then not read.
        """
        keys = {images: self.key_of(*images) for images in tables if images not in self._noted}
        self._store.note_use(list(keys.values()))
        self._noted |= keys.keys()

    def views(self, classes: Sequence[int]) -> list[Views]:
        """Return the views of the training images of some classes: the features of the images
        and of their augmented copies. Call `obtain` first.
        """
        return [self._views_of(Split.TRAIN, c) for c in classes]

    def unlabeled_views(self) -> list[Views]:
        """Return the views of all unlabelled images, part by part: the features of the images,
        without features of augmented copies. Call `obtain` first.
        """
        return [self._views_of(UNLABELED, part) for part in range(len(self._pool.parts))]

    def _views_of(self, split: Split | Literal["unlabeled"], c: int) -> Views:
        table, device = self._tables[split, c], self._context.device
        return Views(
            self._features(split, c, "clean").to(device),
            self._features(split, c, "varied").to(device),
            tuple(FeatureGroup(name, size) for name, size in table.values["groups"]),
        )

    def judged(self, split: Split | Literal["unlabeled"], classes: Sequence[int]) -> Tensor:
        """Return the features (n, d) from which a model is judged: those of the images in some
        classes of a split, in the order of `Scenario.images_of`. Call `obtain` first.

        For unlabelled images, `classes` has numbers of their parts, and the order is that of
        `UnlabeledPool.rows`.
        """
        return torch.cat([self._features(split, c, "clean") for c in classes])

    def _features(self, split: Split | Literal["unlabeled"], c: int, name: str) -> Tensor:
        """Return the features of the images of class `c` in a split, or of part `c` of the
        unlabelled images. Omit the features of unlabelled images that the run excludes. `name` is
        the tensor's name in the feature table: "clean", or "varied" for augmented copies.
        """
        features = self._tables[split, c].tensors[name]
        if split != UNLABELED or len(self._pool.parts[c].kept) == features.shape[-2]:
            return features
        return features[..., torch.from_numpy(self._pool.parts[c].kept), :]

    def _read(self, images: ImagesOfClass) -> bool:
        ranks, key = self._context.ranks, self.key_of(*images)
        if not ranks.from_first(lambda: self._store.values_of(key) is not None):
            return False
        found = self._store.load_mapped(key)
        if found is not None and not self._is_table_of(images, found):
            self._store.move_aside(key, "a table of features", "not as many rows as images")
            found = None
        if not all(ranks.values_of_all(found is not None)) or found is None:
            return False
        self._tables[images] = found
        return True

    def _is_table_of(self, images: ImagesOfClass, table: Artifact) -> bool:
        clean, varied = (table.tensors.get(name) for name in ("clean", "varied"))
        if clean is None or varied is None or clean.ndim != 2:
            return False
        num_views = self._num_views(images[0])
        is_varied = varied.shape == (num_views, *clean.shape)
        return is_varied and len(clean) * (1 + num_views) == self.num_images_of(*images)

    def _compute(self, images: ImagesOfClass, advance: Callable[[int], None]) -> None:
        split, c = images
        if split == UNLABELED:
            what, raw = "images without labels", self._pool.copy_of(self._pool.parts[c].rows)
        else:
            what = self._scenario.class_names[c]
            raw = self._scenario.images_of(split, [c]).images
        generator, extractor = views_generator(self._experiment.seed, what), self._pretrained()
        started = time.perf_counter()
        views = extract_views(
            extractor, raw, self._num_views(split), generator, self._context, advance
        )
        tensors = {
            "clean": in_half_precision(views.clean),
            "varied": in_half_precision(views.varied),
        }  # the copy to the CPU waits for the GPU, so that `seconds` includes the GPU's work
        values = {
            "features_of": what,
            "backbone": self._experiment.teacher.backbone.model_dump(mode="json"),
            "groups": [list(group) for group in views.groups],
            "num_images": self.num_images_of(*images),
            "seconds": time.perf_counter() - started,
            "num_train_workers": self._context.ranks.size,
        }
        table = Artifact(tensors, values)
        if self._context.ranks.is_first:
            self._store.save(self.key_of(*images), table)
            note_cost(self._store, values)
        self._tables[images] = table

    def _pretrained(self) -> Backbone:
        if self._extractor is None:
            with seeded_initialisation(0, "overwritten by pre-trained weights"):
                self._extractor = build_backbone(
                    self._experiment.teacher.backbone, self._scenario.shape
                ).to(self._context.device)
        return self._extractor


def views_generator(seed: int, class_name: str) -> torch.Generator:
    """Return the random generator for the augmented views of a class's training images. The seed of
    the generator is the same in every task.
    """
    return stream(seed, "features", class_name)
