"""Estimate the cost of stages and feature tables from the measured cost of those in the store."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from orchestrator.config.backbones import BackboneConfig
from orchestrator.config.roles import ROLES, Role
from orchestrator.stages import StageStore
from orchestrator.stages.cost_notes import noted_costs
from orchestrator.stages.retention import newest_keys

MAX_MANIFESTS = 200


Kind = Role | Literal["features"]
"""Kinds of work that take time: a role's stages, and tables of features."""


KINDS: tuple[Kind, ...] = (*ROLES, "features")


@dataclass(frozen=True)
class Measurement:
    """Measured cost of a stored stage or feature table.

    Attributes:
        kind: The role of the stage, or `features` for a table.
        num_image_passes: Epochs times training images; for a table, the number of its images.
        worker_seconds: Wall-clock seconds times workers.
        multiply_adds: Multiply-adds of the extractor per image; None if not recorded.
    """

    kind: Kind
    num_image_passes: int
    worker_seconds: float
    multiply_adds: int | None = None


@dataclass(frozen=True)
class Rate:
    """Cost of an image pass.

    Attributes:
        worker_seconds: The estimated worker-seconds.
        factor: Factor by which the estimate may be too high or too low; at least 1.
    """

    worker_seconds: float
    factor: float = 1.0


def num_image_passes(num_epochs: int, num_images: int) -> int:
    """Return the image passes of a stage; a stage without epochs processes each image once."""
    return max(1, num_epochs) * num_images


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
    return Rate(found.worker_seconds * ratio, found.factor * extrapolated)


def _median_rate(measured: Sequence[Measurement]) -> Rate:
    ordered = sorted(
        (each.worker_seconds / each.num_image_passes, each.num_image_passes) for each in measured
    )
    ends = [*accumulate(passes for _, passes in ordered)]
    lower, median, upper = (
        ordered[bisect_left(ends, ends[-1] * share)][0] for share in (0.25, 0.5, 0.75)
    )
    factor = max(upper / median, median / lower) if lower > 0 else 1.0
    return Rate(median, factor)


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
    alike = backbone.model_dump(mode="json")
    noted = noted_costs(store)
    if noted is None:
        noted = [store.values_of(key) or {} for key in newest_keys(store, MAX_MANIFESTS)]
    found = (_measurement(values, alike) for values in noted)
    return [measurement for measurement in found if measurement is not None]


def _measurement(values: Mapping[str, object], backbone: object) -> Measurement | None:
    match values:
        case {
            "stage": str(name),
            "seconds_without_features": float(seconds),
            "num_train_workers": int(workers),
            "num_images": int(num_images),
            "epochs": list(epochs),
        }:
            roles = [role for role in ROLES if name.startswith(f"{role}[")]
            passes = num_image_passes(len(epochs), num_images)
            size = values.get("multiply_adds")
            known = size if isinstance(size, int) and size > 0 else None
            return (
                Measurement(roles[0], passes, seconds * workers, known)
                if roles and passes
                else None
            )
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
