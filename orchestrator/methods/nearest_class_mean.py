"""Nearest class mean: predict the class whose mean of the frozen features is nearest."""

from __future__ import annotations

from orchestrator.config.experiment import Experiment
from orchestrator.methods.features.closed_form import ClosedForm
from orchestrator.methods.features.moments import FeatureMoments, nearest_mean_classifier
from orchestrator.models import LinearClassifier


class NearestClassMean(ClosedForm):
    """Compare features with the means of the classes."""

    def classifier(self, moments: FeatureMoments, experiment: Experiment) -> LinearClassifier:
        """Return the classifier with logits `-‖h - μ‖²`, without the term that all classes
        share.
        """
        return nearest_mean_classifier(moments)


METHOD = NearestClassMean()
