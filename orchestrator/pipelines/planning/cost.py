"""Estimate the cost of planned stages and feature tables from measured costs in the stage store.

An *image pass* is the processing of one image in one epoch, or once if there are no epochs. Costs
are proportional to the number of image passes. A *shared result* is computed once and read by
several stages: features that an extractor has computed, or layers that were trained with the
teacher's answers ("taught layers").
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Literal, get_args

from orchestrator.config.backbones import BackboneConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.methods.facts import SharedKind
from orchestrator.stages import StageStore
from orchestrator.stages.cost_notes import SHARED, noted_costs
from orchestrator.stages.retention import newest_keys
from orchestrator.stages.shared_work import SharedWork, num_image_passes

MAX_MANIFESTS = 200


Kind = Role | Literal["features"] | SharedKind
"""Kinds of work whose cost is estimated: the stages of the teacher, the stages of the student,
feature tables, and each kind of shared result (extracted features, or taught layers).
"""

SHARED_KINDS: tuple[SharedKind, ...] = get_args(SharedKind)
KINDS: tuple[Kind, ...] = (*ROLES, "features", *SHARED_KINDS)


@dataclass(frozen=True)
class Measurement:
    """Measured cost of a stored stage, a feature table, or a result that several stages share.

    Attributes:
        kind: The role of the stage, `features` for a feature table, or the kind of the shared
            result.
        num_image_passes: Number of image passes (one image in one epoch) that took
            `worker_seconds`; for a feature table, the number of its images.
        worker_seconds: Wall-clock seconds times workers.
        multiply_adds: Multiply-adds of the extractor per image; None if not recorded.
        with_shared: Whether `worker_seconds` includes the computation of shared results, because an
            earlier version of this program recorded the stage. In this case, the number of image
            passes is epochs times training images.
    """

    kind: Kind
    num_image_passes: int
    worker_seconds: float
    multiply_adds: int | None = None
    with_shared: bool = False


@dataclass(frozen=True)
class Rate:
    """Cost of an image pass, which is the processing of one image in one epoch.

    Attributes:
        worker_seconds: The estimated worker-seconds per image pass.
        factor: Factor by which the estimate may be too high or too low; at least 1.
        with_shared: Whether the worker-seconds include the computation of shared results, because
            earlier versions of this program recorded the measured stages.
    """

    worker_seconds: float
    factor: float = 1.0
    with_shared: bool = False


@dataclass(frozen=True)
class Costs:
    """Measured costs, from which the costs of planned stages are estimated.

    Attributes:
        measured: Measurements of stages and shared results of any experiment, and of the feature
            tables of the teacher's extractor; for a store on a local disk, only the newest.
        rates: Cost of an image pass (one image in one epoch), by kind of work; for feature tables,
            cost of an image.
        networks: Multiply-adds of each role's extractor per image; None if not known.
        halved: Whether an augmented copy with a fixed seed (a "view") takes half of an image's
            multiply-adds. This holds if the extractors process an image twice (original and
            mirrored) and a view once.
        computed: Keys of the shared results (`SharedWork.key`) that the stage store contains.
    """

    measured: Sequence[Measurement] = ()
    rates: Mapping[Kind, Rate] = field(default_factory=dict)
    networks: Mapping[Role, int | None] = field(default_factory=dict)
    halved: bool = False
    computed: Set[str] = frozenset()

    def rate_of(self, work: SharedWork) -> Rate | None:
        """Return the cost of one image pass (one image in one epoch) for a result that several
        stages share; None if the cost is unknown.

        If the store has no measured cost for the extraction of shared features, the measured cost
        of the teacher's feature tables serves instead.
        """
        passes = work.passes
        size = self.networks.get(passes.network)
        if size is not None and passes.of_views and self.halved:
            size //= 2
        measured = [each for each in self.measured if each.kind == passes.kind]
        if not measured and passes.kind == "extraction":
            whole = self.networks.get("teacher")
            tables = [each for each in self.measured if each.kind == "features"]
            measured = [replace(each, multiply_adds=whole) for each in tables]
        return _rate(measured, size) if measured else None


def costs_known(
    store: StageStore,
    experiment: Experiment,
    sizes: Mapping[Role, int | None],
    networks: Mapping[Role, int | None],
) -> Costs:
    """Return the measured costs in a stage store, and the rates (costs per image pass) for an
    experiment.

    Args:
        store: The stage store.
        experiment: The experiment to estimate.
        sizes: For the cost of stages: multiply-adds per image of each role's extractor; None if
            unknown, or if the role's stages read stored features instead of running the extractor.
        networks: For the cost of shared results: multiply-adds per image of each role's extractor,
            whether or not the role's stages run the extractor; None if unknown.

    Raises:
        StorageUnavailableError: The store cannot be read.
    """
    backbone, noted = experiment.teacher.backbone, _newest_values(store)
    measured = _measurements(noted, backbone)
    wanted: dict[Kind, int | None] = {role: sizes[role] for role in ROLES}
    computed = _computed_work(noted, store)
    return Costs(measured, rates(measured, wanted), networks, backbone.mirrored, computed)


def rates(
    measured: Sequence[Measurement], wanted: Mapping[Kind, int | None] | None = None
) -> dict[Kind, Rate]:
    """Return the rate for each kind of work: the cost of one image pass (one image in one epoch).

    The rate is the median over all measured image passes. The rate's `factor`, by which the cost
    may be wrong, is the ratio between the median and the more distant of the two quartiles. If the
    cost is scaled (see below), the factor is larger. The median is taken over passes and not over
    stages, because a stage with few images spends most of its time on other work.

    If the multiply-adds of the work to estimate are known, only the measurements with the nearest
    multiply-adds are used, and their cost is scaled in proportion. Small networks do not spend
    their time on arithmetic alone. So an estimate from measurements with a hundredth of the
    multiply-adds may be wrong by a factor of ten.

    Args:
        measured: Measurements, possibly from other experiments.
        wanted: Multiply-adds per image of the work to estimate, by kind; None if the multiply-adds
            do not determine the cost.
    """
    return {
        kind: _rate([each for each in measured if each.kind == kind], (wanted or {}).get(kind))
        for kind in {each.kind for each in measured}
    }


def _rate(measured: Sequence[Measurement], wanted: int | None) -> Rate:
    sizes = {each.multiply_adds for each in measured if each.multiply_adds}
    if wanted is None or not sizes:
        return _median_rate(measured)
    nearest = min(sizes, key=lambda size: abs(math.log(wanted / size)))
    ratio = wanted / nearest
    found = _median_rate([each for each in measured if each.multiply_adds == nearest])
    extrapolated = math.sqrt(max(ratio, 1 / ratio))
    seconds = found.worker_seconds * ratio
    return Rate(seconds, found.factor * extrapolated, found.with_shared)


def _median_rate(measured: Sequence[Measurement]) -> Rate:
    measured = [each for each in measured if not each.with_shared] or measured
    ordered = sorted(
        (each.worker_seconds / each.num_image_passes, each.num_image_passes) for each in measured
    )
    ends = [*accumulate(passes for _, passes in ordered)]
    lower, median, upper = (
        ordered[bisect_left(ends, ends[-1] * share)][0] for share in (0.25, 0.5, 0.75)
    )
    factor = max(upper / median, median / lower) if lower > 0 else 1.0
    return Rate(median, factor, measured[0].with_shared)


def sum_if_known(values: Sequence[float | None]) -> float | None:
    """Return the sum; None if one of the values is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def measurements(store: StageStore, backbone: BackboneConfig) -> list[Measurement]:
    """Return the measured costs of stored stages and shared results of any experiment, and of the
    feature tables of one extractor.

    A store on object storage has one file that records all costs. For other stores, the costs are
    read from the newest manifests.

    Args:
        store: The stage store.
        backbone: The pre-trained extractor; feature tables of other extractors are ignored.

    Raises:
        StorageUnavailableError: The store cannot be read.
    """
    return _measurements(_newest_values(store), backbone)


def _newest_values(store: StageStore) -> list[dict[str, Any]]:
    noted = noted_costs(store)
    if noted is None:
        noted = [store.values_of(key) or {} for key in newest_keys(store, MAX_MANIFESTS)]
    return noted


def _measurements(
    noted: Sequence[Mapping[str, Any]], backbone: BackboneConfig
) -> list[Measurement]:
    alike = backbone.model_dump(mode="json")
    found = (_measurement(values, alike) for values in noted)
    return [measurement for measurement in found if measurement is not None]


def _computed_work(noted: Sequence[Mapping[str, Any]], store: StageStore) -> frozenset[str]:
    """Return the keys of the shared results that stored stages have read. Omit the keys of a stage
    if its shared results have since been removed from the store.
    """
    reading = [values for values in noted if values.get("shared_work")]
    stored = store.stored(key for values in reading for key in values.get(SHARED, ()))
    return frozenset(
        key
        for values in reading
        if stored.issuperset(values.get(SHARED, ()))
        for key in values["shared_work"]
    )


def _measurement(values: Mapping[str, object], backbone: object) -> Measurement | None:
    match values:
        case {
            "stage": str(name),
            "seconds_without_features": float(seconds),
            "num_train_workers": int(workers),
            "num_images": int(num_images),
            "epochs": list(epochs),
        }:
            passes, shared = values.get("image_passes"), values.get("seconds_of_shared")
            is_earlier = not isinstance(passes, int) or not isinstance(shared, float)
            if not isinstance(passes, int):
                passes = num_image_passes(len(epochs), num_images)
            if isinstance(shared, float):
                seconds -= shared
            return _of_stage(
                name, Measurement("teacher", passes, seconds * workers, _size(values), is_earlier)
            )
        case {
            "passes": "extraction" | "teaching" as kind,
            "image_passes": int(passes),
            "seconds": float(seconds),
            "num_train_workers": int(workers),
        }:
            found = Measurement(kind, passes, seconds * workers, _size(values))
            return found if passes else None
        case {
            "features_of": str(),
            "num_images": int(num_images),
            "seconds": float(seconds),
            "num_train_workers": int(workers),
        }:
            is_alike = values.get("backbone") == backbone
            return (
                Measurement("features", num_images, seconds * workers)
                if is_alike and num_images
                else None
            )
        case _:  # the values are of an evaluation, or of a stage of another version of this program
            return None


def _of_stage(name: str, measured: Measurement) -> Measurement | None:
    roles = [role for role in ROLES if name.startswith(f"{role}[")]
    return replace(measured, kind=roles[0]) if roles and measured.num_image_passes else None


def _size(values: Mapping[str, object]) -> int | None:
    size = values.get("multiply_adds")
    return size if isinstance(size, int) and size > 0 else None
