"""Plan a run: the stages that the run would compute, the stages that it would reuse, and its
approximate cost. Nothing is started.

The cost of a stage is assumed to be proportional to the number of its *image passes*, and to the
multiply-adds of its extractor per image. The number of image passes is the number of epochs times
the number of training images of the task. Images that the method mixes from training images are
counted too. A *lane* is the sequence of a role's stages, computed by the workers of that role.

The estimate is rough: it distinguishes minutes from days. The estimate ignores the exemplars of old
classes that students also see, the work outside epochs, most evaluations, and the start of Ray.
Workers are assumed to share the work without loss.

Several stages may read the same result: features by a pre-trained extractor or by inherited layers,
the teacher's answers to augmented images, or the training of inherited layers. The cost of such a
result is counted once, with the first stage that reads the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.config.backbones import InheritedBackboneConfig
from orchestrator.config.execution import ExecutionConfig, RayConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.distributed.machine import cpus_of_this_machine, gpus_of_this_machine
from orchestrator.errors import ConfigError
from orchestrator.pipelines.planning.cost import (
    KINDS,
    Costs,
    Kind,
    costs_known,
    sum_if_known,
)
from orchestrator.pipelines.planning.planned_stages import (
    PlannedStage,
    PlannedTable,
    StageState,
    planned_stage,
    tables_of,
)
from orchestrator.pipelines.run.execution import check_execution
from orchestrator.stages import Stage, StageStore, Work, prepare_work
from orchestrator.stages.configuration import of_role
from orchestrator.stages.extractors import extractors_of

if TYPE_CHECKING:
    from orchestrator.models.backbones import Cuts

_BYTES_OF_FEATURE = 2
"""Size in bytes of one number in a feature table; the numbers have half precision."""


@dataclass(frozen=True)
class Plan:
    """Plan of a run.

    Attributes:
        work: The experiment, split into stages.
        stages: The stages, in an order in which they can be computed.
        available: CPUs and GPUs of this machine, by Ray's names; empty if a remote cluster would
            compute.
        shortage: Why the run would not start on this machine; empty if no reason is known.
        num_features: Number of features of the teacher's extractor.
        cost_factor: Factor by which the cost may be too high or too low; at least 1.
        cuts: Points at which the teacher's backbone can be cut; a student can inherit the layers
            before a cut. All cuts if requested, otherwise only the student's cut. None if no cuts
            are requested and the student inherits no layers.
    """

    work: Work
    stages: Sequence[PlannedStage]
    available: Mapping[str, float]
    shortage: str
    num_features: int
    cuts: Cuts | None = None
    cost_factor: float = 1.0

    @property
    def worker_seconds(self) -> float | None:
        """Return the estimated worker-seconds of all stages that the run must compute; None if the
        cost of a stage is unknown.
        """
        return sum_if_known([planned.worker_seconds for planned in self.stages])

    @property
    def wall_seconds(self) -> float | None:
        """Return the estimated wall-clock seconds of the run; None if unknown. Under Ray, teacher
        stages and student stages run in parallel. Otherwise, one process computes stage by stage.
        """
        lanes_at_once = isinstance(self.work.experiment.execution, RayConfig)
        return (
            critical_path_seconds(self.stages)
            if lanes_at_once
            else sum_if_known([planned.seconds for planned in self.stages])
        )

    @property
    def num_unseen_images(self) -> int:
        """Return the number of images that a pre-trained extractor must process before stages can
        read the features of these images.
        """
        return sum(table.num_images for table in self._tables)

    @property
    def features_bytes(self) -> int:
        """Return the size in bytes of the feature tables that must still be computed."""
        return self.num_unseen_images * self.num_features * _BYTES_OF_FEATURE

    @property
    def images_per_second(self) -> float | None:
        """Return the number of images that the extractor of one worker processes per second; None
        if unknown.
        """
        seconds = sum_if_known([table.worker_seconds for table in self._tables])
        return self.num_unseen_images / seconds if seconds else None

    @property
    def chosen_cut(self) -> str | None:
        """Return the cut of the teacher's backbone after which the student inherits no more layers:
        the name of the last stage before the cut. Return None if the student inherits no layers.
        """
        return _chosen_cut(self.work.experiment)

    @property
    def _tables(self) -> list[PlannedTable]:
        return [table for it in self.stages for table in it.tables if table.kind == "features"]

    @property
    def kinds_without_estimate(self) -> list[Kind]:
        """Return the kinds of work whose cost cannot be estimated, because the store has no
        measurement of that kind.
        """
        unknown = set().union(*(planned.kinds_without_estimate for planned in self.stages))
        return [kind for kind in KINDS if kind in unknown]

    def num_in(self, state: StageState) -> int:
        """Return the number of planned stages that are in a state."""
        return sum(planned.state == state for planned in self.stages)


def plan(experiment: Experiment, *, with_cuts: bool = False) -> Plan:
    """Plan a run of an experiment: its stages, the stages that are stored already, the resources,
    and the cost.

    Nothing is started. The only files written are decoded images in the data cache.

    Args:
        experiment: The experiment.
        with_cuts: Whether to return every cut of the teacher's backbone, with measured latency.

    Raises:
        UserInputError: Data, store address or backbones cannot be used.
        StorageUnavailableError: The data cache or the store cannot be reached.
    """
    work = prepare_work(experiment)
    extractors = extractors_of(experiment, work.scenario, work.store)
    costs = costs_known(work.store, experiment, extractors.multiply_adds, extractors.networks)
    available, shortage = _room(experiment.execution)
    stages: list[PlannedStage] = []
    made = set(costs.computed)
    tables = tables_of(work)
    for stage in work.stages:
        left = planned_stage(stage, work, costs, _state(stage, work.store), tables).without_tables(
            made
        )
        made |= {table.key for table in left.tables if work.store.values_of(table.key) is not None}
        stages.append(left.without_tables(made))
        made |= {table.key for table in left.tables}
    cuts = _cuts(work, with_cuts)
    factor = _factor(stages, costs)
    return Plan(work, stages, available, shortage, extractors.num_features["teacher"], cuts, factor)


def _factor(stages: Sequence[PlannedStage], costs: Costs) -> float:
    """Return the factor by which the cost of the stages may be too high or too low."""
    tables = [table for it in stages for table in it.tables]
    used: set[Kind] = {it.stage.role for it in stages if it.own_worker_seconds}
    used |= {table.kind for table in tables}
    of_rates = [rate.factor for kind, rate in costs.rates.items() if kind in used]
    return max([*of_rates, *(table.factor for table in tables)], default=1.0)


def critical_path_seconds(stages: Sequence[PlannedStage]) -> float | None:
    """Return the length of the critical path: the duration of a run if teacher stages and student
    stages run in parallel. A stage waits for the previous stage of the same role, and for all
    stages on which it depends.

    Args:
        stages: The stages, in an order in which they can be computed.

    Returns:
        The seconds; None if the seconds of a stage are unknown.
    """
    ended: dict[str, float] = {}
    lane_ended: dict[Role, float] = dict.fromkeys(ROLES, 0.0)
    for planned in stages:
        if planned.seconds is None:
            return None
        stage = planned.stage
        begins = max([lane_ended[stage.role], *(ended.get(key, 0.0) for key in stage.upstream)])
        ended[stage.key] = lane_ended[stage.role] = begins + planned.seconds
    return max(lane_ended.values())


def _cuts(work: Work, is_asked_for: bool) -> Cuts | None:
    backbone, shape = work.experiment.teacher.backbone, work.scenario.shape
    chosen = _chosen_cut(work.experiment)
    if chosen is None and not is_asked_for:
        return None
    from orchestrator.models.backbones import cuts_of  # noqa: PLC0415 - loads torch

    with of_role("teacher"):
        if is_asked_for:
            return cuts_of(backbone, shape, is_timed=True)
        return cuts_of(backbone, shape, chosen)


def _chosen_cut(experiment: Experiment) -> str | None:
    backbone = experiment.student.backbone
    return backbone.until if isinstance(backbone, InheritedBackboneConfig) else None


def _state(stage: Stage, store: StageStore) -> StageState:
    if store.values_of(stage.key) is not None:
        return StageState.STORED
    return StageState.BEGUN if store.has_progress(stage.key) else StageState.TO_COMPUTE


def _room(execution: ExecutionConfig) -> tuple[dict[str, float], str]:
    """Return the resources of this machine, and the reason why the machine has no room for the run.
    The reason is empty if the resources suffice. For a remote cluster, which is not contacted, both
    resources and reason are empty.
    """
    if isinstance(execution, RayConfig) and execution.address is not None:
        return {}, ""
    available: dict[str, float] = {"CPU": cpus_of_this_machine(), "GPU": gpus_of_this_machine()}
    try:
        check_execution(execution)
    except ConfigError as error:
        return available, str(error)
    return available, ""
