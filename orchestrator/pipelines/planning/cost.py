"""Estimate the cost of stages and feature tables from the measured cost of stored ones."""

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
"""Kinds of work that take time: a role's stages, tables of features, and results that stages share:
extracted features, and taught layers."""

SHARED_KINDS: tuple[SharedKind, ...] = get_args(SharedKind)
KINDS: tuple[Kind, ...] = (*ROLES, "features", *SHARED_KINDS)


@dataclass(frozen=True)
class Measurement:
    """Measured cost of a stored stage or feature table.

    Attributes:
        kind: The role of the stage, `features` for a table, or the kind of a shared result.
        num_image_passes: Number of image passes that the seconds cover; for a table, the number of
            its images.
        worker_seconds: Wall-clock seconds times workers.
        multiply_adds: Multiply-adds of the extractor per image; None if not recorded.
        with_shared: Whether an earlier version of this program recorded the stage. Its seconds then
            include the computation of shared results, and its passes are epochs times training
            images.
    """

    kind: Kind
    num_image_passes: int
    worker_seconds: float
    multiply_adds: int | None = None
    with_shared: bool = False


@dataclass(frozen=True)
class Rate:
    """Cost of an image pass.

    Attributes:
        worker_seconds: The estimated worker-seconds.
        factor: Factor by which the estimate may be too high or too low; at least 1.
        with_shared: Whether the rate is that of earlier versions' stages, and includes shared
            results.
    """

    worker_seconds: float
    factor: float = 1.0
    with_shared: bool = False


@dataclass(frozen=True)
class Costs:
    """The known costs, from which those of planned stages are estimated.

    Attributes:
        measured: Measurements of any experiments.
        rates: Cost of an image pass, by role, and of an image of a table.
        networks: Multiply-adds of each role's extractor per image; None if not known.
        halved: Whether the extractors process an image twice, but a seeded view once.
        computed: Keys of the shared results (`SharedWork.key`) that the store has.
    """

    measured: Sequence[Measurement] = ()
    rates: Mapping[Kind, Rate] = field(default_factory=dict)
    networks: Mapping[Role, int | None] = field(default_factory=dict)
    halved: bool = False
    computed: Set[str] = frozenset()

    def rate_of(self, work: SharedWork) -> Rate | None:
        """Return the cost of an image pass of a shared result; None if unknown.

        If no shared extraction was measured, the teacher's feature tables measure it.
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
    """Return the costs that a store knows.

    Args:
        store: The stage store.
        experiment: The experiment to estimate.
        sizes: Multiply-adds per image, by role; None if they do not determine the cost of the
            role's stages.
        networks: Multiply-adds of each role's extractor per image.

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
    """Return the cost of one image pass by kind: the median over all measured image passes, and how
    far the middle half of them is from the median.

    The median is taken over passes and not over stages, because a stage with few images spends most
    of its time on other work. Measurements with other networks or image sizes are scaled by their
    multiply-adds, and used only if there is no closer measurement. Small networks do not spend
    their time on arithmetic alone, so an estimate from measurements with a hundredth of the
    multiply-adds may be wrong by a factor of ten.

    Args:
        measured: Measurements of any experiments.
        wanted: Multiply-adds per image of the work to estimate, by role; None if they do not
            determine the cost.
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
    """Return the measured costs of stored stages, of any experiment, and of feature tables.

    A store on object storage has a record of the costs; for other stores they are read from the
    newest manifests.

    Args:
        store: The stage store.
        backbone: The pre-trained extractor; tables of other extractors are ignored.

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
    """Return the keys of the shared results that stages in the store have read, unless the results
    were removed since.
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
        case _:  # values of an evaluation, or of a stage of another version of this program
            return None


def _of_stage(name: str, measured: Measurement) -> Measurement | None:
    roles = [role for role in ROLES if name.startswith(f"{role}[")]
    return replace(measured, kind=roles[0]) if roles and measured.num_image_passes else None


def _size(values: Mapping[str, object]) -> int | None:
    size = values.get("multiply_adds")
    return size if isinstance(size, int) and size > 0 else None
