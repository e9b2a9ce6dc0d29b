"""The report of one tick of a retraining: what arrived, what the gate said, and how the champions
have done over time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.figures.charts import Line, line_chart
from orchestrator.reporting.monitoring import MonitoringPoint, monitoring_charts
from orchestrator.reporting.pages import render

_NEVER_CHAMPION = ("rejected", "candidate", "held", "asked", "superseded")


@dataclass(frozen=True)
class VersionRow:
    """One pair in the registry.

    Attributes:
        student: Version of the student.
        teacher: Version of its teacher.
        registered: When.
        state: In the words of `VersionState`.
        reason: Why it has that state.
        num_classes: That it knows.
        teacher_accuracy: After its last task, in [0, 1].
        student_accuracy: After its last task, in [0, 1].
    """

    student: int
    teacher: int
    registered: datetime
    state: str
    reason: str
    num_classes: int
    teacher_accuracy: float
    student_accuracy: float


def retraining_report(
    name: str,
    tick: Mapping[str, Any],
    versions: Sequence[VersionRow],
    looks: Sequence[MonitoringPoint] = (),
) -> str:
    """The report as one HTML page.

    Args:
        name: Of the retraining.
        tick: The content of its summary.json.
        versions: All that were ever registered, the oldest first.
        looks: At images without labels, the oldest first.
    """
    champions = [version for version in versions if version.state not in _NEVER_CHAMPION]
    others = [version for version in versions if version.state in _NEVER_CHAMPION]
    lines = [
        Line(
            "Teacher of a champion",
            [(version.student, version.teacher_accuracy) for version in champions],
        ),
        Line(
            "Student of a champion",
            [(version.student, version.student_accuracy) for version in champions],
        ),
        Line(
            "Student, not promoted",
            [(version.student, version.student_accuracy) for version in others],
        ),
    ]
    classes = [
        Line(
            "Classes known",
            [(version.student, float(version.num_classes)) for version in champions],
        )
    ]
    charts = [
        line_chart(
            "Accuracy over time: each version on all classes it knows",
            lines,
            "version of the student",
        ),
        line_chart(
            "Classes that the champion knows", classes, "version of the student", is_share=False
        ),
    ]
    return render(
        "retraining.html.j2",
        title=name,
        tick=tick,
        versions=versions,
        charts=[chart for chart in charts if chart],
        monitoring=monitoring_charts(looks),
    )
