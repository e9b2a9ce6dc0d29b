"""Summarise the cuts of the teacher's backbone, for a run whose student inherits layers. A *cut* is
a stage (group of layers) of the backbone that can be the last one that a student inherits.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from orchestrator.config.backbones import InheritedBackboneConfig
from orchestrator.config.experiment import Experiment
from orchestrator.models.backbones import Cost, Shape, cuts_of


def cuts_summary(experiment: Experiment, shape: Shape) -> dict[str, Any]:
    """Return the entry `cuts` of summary.json: the cut at which the student's inherited layers end,
    and the size and cost of all possible cuts. Return no entry if the student inherits no layers.

    Args:
        experiment: The experiment of the run.
        shape: Shape of the experiment's images.
    """
    own = experiment.student.backbone
    if not isinstance(own, InheritedBackboneConfig):
        return {}
    found = cuts_of(experiment.teacher.backbone, shape)
    cuts = [
        {
            "stage": cut.stage,
            "num_channels": cut.num_channels,
            "map_size": list(cut.map_size),
            "num_features": cut.num_features,
            **_values(cut.cost),
        }
        for cut in found.cuts
    ]
    whole = _values(found.whole)
    return {
        "cuts": {"chosen": own.until, "mirrored": found.mirrored, "teacher": whole, "cuts": cuts}
    }


def _values(cost: Cost) -> dict[str, int]:
    """Return the parameters and multiply-adds from the cost of an extractor. Omit the latency,
    which cannot be measured while the run keeps the machine busy.
    """
    values = asdict(cost)
    del values["latency_seconds"]
    return values
