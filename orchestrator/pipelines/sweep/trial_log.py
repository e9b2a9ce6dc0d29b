"""Log a trial in MLflow. A trial has a single run in MLflow, whose metric points are the means over
the seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from orchestrator.config import flatten
from orchestrator.config.places import is_place
from orchestrator.pipelines.run.log import tags_of
from orchestrator.pipelines.run.points import final_points, points_of
from orchestrator.pipelines.run.record import RunRecord
from orchestrator.stages import Work
from orchestrator.stages.events import event_from_json
from orchestrator.tracking import Tracker, names
from orchestrator.tracking.datasets import dataset_uses
from orchestrator.tracking.tracker import MetricPoint
from orchestrator.tuning.trial import TaskReport


def mean_points(points_of_seeds: Sequence[Sequence[MetricPoint]]) -> list[MetricPoint]:
    """Return the means over the seeds of all metric points that every seed has, in the order of the
    first seed.

    Args:
        points_of_seeds: The metric points of each seed, at most one per metric and step.
    """
    values = [
        {(point.name, point.step): point.value for point in points} for points in points_of_seeds
    ]
    return [
        MetricPoint(name, fmean(of_seed[name, step] for of_seed in values), step)
        for name, step in values[0]
        if all((name, step) in of_seed for of_seed in values)
    ]


class TrialLog:
    """Log of one trial, written to its tracker."""

    def __init__(self, tracker: Tracker, works: Sequence[Work], is_resumed: bool = False) -> None:
        """Log the trial's parameters, tags and data sets.

        Args:
            tracker: Tracker of the trial's run.
            works: Works (experiments split into stages) of the trial's configuration, one for each
                seed.
            is_resumed: Whether an earlier start of the sweep opened the run. If so, keep the
                folders and addresses that the earlier start logged, because that start may have run
                on another machine.
        """
        self._tracker = tracker
        self._records = [RunRecord(tracker.run_id, work) for work in works]
        self._unsent: list[list[MetricPoint]] = [[] for _ in works]
        experiment, scenario = works[0].experiment, works[0].scenario
        tracker.log_parameters(
            {
                path: value
                for path, value in flatten(experiment).items()
                if not (is_resumed and is_place(path))
            }
        )
        tracker.log_datasets(dataset_uses(experiment.data, scenario.table, scenario.unlabeled))
        seeds = ", ".join(str(work.experiment.seed) for work in works)
        tracker.set_tags({**tags_of(experiment, scenario.table), names.SEED_TAG: seeds})

    def report(self, report: TaskReport) -> None:
        """Log the metrics of one more learned task."""
        new: list[list[MetricPoint]] = [[] for _ in self._records]
        for seed, event in report.events:
            result = self._records[seed].take(event_from_json(event))
            if result is not None:
                new[seed] += points_of(result)
        self._send_means(new)
        several = {names.trial_value(name): value for name, value in report.values.items()}
        self._tracker.log_metrics(
            {names.TRIAL_OBJECTIVE: report.objective, **several}, step=report.tasks_learned
        )

    def finish(self) -> list[dict[str, Any]]:
        """Log the trial's final metrics.

        Returns:
            The content of summary.json for each seed.
        """
        summaries = [record.summary() for record in self._records]
        self._send_means([final_points(summary) for summary in summaries])
        return summaries

    def _send_means(self, new: Sequence[Sequence[MetricPoint]]) -> None:
        """Log the means of the metric points that every seed has reported, and keep the other
        points for later. If several workers compute the trial, some seeds may be ahead of others.
        """
        waiting = [[*old, *added] for old, added in zip(self._unsent, new, strict=True)]
        means = mean_points(waiting)
        sent = {(point.name, point.step) for point in means}
        self._unsent = [
            [point for point in points if (point.name, point.step) not in sent]
            for points in waiting
        ]
        self._tracker.log_points(means)
