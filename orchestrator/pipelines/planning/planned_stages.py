"""Determine for each planned stage which part is stored already, and estimate the stage's cost."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.config.execution import ExecutionConfig, RayConfig
from orchestrator.config.roles import Role
from orchestrator.distributed.resources import lanes_of
from orchestrator.methods.facts import facts_of
from orchestrator.pipelines.planning.cost import (
    Costs,
    Kind,
    Rate,
    sum_if_known,
)
from orchestrator.stages import Stage, Work
from orchestrator.stages.graph import evaluation_key
from orchestrator.stages.shared_work import num_image_passes, own_image_passes, shared_work_of
from orchestrator.stages.stage_reading import (
    ImagesOfClass,
    TableKeys,
    num_training_images,
    tables_judged_by,
    tables_learned_from,
)


class StageState(StrEnum):
    """Part of a stage that is stored already: the whole stage, an epoch checkpoint, or nothing."""

    STORED = "stored"
    BEGUN = "begun"
    TO_COMPUTE = "to compute"


@dataclass(frozen=True)
class PlannedTable:
    """Feature table or other shared result that must exist before a stage can be trained or
    evaluated.

    Attributes:
        key: The key of the feature table in the store, or the key of another shared result
            (`SharedWork.key`).
        num_images: Number of images that the extractor must process; an image that is processed
            several times counts several times.
        worker_seconds: The estimated cost; None if unknown.
        kind: The kind of work that computes the table or the result.
        factor: Factor by which the cost may be too high or too low; at least 1.
    """

    key: str
    num_images: int
    worker_seconds: float | None
    kind: Kind = "features"
    factor: float = 1.0


@dataclass(frozen=True)
class PlannedStage:
    """Stage of a planned run.

    Attributes:
        stage: The stage.
        state: How much of the stage is stored.
        num_images: Number of training images of the stage's task.
        num_epochs: Number of epochs of all phases of the stage; 0 if the method computes in closed
            form.
        num_train_workers: Number of workers that share the stage's work; if the number can vary,
            the smallest number.
        own_worker_seconds: The estimated cost of the whole stage, without the cost of `tables`; 0
            if the stage is stored, None if unknown.
        tables: Feature tables and other shared results to compute before the stage.
    """

    stage: Stage
    state: StageState
    num_images: int
    num_epochs: int
    num_train_workers: int
    own_worker_seconds: float | None
    tables: Sequence[PlannedTable] = ()

    def without_tables(self, made: Container[str]) -> PlannedStage:
        """Return a copy of the planned stage, without the tables (feature tables and other shared
        results) that exist already.

        Args:
            made: Keys of the tables that are stored, or that an earlier stage computes.
        """
        return replace(self, tables=[table for table in self.tables if table.key not in made])

    @property
    def worker_seconds(self) -> float | None:
        """Return the estimated cost of the stage, including the feature tables and shared results
        that must be computed first; None if any part of the cost is unknown.
        """
        return sum_if_known(
            [self.own_worker_seconds, *(table.worker_seconds for table in self.tables)]
        )

    @property
    def kinds_without_estimate(self) -> set[Kind]:
        """Return the kinds of work without a cost estimate."""
        unknown: set[Kind] = set() if self.own_worker_seconds is not None else {self.stage.role}
        return unknown | {table.kind for table in self.tables if table.worker_seconds is None}

    @property
    def seconds(self) -> float | None:
        """Return the estimated wall-clock seconds of the stage; None if unknown."""
        return None if self.worker_seconds is None else self.worker_seconds / self.num_train_workers


def planned_stage(
    stage: Stage, work: Work, costs: Costs, state: StageState, tables: TableKeys
) -> PlannedStage:
    """Return the plan of a stage: its size, its cost, and the tables that must exist for it.

    The tables are the feature tables and other shared results that the stage and its evaluation
    read, including tables that are stored already (see `PlannedStage.without_tables`). If the stage
    or its evaluation is stored, the tables that only the stored part reads are omitted.

    Args:
        stage: The stage.
        work: The work (an experiment split into stages) that contains the stage.
        costs: The measured costs.
        state: Part of the stage that is stored.
        tables: Keys and sizes of the work's feature tables, as returned by `tables_of`.
    """
    experiment = work.experiment
    is_first, workers = stage.task.index == 0, _num_train_workers(stage.role, experiment.execution)
    epochs, images = (
        facts_of(experiment).num_epochs(stage.role, is_first, experiment),
        num_training_images(stage, experiment, work.scenario),
    )
    read, shared = tables_judged_by(stage, experiment, work.scenario), list[PlannedTable]()
    if state is StageState.STORED:
        cost: float | None = 0.0
        is_judged = (
            bool(read) and work.store.values_of(evaluation_key(stage, work.scenario)) is not None
        )
        read = [] if is_judged else read
    else:
        rate = costs.rates.get(stage.role)
        if rate is not None and rate.with_shared:
            cost = num_image_passes(epochs, images) * rate.worker_seconds
        else:
            cost = own_image_passes(stage, work) * rate.worker_seconds if rate else None
            shared = _planned_shared(stage, work, costs, tables)
        read = [*tables_learned_from(stage, experiment, work.scenario), *read]
    return PlannedStage(
        stage,
        state,
        images,
        epochs,
        workers,
        cost,
        [*_planned_tables(read, tables, costs.rates.get("features")), *shared],
    )


def tables_of(work: Work) -> TableKeys:
    """Return the keys and sizes of the feature tables that an experiment's stages read. Reuse the
    returned object: every new object reads the extractor's weights again.
    """
    return TableKeys(work.experiment, work.scenario)


def _planned_tables(
    read: Sequence[ImagesOfClass], tables: TableKeys, rate: Rate | None
) -> list[PlannedTable]:
    sizes = {tables.key_of(*images): tables.num_images_of(*images) for images in read}
    return [
        PlannedTable(key, num, None if rate is None else num * rate.worker_seconds)
        for key, num in sizes.items()
    ]


def _planned_shared(
    stage: Stage, work: Work, costs: Costs, tables: TableKeys
) -> list[PlannedTable]:
    planned = []
    for each in shared_work_of(stage, work, tables):
        rate, num = costs.rate_of(each), each.passes.num_image_passes
        seconds = None if rate is None else num * rate.worker_seconds
        factor = 1.0 if rate is None else rate.factor
        planned.append(PlannedTable(each.key, num, seconds, each.passes.kind, factor))
    return planned


def _num_train_workers(role: Role, execution: ExecutionConfig) -> int:
    return lanes_of(execution)[role].min_train_workers if isinstance(execution, RayConfig) else 1
