"""Count, list and draw the labels that the final teacher and student of a run find suspicious."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator import output_files
from orchestrator.data import Scenario, Split
from orchestrator.evaluation.label_doubt import DoubtedLabels, LabelBeliefs, most_doubted
from orchestrator.evaluation.suspicious_labels import SuspiciousLabel, as_csv
from orchestrator.stages import Work
from orchestrator.stages.label_beliefs import classes_believed
from orchestrator.whole_files import write_whole


@dataclass(frozen=True)
class Suspicions:
    """Suspicious labels of a run.

    Attributes:
        counts: Numbers of judged, contradicted and listed labels, for summary.json.
        labels: The listed labels, most suspicious first.
    """

    counts: dict[str, int]
    labels: list[SuspiciousLabel]


def find_suspicions(work: Work) -> Suspicions:
    """Return the labels that both last models find most suspicious, from the stage store.

    Args:
        work: The computed work, with `judges_labels`.

    Raises:
        StorageUnavailableError: The models' judgement of the labels is no longer in the store.
    """
    scenario = work.scenario
    classes = classes_believed(scenario)
    teacher, student = (
        work.beliefs_of(work.final_stages["teacher"]),
        work.beliefs_of(work.final_stages["student"]),
    )
    found = most_doubted(teacher, student, scenario.targets_of(Split.TRAIN, classes))
    rows = np.concatenate([scenario.indices[Split.TRAIN][c] for c in classes])
    labels = [
        _label(scenario, int(rows[position]), doubt, position, (teacher, student))
        for position, doubt in zip(found.positions.tolist(), found.doubts.tolist(), strict=True)
    ]
    return Suspicions(_counts(found), labels)


def _counts(found: DoubtedLabels) -> dict[str, int]:
    return {
        "num_judged": found.num_judged,
        "num_contradicted": found.num_contradicted,
        "num_contradicted_by_both": found.num_contradicted_by_both,
        "num_listed": len(found.positions),
    }


def _label(
    scenario: Scenario,
    row: int,
    doubt: float,
    position: int,
    models: tuple[LabelBeliefs, LabelBeliefs],
) -> SuspiciousLabel:
    teacher, student = models
    return SuspiciousLabel(
        row,
        scenario.table.place_of(row),
        str(scenario.table.labels[row]),
        doubt,
        scenario.class_names[int(teacher.answers[position])],
        float(teacher.believed[position]),
        scenario.class_names[int(student.answers[position])],
        float(student.believed[position]),
    )


def write_suspicions(folder: Path, suspicions: Suspicions, scenario: Scenario) -> list[Path]:
    """Write the list and, if it is not empty, the sheet of images; return their paths.

    Args:
        folder: The folder of the run; earlier files of this kind are replaced.
        suspicions: The suspicious labels.
        scenario: The scenario that has the images.

    Raises:
        OSError: The folder cannot be written.
    """
    from orchestrator.figures.saving import save_figure  # noqa: PLC0415 - matplotlib is slow to import
    from orchestrator.figures.suspicious_labels import (  # noqa: PLC0415
        MOST_SHOWN,
        ShownLabel,
        suspicious_labels_figure,
    )

    file = folder / output_files.SUSPICIOUS_LABELS_FILE
    sheet = folder / output_files.FIGURES_FOLDER / output_files.SUSPICIOUS_LABELS_SHEET_FILE
    write_whole(file, as_csv(suspicions.labels))
    sheet.unlink(missing_ok=True)
    if not suspicions.labels:
        return [file]
    shown = [
        ShownLabel(_image(scenario, it.row), it.label, it.teacher_says, it.student_says, it.doubt)
        for it in suspicions.labels[:MOST_SHOWN]
    ]
    save_figure(suspicious_labels_figure(shown, len(suspicions.labels)), sheet)
    return [file, sheet]


def _image(scenario: Scenario, row: int) -> npt.NDArray[np.uint8]:
    image: npt.NDArray[np.uint8] = scenario.table.images[row]
    return image
