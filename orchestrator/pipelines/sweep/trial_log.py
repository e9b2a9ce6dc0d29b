"""What of a trial goes to MLflow: the same numbers as of a run, as means over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from orchestrator.config.experiment import Experiment
from orchestrator.config.places import is_place
from orchestrator.pipelines.run.log import RunLog
from orchestrator.pipelines.run.record import RunRecord, StageResult
from orchestrator.stages import Work, prepare_work
from orchestrator.stages.events import EpochFinished, StageEvent, StageFinished, event_from_json
from orchestrator.tracking import InMemoryTracker, Tracker, names
from orchestrator.tracking.tracker import MetricPoint
from orchestrator.tuning.trial import TaskReport


class TrialLog:
    """One trial's run in MLflow. Training curves, too, are means over the seeds, epoch by epoch."""

    def __init__(
        self, tracker: Tracker, experiments: Sequence[Experiment], is_resumed: bool = False
    ) -> None:
        """Logs the parameters, and the tags by which runs are found.

        Args:
            tracker: The trial's run.
            experiments: The configuration with each of its seeds.
            is_resumed: Whether an earlier start has begun the run, perhaps elsewhere: what that was
                like stays logged.
        """
        self._tracker = tracker
        self._seeds = [
            _SeedLog(tracker.run_id, prepare_work(experiment)) for experiment in experiments
        ]
        self._values: dict[tuple[str, int], list[float]] = {}
        first = self._seeds[0].told
        tracker.log_parameters(
            {
                path: value
                for path, value in first.parameters.items()
                if not (is_resumed and is_place(path))
            }
        )
        tracker.log_datasets(first.datasets)
        tracker.set_tags(
            {
                **first.tags,
                names.SEED_TAG: ", ".join(str(experiment.seed) for experiment in experiments),
            }
        )

    def report(self, report: TaskReport) -> None:
        """One more task is learned."""
        for seed, event in report.events:
            self._seeds[seed].take(event_from_json(event))
        self._send_means()
        self._tracker.log_metrics(
            {names.TRIAL_OBJECTIVE: report.objective}, step=report.tasks_learned
        )

    def finish(self) -> list[dict[str, Any]]:
        """All tasks are learned. Returns each seed's summary, as of a run."""
        summaries = [seed.finish() for seed in self._seeds]
        self._send_means()
        return summaries

    def _send_means(self) -> None:
        """What all seeds have told by now; in lanes, one may be ahead of another."""
        for seed in self._seeds:
            for point in seed.news():
                self._values.setdefault((point.name, point.step), []).append(point.value)
        told_by_all = [
            key for key, values in self._values.items() if len(values) == len(self._seeds)
        ]
        self._tracker.log_points(
            [
                MetricPoint(name, fmean(self._values.pop((name, step))), step)
                for name, step in told_by_all
            ]
        )


class _SeedLog:
    """What a run with one of the seeds would log."""

    def __init__(self, run_id: str, work: Work) -> None:
        self.told = InMemoryTracker()
        self._work = work
        self._stages = {stage.name: stage for stage in work.stages}
        self._record = RunRecord(run_id, work.experiment, work.scenario)
        self._log = RunLog(self.told, work.experiment, work.scenario)
        self._log.start()
        self._num_read = 0

    def take(self, event: StageEvent) -> None:
        stage = self._stages[event.stage]
        if stage.task.index < len(self._record.results[stage.role]):
            return  # a trial that was started again tells it again
        match event:
            case EpochFinished():
                self._log.epoch(stage, event.report)
            case StageFinished():
                result = StageResult(stage, event, self._work.evaluation_of(stage))
                self._record.add(result)
                self._log.stage(result, self._record)
            case _:
                pass

    def news(self) -> list[MetricPoint]:
        points = self.told.metrics[self._num_read :]
        self._num_read += len(points)
        return points

    def finish(self) -> dict[str, Any]:
        summary = self._record.summary()
        self._log.finish(summary)
        return summary
