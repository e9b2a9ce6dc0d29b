"""Obtain each stage: load the stage from the store, or learn, evaluate and store the stage. Claims
prevent several processes from learning the same stage at the same time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from orchestrator.data.scenario import Split
from orchestrator.data.unlabeled import UNLABELED
from orchestrator.errors import StorageUnavailableError
from orchestrator.methods.facts import inherits, is_pretrained
from orchestrator.methods.method import Model, method_of
from orchestrator.methods.views import Views
from orchestrator.stages.artifacts import to_artifact
from orchestrator.stages.backbones import work_of_an_image
from orchestrator.stages.checkpoints import StoreCheckpoints
from orchestrator.stages.claims import NO_CLAIMS, Claims, holding
from orchestrator.stages.computation import StageInputs, Upstream, compute_stage
from orchestrator.stages.cost_notes import SHARED, note_cost
from orchestrator.stages.evaluation import FeaturesOf, evaluate
from orchestrator.stages.events import (
    EpochFinished,
    FeaturesComputed,
    StageFinished,
    StageListener,
    StageStarted,
)
from orchestrator.stages.feature_tables import FeatureTables, tables_believed_by
from orchestrator.stages.fixed_features import features_by
from orchestrator.stages.graph import Stage, evaluation_key
from orchestrator.stages.label_beliefs import beliefs_as_artifact, beliefs_key, judge_labels
from orchestrator.stages.shared_artifacts import SharedInStore
from orchestrator.stages.shared_work import own_image_passes, shared_work_of
from orchestrator.stages.stage_reading import (
    ImagesOfClass,
    num_training_images,
    tables_judged_by,
    tables_learned_from,
    tables_read_for,
)
from orchestrator.stages.work import Work
from orchestrator.training.context import LearningContext
from orchestrator.training.ranks import ALONE, Ranks
from orchestrator.training.reports import EpochReport

logger = logging.getLogger(__name__)


class StageRunner:
    """Compute stages one after another, and keep the newest model of each role for the stages that
    build on it.
    """

    def __init__(
        self,
        work: Work,
        device: torch.device,
        listener: StageListener,
        ranks: Ranks = ALONE,
        claims: Claims = NO_CLAIMS,
    ) -> None:
        """Keep the arguments without computing any stage.

        Args:
            work: Inputs of the stages.
            device: Device of the models' tensors.
            listener: Receives every event, on the first rank only.
            ranks: Rank of this worker in the group of workers that compute the stages together.
            claims: Locks that let only one process at a time compute a given stage.
        """
        self._work = work
        self._device = device
        self._listener: StageListener = listener if ranks.is_first else lambda _: None
        self._ranks = ranks
        self._claims = claims
        self._stages = {stage.key: stage for stage in (*work.learned, *work.stages)}
        self._models: dict[str, tuple[str, Model]] = {}
        self._shared = SharedInStore(work.store, ranks, claims)
        surroundings = self._surroundings = LearningContext(
            work.experiment.seed,
            "features",
            device,
            work.experiment.data.augmentation,
            ranks=ranks,
            shared=self._shared,
        )
        self._features = FeatureTables(
            work.experiment, work.scenario, work.store, surroundings, claims
        )

    def obtain(self, stage: Stage, found: dict[str, Any] | None = None) -> None:
        """Ensure that a stage and its evaluation are in the store.

        Args:
            stage: A stage of the work, whose upstream stages must be in the store.
            found: Values of the stage, if the caller has got them from `Work.stored_values`. If
                this is None, the method looks for the stage in the store.

        Raises:
            StorageUnavailableError: The store cannot be read or written.
            UserInputError: Learning is impossible with this configuration.
        """
        started = time.perf_counter()
        self._listener(StageStarted(stage.name))
        if found is None:
            found = self._ranks.from_first(lambda: self._work.stored_values(stage))
        if found is None:
            asked = time.perf_counter()
            with holding(self._claims, stage.key, self._ranks):
                # The time of the stage excludes the time spent waiting for other processes.
                started += time.perf_counter() - asked
                found = self._ranks.from_first(
                    lambda: self._work.store.values_of(stage.key)
                )  # another process may have stored the stage in the meantime
                if found is None:
                    self._learn(stage, started)
                self._evaluate(stage)
                self._judge_labels(stage)
        if found is not None:
            for report in found["epochs"]:
                self._listener(EpochFinished(stage.name, EpochReport(**report)))
            self._note_use_of_features(stage)
        self._clear_progress(stage)
        self._listener(
            StageFinished(
                stage.name,
                time.perf_counter() - started,
                self._ranks.size,
                cached=found is not None,
            )
        )

    def _learn(self, stage: Stage, started: float) -> None:
        experiment, scenario, store = self._work.experiment, self._work.scenario, self._work.store
        epochs: list[dict[str, Any]] = []

        def report(epoch: EpochReport) -> None:
            epochs.append(epoch.as_json())
            self._listener(EpochFinished(stage.name, epoch))

        context = LearningContext(
            experiment.seed,
            stage.name,
            self._device,
            experiment.data.augmentation,
            report,
            StoreCheckpoints(store, stage.key),
            self._ranks,
            self._shared,
        )
        asked = time.perf_counter()
        views, unlabeled_views = self._views(stage)
        seconds_of_features = time.perf_counter() - asked
        self._shared.take_seconds()  # discard the seconds of an earlier stage's evaluation
        upstream = self._upstream(stage)
        model = compute_stage(
            StageInputs(stage, experiment, scenario, upstream, views, unlabeled_views), context
        )
        learned = self._ranks.from_first(
            lambda: to_artifact(
                method_of(experiment), model, not is_pretrained(stage.role, experiment)
            )
        )
        if self._ranks.is_first:
            seconds = time.perf_counter() - started
            values = {
                "stage": stage.name,
                "seconds": seconds,
                "seconds_without_features": seconds - seconds_of_features,
                "seconds_of_shared": self._shared.take_seconds(),
                "num_train_workers": self._ranks.size,
                "num_images": num_training_images(stage, experiment, scenario),
                "image_passes": own_image_passes(stage, self._work),
                "multiply_adds": work_of_an_image(experiment, stage.role, scenario.shape),
                "epochs": epochs,
                SHARED: self._shared.take_used(),
                "shared_work": [it.key for it in shared_work_of(stage, self._work, self._features)],
            }
            store.save(stage.key, replace(learned, values={**learned.values, **values}))
            note_cost(store, values)
        # Rebuild the model from its artifact instead of keeping the learned object. All ranks, and
        # all processes that load the model from the store, thus continue from the same numbers in
        # the same memory layout.
        self._models[stage.role] = (stage.key, self._work.model_from(learned, stage, self._device))

    def _evaluate(self, stage: Stage) -> None:
        key = evaluation_key(stage, self._work.scenario)
        if self._ranks.from_first(lambda: self._work.store.load(key)) is not None:
            return
        tables = tables_judged_by(stage, self._work.experiment, self._work.scenario)
        self._obtain_features(stage, tables)
        model = self._model(stage)
        features_of = self._features.judged if tables else self._own_features_of(stage, model)
        evaluation = evaluate(model, stage, self._work.scenario, self._ranks, features_of)
        if self._ranks.is_first:
            kept = evaluation.as_artifact()
            used = {SHARED: self._shared.take_used()}
            self._work.store.save(key, replace(kept, values={**kept.values, **used}))

    def _judge_labels(self, stage: Stage) -> None:
        work = self._work
        if not work.judges_labels_by(stage):
            return
        key = beliefs_key(stage, work.scenario)
        if self._ranks.from_first(lambda: work.store.load(key)) is not None:
            return
        tables = tables_believed_by(stage, work.experiment, work.scenario)
        self._obtain_features(stage, tables)
        features_of = (lambda c: self._features.judged(Split.TRAIN, [c])) if tables else None
        beliefs = judge_labels(self._model(stage), work.scenario, self._ranks, features_of)
        if self._ranks.is_first:
            work.store.save(key, beliefs_as_artifact(beliefs))

    def _own_features_of(self, stage: Stage, model: Model) -> FeaturesOf | None:
        if stage.role != "student" or not inherits(self._work.experiment):
            return None
        return features_by(model.network.extractor, self._work.scenario, self._surroundings)

    def _views(self, stage: Stage) -> tuple[list[Views] | None, list[Views] | None]:
        """Return the features of the training images and of the unlabelled images, computed by the
        teacher's pre-trained extractor; None for features that the stage does not learn from.

        A distilled student's stage also needs them, because it imitates the teacher on the images.
        """
        tables = tables_learned_from(stage, self._work.experiment, self._work.scenario)
        self._obtain_features(stage, tables)
        classes = [c for split, c in tables if split != UNLABELED]
        return (
            self._features.views(classes) if tables else None,
            self._features.unlabeled_views() if len(classes) < len(tables) else None,
        )

    def _obtain_features(self, stage: Stage, tables: Sequence[ImagesOfClass]) -> None:
        self._features.obtain(
            tables, lambda done, total: self._listener(FeaturesComputed(stage.name, done, total))
        )

    def _note_use_of_features(self, stage: Stage) -> None:
        if self._ranks.is_first:
            work = self._work
            self._features.note_use(tables_read_for(stage, work.experiment, work.scenario))

    def _clear_progress(self, stage: Stage) -> None:
        if self._ranks.is_first:
            try:
                self._work.store.clear_progress(stage.key)
            except StorageUnavailableError as error:
                # Do not fail if the checkpoints cannot be removed: the stage itself is stored, and
                # another run may be writing checkpoints of the stage at this moment.
                logger.warning("cannot remove the epoch checkpoints of %s: %s", stage.name, error)

    def _upstream(self, stage: Stage) -> Upstream:
        models = {
            upstream.role: self._model(upstream)
            for upstream in (self._stages[key] for key in stage.upstream)
        }
        return Upstream(models.get(stage.role), models.get("teacher"))

    def _model(self, stage: Stage) -> Model:
        key, model = self._models.get(stage.role, ("", None))
        if key != stage.key or model is None:
            artifact = self._ranks.from_first(lambda: self._work.artifact_of(stage))
            model = self._work.model_from(artifact, stage, self._device)
            self._models[stage.role] = (stage.key, model)
        return model
