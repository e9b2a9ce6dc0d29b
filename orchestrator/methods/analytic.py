"""Analytic learning: ridge regression on the features of a frozen extractor, updated task by task
in closed form (ACIL, Zhuang et al. 2022).
"""

from __future__ import annotations

from orchestrator.config.experiment import Experiment
from orchestrator.config.methods import AnalyticConfig
from orchestrator.methods.features.closed_form import ClosedForm
from orchestrator.methods.features.moments import FeatureMoments, ridge_classifier
from orchestrator.models import LinearClassifier


class Analytic(ClosedForm):
    """Predict classes by ridge regression of one-hot labels on the extractor's features."""

    def classifier(self, moments: FeatureMoments, experiment: Experiment) -> LinearClassifier:
        """Return the linear classifier that ridge regression gives for all classes so far."""
        assert isinstance(experiment.method, AnalyticConfig)  # noqa: S101 - for the type checker
        return ridge_classifier(moments, experiment.method.ridge)


METHOD = Analytic()
