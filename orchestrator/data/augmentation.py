"""Random changes of whole uint8 batches: turned, scaled, shifted, mirrored, noisy; on whatever device the batch is on."""

from __future__ import annotations

import math

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

from orchestrator.config.data import ImageAugmentationConfig

Images = UInt8[Tensor, "n c h w"]


def augment(
    images: Images,
    config: ImageAugmentationConfig,
    generator: torch.Generator,
    part: slice = slice(None),
    device: torch.device | None = None,
) -> UInt8[Tensor, "part c h w"]:
    """Gives randomly changed copies; each image draws its own change.

    Args:
        images: uint8 (n, c, h, w); left as they are.
        config: How far each change may go.
        generator: A CPU generator: the same draws on every device.
        part: Which of the images are wanted. The draws are made for all: a worker that computes a part gets what one worker
            would have computed.
        device: Where the copies are made; None means where the images are.
    """
    num = len(images)
    device = device or images.device

    def uniform(limit: float) -> Tensor:
        return (torch.rand(num, generator=generator) * 2 - 1) * limit

    angle = uniform(math.radians(config.rotation_degrees))
    scale = 1 + uniform(config.scale_fraction)
    mirror = torch.ones(num)
    if config.horizontal_flip:
        mirror = torch.where(torch.rand(num, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    # affine_grid measures from -1 to 1: a shift by the whole side is 2
    shift_x, shift_y = uniform(2 * config.shift_fraction), uniform(2 * config.shift_fraction)
    transform = torch.stack([torch.stack([cos * mirror, -sin, shift_x], 1), torch.stack([sin * mirror, cos, shift_y], 1)], 1)
    chosen = images[part].to(device)
    changed = chosen.float()
    if len(chosen):
        grid = functional.affine_grid(transform[part].to(device), list(chosen.shape), align_corners=False)
        changed = functional.grid_sample(changed, grid, align_corners=False)
    if config.noise:
        changed = changed + torch.randn(images.shape, generator=generator)[part].to(device) * (255 * config.noise)
    return changed.round_().clamp_(0, 255).to(torch.uint8)


def quarter_turns(images: Images) -> UInt8[Tensor, "4*n c h w"]:
    """All four quarter turns of square images, (4 n, c, h, w): first all as they are, then all turned once, and so on."""
    return torch.cat([torch.rot90(images, turns, (2, 3)) for turns in range(4)])


def mix(images: Images, generator: torch.Generator) -> Images:
    """Mixes every image with a random other one of the batch in random proportion."""
    partners = images[torch.randperm(len(images), generator=generator)]
    share = torch.rand(len(images), 1, 1, 1, generator=generator).to(images.device)
    return (share * images + (1 - share) * partners).round_().to(torch.uint8)
