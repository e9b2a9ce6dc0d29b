"""Show the jobs and schedules that run this program on Kubernetes. A job executes a run, a sweep or
one tick of a retraining; a schedule starts ticks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from orchestrator.cluster.job_states import JobState
from orchestrator.cluster.names import KIND_LABEL, Manifest
from orchestrator.cluster.ray_jobs import Submission
from orchestrator.config.cluster import ClusterTrackingConfig
from orchestrator.pipelines.cluster.submit import Jobs
from orchestrator.terminal.lines import LineWriter

_RESUMED = '{"spec": {"suspend": false}}'


class TerminalJobListener:
    """Listener of one job: prints the job's states, its output, and the address of its page in
    MLflow.

    Args:
        lines: Writer of the printed lines.
        tracking: Addresses of the MLflow server that has the job's page.
    """

    def __init__(self, lines: LineWriter, tracking: ClusterTrackingConfig) -> None:
        self._lines = lines
        self._tracking = tracking
        self._page = ""
        self._last = ""

    def submitted(self, submission: Submission, before: JobState | None) -> None:
        """Print that a job was submitted. If the same job was submitted before, print the earlier
        job's state.

        Args:
            submission: The submitted job.
            before: State of the earlier job; None if the job was not submitted before.
        """
        name = submission.name
        if before is None:
            self._lines.write(
                f"{name}: submitted; Ctrl-C stops following the job, `orchestrator cancel"
                f" {name}` ends the job"
            )
        elif not before.is_over:
            self._lines.write(f"{name}: the same job was submitted earlier and is {before.words}")
        elif before.exit_code:
            self._lines.write(
                f"{name}: the same job was submitted earlier and has {before.words}; submitted"
                " again, reusing the stored stages"
            )
        else:
            self._lines.write(
                f"{name}: the same job was submitted earlier and has {before.words};"
                f" `orchestrator cancel {name}` removes it"
            )

    def scheduled(self, schedule: Manifest, replaced: str) -> None:
        """Print when the ticks of a new schedule start, and whether the schedule is suspended.

        Args:
            schedule: The new schedule.
            replaced: Kind of the earlier schedule that the new schedule replaces; empty if no
                schedule is replaced.
        """
        name, spec = schedule["metadata"]["name"], schedule["spec"]
        if replaced:
            self._lines.write(f"{name}: replaces the {replaced} of this name, which is removed")
        self._lines.write(
            f"{name}: scheduled at {spec['schedule']} {spec['timeZone']}; `orchestrator cancel"
            f" {name}` removes it"
        )
        if spec.get("suspend"):
            resume = f"kubectl patch {schedule['kind'].lower()} {name} --type merge --patch"
            self._lines.write(
                f"{name}: suspended, so no tick starts; `{resume} '{_RESUMED}'` resumes it",
                "warning",
            )

    def state_changed(self, state: JobState) -> None:
        """Print a job's state on one line, unless the line would repeat the previous line."""
        cluster = (
            f", RayCluster {state.ray_cluster}"
            if state.ray_cluster and state.phase == "Initializing"
            else ""
        )
        line = f"{state.name}: {state.words}{cluster}"
        if line != self._last:
            self._lines.write(line)
        self._last = line

    def said(self, line: str) -> None:
        """Print one line of the job's output; if the line is JSON, print only its message."""
        if page := re.search(rf"{re.escape(self._tracking.uri.rstrip('/'))}(/#/\S+)", line):
            self._page = page[1].rstrip('",')
        self._lines.write(_message(line))

    def warned(self, text: str) -> None:
        """Print a warning on one line."""
        self._lines.write(text, "warning")

    def finished(self, state: JobState) -> None:
        """Print the address of the job's page in MLflow and, if the job failed, the reason."""
        if state.exit_code and state.message:
            self._lines.write(state.message.strip().splitlines()[0], "error")
        base = (self._tracking.ui_url or self._tracking.uri).rstrip("/")
        self._lines.write(f"MLflow   {base}{self._page or '/'}")


def jobs_table(jobs: Jobs) -> Table:
    """Return a table of all jobs and schedules in a namespace."""
    table = Table("name", "kind", "state", "since", "schedule")
    for schedule in jobs.schedules:
        table.add_row(
            schedule["metadata"]["name"],
            "schedule",
            _schedule_words(schedule),
            "",
            schedule["spec"]["schedule"],
        )
    for state in jobs.jobs:
        table.add_row(
            state.name,
            state.kind or "retrain",
            state.words,
            _age(state.ended or state.started),
            state.schedule,
        )
    return table


def state_lines(found: JobState | Manifest) -> Iterator[str]:
    """Yield lines with the details of one job or one schedule, such as state and times."""
    if not isinstance(found, JobState):
        spec = found["spec"]
        yield f"schedule {spec['schedule']} {spec.get('timeZone', '')}".rstrip()
        yield f"state    {_schedule_words(found)}"
        return
    yield f"job      {found.name}{f' ({found.kind})' if found.kind else ''}"
    yield f"state    {found.words}"
    if found.schedule:
        yield f"schedule {found.schedule}"
    for name, moment in (("started", found.started), ("ended", found.ended)):
        if moment is not None:
            yield f"{name:8} {moment:%Y-%m-%d %H:%M:%S} UTC"
    if found.ray_cluster:
        yield f"cluster  {found.ray_cluster}"
    if found.folder:
        yield f"folder   {found.folder}"
    if found.message:
        yield f"message  {found.message.strip().splitlines()[0]}"
    yield f"output   kubectl logs --follow job/{found.name}"


def cancelled_lines(found: Sequence[Manifest], ticks: Iterable[JobState]) -> Iterator[str]:
    """Yield a line that says which job or schedule was cancelled, and a line for each tick of a
    cancelled schedule that keeps running.

    Args:
        found: The Kubernetes objects of the cancelled job or schedule.
        ticks: The ticks that keep running.
    """
    first = found[0]
    name = first["metadata"]["name"]
    if first["kind"] == "RayJob":
        kind = first["metadata"].get("labels", {}).get(KIND_LABEL, "job")
        yield (
            f"{name}: {kind} cancelled; its stored stages remain, and submitting it again reuses"
            " them"
        )
    else:
        both = f" ({' and '.join(each['kind'] for each in found)})" if len(found) > 1 else ""
        yield f"{name}: schedule cancelled{both}"
    for tick in ticks:
        yield f"{tick.name}: this tick keeps running; `orchestrator cancel {tick.name}` ends it"


def _message(line: str) -> str:
    try:
        content: Any = json.loads(line) if line.startswith("{") else None
    except ValueError:
        return line
    return str(content["message"]) if isinstance(content, dict) and "message" in content else line


def _schedule_words(schedule: Manifest) -> str:
    if schedule["spec"].get("suspend"):
        return "suspended"
    last = schedule.get("status", {}).get("lastScheduleTime")
    return f"last tick {_age(datetime.fromisoformat(last))} ago" if last else "no tick yet"


def _age(moment: datetime | None) -> str:
    if moment is None:
        return ""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
