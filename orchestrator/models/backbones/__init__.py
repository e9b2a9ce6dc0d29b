"""Feature extractors, one file per kind: uint8 images → features.

A built-in kind is the module named like its `kind`; any other comes from an installed distribution
(see `config.extensions`). A new kind needs one file here and its configuration in
`config.backbones`. `kinds.BackboneKind` describes the contents of the file.
"""

from orchestrator.models.backbones.backbone import Backbone, build_backbone
from orchestrator.models.backbones.body import Body, Shape
from orchestrator.models.backbones.cuts import Cost, Cut, Cuts, cuts_of
from orchestrator.models.backbones.kinds import backbone_identity, weights_identity
from orchestrator.models.backbones.stages import FeatureGroup

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
