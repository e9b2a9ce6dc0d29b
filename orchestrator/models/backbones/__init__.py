"""Feature extractors, one file per kind: uint8 images → features.

A built-in kind is the module that is named after the kind. Any other kind comes from an installed
distribution (see `config.extensions`). A new built-in kind needs one file here and its
configuration in `config.backbones`. `kinds.BackboneKind` describes what the file must define.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "Backbone",
    "Body",
    "Cost",
    "Cut",
    "Cuts",
    "FeatureGroup",
    "Shape",
    "backbone_identity",
    "build_backbone",
    "cuts_of",
    "weights_identity",
]

if TYPE_CHECKING:
    from orchestrator.models.backbones.backbone import Backbone, build_backbone
    from orchestrator.models.backbones.body import Body, Shape
    from orchestrator.models.backbones.cuts import Cost, Cut, Cuts, cuts_of
    from orchestrator.models.backbones.kinds import backbone_identity, weights_identity
    from orchestrator.models.backbones.stages import FeatureGroup
else:
    from orchestrator.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "orchestrator.models.backbones.backbone": (
                "Backbone",
                "build_backbone",
            ),
            "orchestrator.models.backbones.body": (
                "Body",
                "Shape",
            ),
            "orchestrator.models.backbones.cuts": (
                "Cost",
                "Cut",
                "Cuts",
                "cuts_of",
            ),
            "orchestrator.models.backbones.kinds": (
                "backbone_identity",
                "weights_identity",
            ),
            "orchestrator.models.backbones.stages": ("FeatureGroup",),
        },
    )
