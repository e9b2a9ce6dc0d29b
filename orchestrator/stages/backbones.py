"""Whether both extractors work on the images, found out before anything is trained: by a run, and
by each trial that varies them.
"""

from __future__ import annotations

import torch

from orchestrator.config.experiment import Experiment
from orchestrator.data import Scenario
from orchestrator.errors import ConfigError
from orchestrator.models import build_backbone
from orchestrator.training.random_streams import seeded_initialisation


def check_backbones(experiment: Experiment, scenario: Scenario) -> None:
    """Builds both extractors for nothing: an unknown model or weights that cannot be had are found
    before anything is trained.

    Raises:
        ConfigError: A backbone cannot be built, or not work on such images.
    """
    for role, backbone in (
        ("teacher", experiment.teacher.backbone),
        ("student", experiment.student.backbone),
    ):
        with seeded_initialisation(experiment.seed, "check"):
            extractor = build_backbone(backbone, scenario.shape)
        try:
            extractor.train()(torch.zeros(2, *scenario.shape, dtype=torch.uint8))
        except (RuntimeError, ValueError, AttributeError, AssertionError) as error:
            size = "x".join(map(str, scenario.shape))
            what = f"the backbone cannot work on images of {size}: {str(error).splitlines()[0]}"
            raise ConfigError(
                what,
                where=f"{role}.backbone",
                next_step="choose another backbone or another data.image_size",
            ) from None
