"""Check before training starts that both extractors support the images. A run checks its pair of
backbones once; a sweep checks every pair of backbones once.
"""

from __future__ import annotations

import torch

from orchestrator.config.backbones import without_pretrained_weights
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.data import Scenario
from orchestrator.errors import ConfigError
from orchestrator.methods.facts import inherits, is_pretrained
from orchestrator.models.backbones import Backbone, Shape, build_backbone
from orchestrator.models.backbones.cuts import multiply_adds
from orchestrator.stages.configuration import of_role
from orchestrator.training.random_streams import seeded_initialisation

_NUM_IMAGES = 2  # batch normalisation cannot learn from one image


def check_backbones(experiment: Experiment, scenario: Scenario) -> dict[Role, int]:
    """Build both extractors and run them on two images, so that an unknown model or unavailable
    weights are reported before training starts.

    Returns:
        The number of features of each extractor.

    Raises:
        ConfigError: A backbone cannot be built, or does not support the shape of the images.
    """
    num_features: dict[Role, int] = {}
    for role in ROLES:
        with seeded_initialisation(experiment.seed, "check"), of_role(role):
            extractor = build_backbone(experiment.backbone_of(role), scenario.shape)
        _try(extractor, scenario.shape, f"{role}.backbone")
        num_features[role] = extractor.num_features
    return num_features


def work_of_an_image(experiment: Experiment, role: Role, shape: Shape) -> int | None:
    """Return the multiply-adds of a role's extractor for one image, as a measure of the cost of the
    role's stages.

    Return None if the role's stages read stored features instead of running the extractor, or if no
    operation of the extractor can be counted.

    Args:
        experiment: Configuration of the extractors.
        role: Role of the extractor.
        shape: Shape of the images.
    """
    if is_pretrained(role, experiment) or (role == "student" and inherits(experiment)):
        return None
    return size_of_network(experiment, role, shape)


def size_of_network(experiment: Experiment, role: Role, shape: Shape) -> int | None:
    """Return the multiply-adds of a role's extractor for one image, even if the role's stages do
    not run the extractor. Return None if no operation of the extractor can be counted.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        config = without_pretrained_weights(experiment.backbone_of(role))
        image = torch.zeros(1, *shape, dtype=torch.uint8)
        return multiply_adds(build_backbone(config, shape).eval(), image) or None


def _try(extractor: Backbone, shape: Shape, where: str) -> None:
    try:
        features = extractor.train()(torch.zeros(_NUM_IMAGES, *shape, dtype=torch.uint8))
    except (RuntimeError, ValueError, AttributeError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        seen = shape if extractor.input_size is None else (shape[0], *[extractor.input_size] * 2)
        size = "x".join(map(str, seen))
        raise ConfigError(
            f"the backbone cannot work on images of {size}: {reason}",
            where=where,
            next_step="choose another backbone or another "
            + ("data.image_size" if extractor.input_size is None else "input_size"),
        ) from None
    if features.shape != (_NUM_IMAGES, extractor.num_features):
        raise ConfigError(
            f"the backbone returns {features.shape[1]} features per image, but it declares"
            f" {extractor.num_features}",
            where=where,
            next_step="choose another backbone",
        )
