"""A file whose outputs differ from the model's does not pass."""

import numpy as np
import pytest

from orchestrator.errors import DifferentOutputsError
from orchestrator.export.arrays import Images, Logits
from orchestrator.export.comparison import TOLERANCE, compare, median_seconds
from tests.waiting import PATIENCE_SECONDS

IMAGES = np.random.default_rng(0).integers(0, 256, (600, 1, 2, 2), dtype=np.uint8)


def original(images: Images) -> Logits:
    return images.reshape(len(images), 4).astype(np.float32)


def test_equal_outputs_pass() -> None:
    comparison = compare(original, original, IMAGES, lambda done, total: None)
    comparison.require_equal()
    assert (
        comparison.largest_difference,
        comparison.equal_predictions,
        comparison.largest_logit,
    ) == (0.0, 1.0, 255.0)
    assert np.array_equal(comparison.predictions, IMAGES.reshape(600, 4).argmax(axis=1))


@pytest.mark.parametrize(("share", "passes"), [(0.5, True), (2.0, False), (float("nan"), False)])
def test_a_difference_is_measured_by_the_largest_logit(share: float, passes: bool) -> None:
    def file(images: Images) -> Logits:
        logits = original(images)
        if len(images) > 1:
            logits[-1, 0] += np.float32(share * TOLERANCE * 255)
        return logits

    comparison = compare(file, original, IMAGES, lambda done, total: None)
    if passes:
        comparison.require_equal()
    else:
        with pytest.raises(
            DifferentOutputsError, match=r"differ .* by up to .*% of the predictions are equal"
        ):
            comparison.require_equal()


def test_single_images_and_several_batch_sizes_are_compared_and_every_image_once() -> None:
    sizes: list[int] = []
    told: list[tuple[int, int]] = []

    def file(images: Images) -> Logits:
        sizes.append(len(images))
        return original(images)

    compare(file, original, IMAGES, lambda done, total: told.append((done, total)))
    assert sizes[0] == 1
    assert len(set(sizes)) >= 3
    assert sum(sizes) == 600
    assert told[-1] == (600, 600)
    assert (
        compare(original, original, IMAGES[:1], lambda done, total: None).equal_predictions == 1.0
    )


def test_the_time_per_image_is_a_median_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.export.comparison._MOST_SECONDS", PATIENCE_SECONDS)
    calls: list[int] = []

    def file(images: Images) -> Logits:
        calls.append(len(images))
        return original(images)

    assert 0 < median_seconds(file, IMAGES[:1]) < 1
    assert len(calls) > 20
    assert set(calls) == {1}
