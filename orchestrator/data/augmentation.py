"""Augment whole batches of uint8 images at random (rotation, scale, shift, mirroring, noise) on the
device of the batch.

A batch is processed in blocks. All images of a block are changed together in few passes, because
memory access dominates the time on a CPU.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from orchestrator.config.augmentation import ImageAugmentationConfig
from orchestrator.devices import is_gpu, moved

Images = UInt8[Tensor, "n c h w"]
# Number of values in a block, the images that a CPU changes together. The pixels and the sampling
# grid of a block then fit into the cache of a core.
_BLOCK_VALUES_CPU = 2**18
# Number of values in a block, the images that a GPU changes together: large enough for few kernel
# launches, and small enough for the GPU's memory.
_BLOCK_VALUES_GPU = 2**26
_SEQUENCE_VALUES, _SEQUENCE_IMAGES = 2**13, 4


def augment(
    images: Images,
    config: ImageAugmentationConfig,
    generator: torch.Generator,
    part: slice = slice(None),
    device: torch.device | None = None,
) -> UInt8[Tensor, "part c h w"]:
    """Return randomly changed copies of the images; each image gets its own random change.

    Args:
        images: uint8 (n, c, h, w); not modified.
        config: Limits of the random changes.
        generator: A CPU generator, so that random numbers are the same on every device.
        part: Images to change and return. Random numbers are drawn for all images, so that several
            workers, each with a part, get the same result as a single worker.
        device: Device of the copies; None means the device of the images.
    """
    device = device or images.device
    num, channels, height, width = images.shape
    num_values = channels * height * width
    transforms = _draw_transforms(num, config, generator, (height, width))[part].to(device)
    padding = "zeros" if config.border == "black" else "reflection"
    if config.noise:
        sequence, starts = _draw_noise(num, num_values, generator)
        noise, starts = (
            (255 * config.noise * sequence).to(device).unfold(0, num_values, 1),
            starts[part].to(device),
        )
    chosen = moved(images[part], device)
    changed = torch.empty_like(chosen)
    size = max(1, (_BLOCK_VALUES_GPU if is_gpu(device) else _BLOCK_VALUES_CPU) // num_values)
    for start in range(0, len(chosen), size):
        block = slice(start, start + size)
        pixels = functional.grid_sample(
            chosen[block].float(),
            _grid(transforms[block], height, width),
            padding_mode=padding,
            align_corners=False,
        )
        if config.noise:
            pixels += noise.index_select(0, starts[block]).view_as(pixels)
        changed[block] = pixels.add_(0.5).clamp_(0, 255)  # rounds: conversion to uint8 truncates
    return changed


def _draw_transforms(
    num: int, config: ImageAugmentationConfig, generator: torch.Generator, size: tuple[int, int]
) -> Float[Tensor, "num 2 3"]:
    """Draw one matrix for each image. The matrix maps (x, y, 1) of a pixel in the copy to (x, y) in
    the original; coordinates run from -1 to 1.
    """

    def uniform(limit: float) -> Tensor:
        return (torch.rand(num, generator=generator) * 2 - 1) * limit

    angle = uniform(math.radians(config.rotation_degrees))
    scale = 1 + uniform(config.scale_fraction)
    mirror = torch.ones(num)
    if config.horizontal_flip:
        mirror = torch.where(torch.rand(num, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    # image coordinates run from -1 to 1, so a shift by the full width or height is a shift by 2
    shift_x, shift_y = uniform(2 * config.shift_fraction), uniform(2 * config.shift_fraction)
    if (
        not config.rotation_degrees and not config.scale_fraction
    ):  # shift by whole pixels: a fraction of a pixel would only blur the image
        height, width = size
        shift_x, shift_y = (
            (shift_x * width / 2).round() * 2 / width,
            (shift_y * height / 2).round() * 2 / height,
        )
    return torch.stack(
        [
            torch.stack([cos * mirror, -sin, shift_x], 1),
            torch.stack([sin * mirror, cos, shift_y], 1),
        ],
        1,
    )


def _grid(transforms: Float[Tensor, "n 2 3"], height: int, width: int) -> Float[Tensor, "n h w 2"]:
    """Return the transformed centre of every pixel. Each centre is the sum of a term for the row
    and a term for the column. The sums take a fifth of the time of torch's `affine_grid`.
    """
    x, y = (
        (2 * torch.arange(side, device=transforms.device) + 1) / side - 1
        for side in (width, height)
    )
    of_columns = transforms[:, :, 0, None] * x
    of_rows = transforms[:, :, 1, None] * y + transforms[:, :, 2, None]
    return (of_rows[..., None] + of_columns[:, :, None]).permute(0, 2, 3, 1)


def _draw_noise(
    num: int, num_values: int, generator: torch.Generator
) -> tuple[Float[Tensor, " length"], Int64[Tensor, " num"]]:
    """Draw one sequence of normally distributed noise, and choose for each image the position in
    the sequence at which the noise of the image starts.

    Many images share parts of the sequence, because drawing a number for every pixel would take
    longer than all other steps of the augmentation.
    """
    length = max(_SEQUENCE_VALUES, _SEQUENCE_IMAGES * num_values)
    if num * num_values <= length:
        return torch.randn(max(1, num) * num_values, generator=generator), torch.arange(
            num
        ) * num_values
    return torch.randn(length, generator=generator), torch.randint(
        length - num_values + 1, (num,), generator=generator
    )


def quarter_turns(images: Images) -> UInt8[Tensor, "4*n c h w"]:
    """Return all four quarter turns of square images, (4 n, c, h, w): first all images without a
    turn, then all images turned once, and so on.
    """
    return torch.cat([torch.rot90(images, turns, (2, 3)) for turns in range(4)])


def mix(images: Images, generator: torch.Generator) -> Images:
    """Mix every image with another random image of the batch in a random proportion."""
    partners = images[torch.randperm(len(images), generator=generator)]
    share = torch.rand(len(images), 1, 1, 1, generator=generator).to(images.device)
    return (
        partners.float().lerp_(images.float(), share).add_(0.5).to(torch.uint8)
    )  # adding 0.5 rounds, because the conversion to uint8 truncates
