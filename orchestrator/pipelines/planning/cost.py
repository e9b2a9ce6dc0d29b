"""What stages and tables of features have cost, as the measure of what others will."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from orchestrator.config.backbones import BackboneConfig
from orchestrator.config.roles import ROLES, Role
from orchestrator.stages import StageStore
from orchestrator.stages.retention import newest_keys

MAX_MANIFESTS = 200


Kind = Role | Literal["features"]
"""What is known to cost time: a role's stages, and tables of features."""


KINDS: tuple[Kind, ...] = (*ROLES, "features")


@dataclass(frozen=True)
class Measurement:
    """What a stored stage, or a table of features, once cost.

    Attributes:
        kind: Whose stage, or that it is a table.
        num_image_passes: Epochs times training images; of a table, images.
        worker_seconds: Wall-clock seconds times workers.
    """

    kind: Kind
    num_image_passes: int
    worker_seconds: float


def num_image_passes(num_epochs: int, num_images: int) -> int:
    """The measure of a stage's work. Also a stage without epochs looks at every image once."""
    return max(1, num_epochs) * num_images


def seconds_per_image_pass(measured: Sequence[Measurement]) -> dict[Kind, float]:
    """Worker-seconds that one image costs in one epoch, by role, or in a table: the median over all
    image passes that were measured.

    Over the passes and not the stages: one of ten images mostly takes what is not done image by
    image.
    """
    return {
        kind: _median_rate([each for each in measured if each.kind == kind])
        for kind in {each.kind for each in measured}
    }


def _median_rate(measured: Sequence[Measurement]) -> float:
    ordered = sorted(
        (each.worker_seconds / each.num_image_passes, each.num_image_passes) for each in measured
    )
    ends = [*accumulate(passes for _, passes in ordered)]
    return ordered[bisect_left(ends, ends[-1] / 2)][0]


def sum_if_known(values: Sequence[float | None]) -> float | None:
    """Return the sum; None when one of the values is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def measurements(store: StageStore, backbone: BackboneConfig) -> list[Measurement]:
    """What stored stages, of whatever experiment, and tables of features have cost, from the newest
    manifests.

    Args:
        store: Where to look.
        backbone: Of the pre-trained extractor: tables of another one tell nothing.

    Raises:
        StorageUnavailableError: The store cannot be read.
    """
    alike = backbone.model_dump(mode="json")
    found = (
        _measurement(store.values_of(key) or {}, alike) for key in newest_keys(store, MAX_MANIFESTS)
    )
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
            return Measurement(roles[0], passes, seconds * workers) if roles and passes else None
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
        case _:  # an evaluation, or a stage of another version
            return None
