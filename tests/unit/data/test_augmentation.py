"""Random augmentation of uint8 batches: within its limits, reproducible, never in place."""

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from orchestrator.config.augmentation import ImageAugmentationConfig
from orchestrator.data import augmentation
from orchestrator.data.augmentation import augment, mix, quarter_turns

NO_CHANGE = ImageAugmentationConfig(
    rotation_degrees=0, scale_fraction=0, shift_fraction=0, horizontal_flip=False, noise=0
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_images(num: int = 5, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    return torch.randint(
        0, 256, (num, channels, height, width), generator=generator(1), dtype=torch.uint8
    )


def only(**limits: float) -> ImageAugmentationConfig:
    return NO_CHANGE.model_copy(update=limits)


@given(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(2, 12), st.integers(2, 12))
def test_shape_type_and_device_are_kept_and_the_input_is_unchanged(
    num: int, channels: int, height: int, width: int
) -> None:
    images = some_images(num, channels, height, width)
    before = images.clone()
    changed = augment(images, ImageAugmentationConfig(horizontal_flip=True), generator())
    assert (changed.shape, changed.dtype, changed.device) == (
        images.shape,
        torch.uint8,
        images.device,
    )
    assert torch.equal(images, before)


def test_the_default_limits_change_every_image() -> None:
    images = some_images()
    changed = augment(images, ImageAugmentationConfig(), generator())
    assert (changed != images).flatten(1).any(dim=1).all()


@pytest.mark.parametrize("size", [8, 28, 32])
def test_zero_limits_change_nothing(size: int) -> None:
    images = some_images(height=size, width=size)
    assert torch.equal(augment(images, NO_CHANGE, generator()), images)


def test_the_same_generator_seed_gives_the_same_images() -> None:
    images, config = some_images(), ImageAugmentationConfig()
    assert torch.equal(augment(images, config, generator(3)), augment(images, config, generator(3)))
    assert not torch.equal(
        augment(images, config, generator(3)), augment(images, config, generator(4))
    )


def test_each_image_draws_its_own_augmentation() -> None:
    same = some_images(1).expand(6, -1, -1, -1)
    changed = augment(same, ImageAugmentationConfig(), generator())
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 6


def test_a_horizontal_flip_mirrors_about_half_of_the_images_exactly() -> None:
    images = some_images(200)
    changed = augment(images, only(horizontal_flip=True), generator())
    mirrored = (changed == images.flip(3)).flatten(1).all(dim=1)
    kept = (changed == images).flatten(1).all(dim=1)
    assert (mirrored ^ kept).all()
    assert 70 <= int(mirrored.sum()) <= 130


@pytest.mark.parametrize("border", ["black", "reflected"])
def test_a_shift_alone_keeps_pixels_sharp_and_fills_the_border(
    border: Literal["black", "reflected"],
) -> None:
    images = some_images(100, height=16, width=16)
    changed = augment(
        images, only(shift_fraction=0.25).model_copy(update={"border": border}), generator()
    )
    mode: Literal["constant", "symmetric"] = "constant" if border == "black" else "symmetric"
    shifts = set()
    for before, after in zip(images.numpy(), changed.numpy(), strict=True):
        around = np.pad(before, [(0, 0), (4, 4), (4, 4)], mode=mode)
        shifts |= {
            (y, x)
            for y in range(9)
            for x in range(9)
            if np.array_equal(around[:, y : y + 16, x : x + 16], after)
        }
    assert len(shifts) > 40
    assert {y for y, _ in shifts} == {x for _, x in shifts} == set(range(9))


def test_shifts_stay_within_their_limit() -> None:
    images = torch.zeros(100, 1, 16, 16, dtype=torch.uint8)
    images[:, :, 8, 8] = 255
    changed = augment(images, only(shift_fraction=0.25), generator()).float()[:, 0]
    weights = changed / changed.sum(dim=(1, 2), keepdim=True)
    centre = (weights.sum(dim=1) * torch.arange(16)).sum(dim=1)
    # a quarter of 16 pixels in either direction
    assert (centre - 8).abs().max() <= 4.1
    assert (centre - 8).abs().max() > 3
    assert centre.min() < 8 < centre.max()


def test_a_rotation_moves_the_border_and_not_the_centre() -> None:
    images = torch.zeros(50, 1, 33, 33, dtype=torch.uint8)
    images[:, :, 16, 16] = 255  # the centre
    images[:, :, 16, 30] = 200  # 14 pixels to the right of it
    changed = augment(images, only(rotation_degrees=30), generator())[:, 0]
    assert (changed[:, 16, 16] == 255).all()
    rim = changed[:, :, 22:].float()
    rows = (rim.sum(dim=2) * torch.arange(33)).sum(dim=1) / rim.sum(dim=(1, 2))
    # 30 degrees at a radius of 14 pixels: at most 7 rows up or down
    assert (rows - 16).abs().max() <= 7.2
    assert (rows - 16).abs().max() > 5


def test_noise_has_its_standard_deviation() -> None:
    images = torch.full((20, 1, 32, 32), 128, dtype=torch.uint8)
    changed = augment(images, only(noise=0.1), generator()).float()
    assert changed.std().item() == pytest.approx(25.5, rel=0.05)
    assert changed.mean().item() == pytest.approx(128, abs=1)


def test_noise_stays_within_the_range_of_pixels() -> None:
    for level in (0, 255):
        changed = augment(
            torch.full((4, 1, 16, 16), level, dtype=torch.uint8), only(noise=0.2), generator()
        ).float()
        # half of the noise is clipped: wrapped values would be at the other end
        assert (changed - level).abs().max() < 255 * 0.2 * 5
        assert (changed == level).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_quarter_turns_come_in_blocks_of_all_four() -> None:
    images = torch.tensor([[[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]], dtype=torch.uint8)
    turned = quarter_turns(images)[:, 0].tolist()
    assert turned == [
        [[1, 2], [3, 4]],
        [[5, 6], [7, 8]],
        [[2, 4], [1, 3]],
        [[6, 8], [5, 7]],
        [[4, 3], [2, 1]],
        [[8, 7], [6, 5]],
        [[3, 1], [4, 2]],
        [[7, 5], [8, 6]],
    ]


def test_a_mixture_lies_between_an_image_and_another_one_of_the_batch() -> None:
    images = torch.stack(
        [torch.full((1, 4, 4), level, dtype=torch.uint8) for level in (0, 100, 200)]
    )
    mixed = mix(images.repeat(50, 1, 1, 1), generator())
    assert mixed.dtype == torch.uint8
    assert (mixed == mixed[:, :, :1, :1]).all(), "one share for the whole image"
    levels = mixed[:, 0, 0, 0]
    assert levels.min() >= 0
    assert levels.max() <= 200
    assert ((levels != 0) & (levels != 100) & (levels != 200)).float().mean() > 0.3


def test_mixing_a_single_image_returns_it_and_is_reproducible() -> None:
    images = some_images(1)
    assert torch.equal(mix(images, generator()), images)
    many = some_images(8)
    before = many.clone()
    assert torch.equal(mix(many, generator(2)), mix(many, generator(2)))
    assert torch.equal(many, before)


# --- many images at once --------------------------------------------------------------------------


@pytest.mark.parametrize("num", [3, 40])  # few images draw their own noise, many share a sequence
def test_augmenting_a_part_equals_that_part_of_the_whole(num: int) -> None:
    images, config = (
        some_images(num, height=32, width=32),
        ImageAugmentationConfig(horizontal_flip=True),
    )
    expected = augment(images, config, generator())
    for part in (slice(0, 2), slice(2, num), slice(num, num)):
        assert torch.equal(augment(images, config, generator(), part), expected[part])


def test_the_block_size_does_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    images, config = (
        some_images(30, height=32, width=32),
        ImageAugmentationConfig(horizontal_flip=True),
    )
    expected = augment(images, config, generator())
    for num_values in (1, 7 * 3 * 32 * 32):
        monkeypatch.setattr(augmentation, "_BLOCK_VALUES_CPU", num_values)
        assert torch.equal(augment(images, config, generator()), expected)


def test_noise_differs_between_many_images() -> None:
    changed = (
        augment(torch.full((100, 3, 32, 32), 128, dtype=torch.uint8), only(noise=0.1), generator())
        .float()
        .flatten(1)
    )
    assert changed.std().item() == pytest.approx(25.5, rel=0.02)
    assert changed.std(dim=1).min() > 20
    correlations = torch.corrcoef(changed) - torch.eye(100)
    # for independent images it would be one over the root of 3,072 values
    assert correlations.square().mean().sqrt().item() == pytest.approx(3072**-0.5, rel=0.5)


def test_an_empty_batch_stays_empty() -> None:
    assert augment(some_images(0), ImageAugmentationConfig(), generator()).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 32)])
def test_the_sampling_grid_equals_torchs(height: int, width: int) -> None:
    transforms = torch.randn(4, 2, 3, generator=generator())
    expected = functional.affine_grid(transforms, [4, 1, height, width], align_corners=False)
    torch.testing.assert_close(augmentation._grid(transforms, height, width), expected)
