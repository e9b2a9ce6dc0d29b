"""Nearest class mean: predict the class whose mean is nearest to the image, in the features of a
frozen extractor.
"""

from __future__ import annotations

from orchestrator.config.experiment import Experiment
from orchestrator.methods.features.closed_form import ClosedForm
from orchestrator.methods.features.moments import FeatureMoments, nearest_mean_classifier
from orchestrator.models import LinearClassifier


class NearestClassMean(ClosedForm):
    """Predict the class whose mean feature is nearest."""

    def classifier(self, moments: FeatureMoments, experiment: Experiment) -> LinearClassifier:
        """Return the classifier with logits `-‖h - μ‖²`, for features `h` and class means `μ`,
        without the term that all classes share.
        """
        return nearest_mean_classifier(moments)


METHOD = NearestClassMean()
