"""Count, list and draw the labels that the final teacher and student of a run find suspicious."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator import output_files
from orchestrator.data import Scenario, Split
from orchestrator.evaluation.label_doubt import DoubtedLabels, LabelBeliefs, most_doubted
from orchestrator.evaluation.suspicious_labels import MOST_SHOWN, SuspiciousLabel, as_csv
from orchestrator.pipelines.run.pictures import write_pictures
from orchestrator.stages import StageStore, Work
from orchestrator.stages.label_beliefs import classes_believed
from orchestrator.whole_files import write_whole


@dataclass(frozen=True)
class Suspicions:
    """Suspicious labels of a run.

    Attributes:
        counts: Numbers of judged labels, of labels that teacher or student contradict by predicting
            another class, and of listed labels, as stored in summary.json.
        labels: The listed labels, most suspicious first.
    """

    counts: dict[str, int]
    labels: list[SuspiciousLabel]


def find_suspicions(work: Work) -> Suspicions:
    """Return the labels that the final teacher and student find most suspicious, read from the
    stage store.

    Args:
        work: The computed work, with `judges_labels` set.

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


def write_suspicions(
    folder: Path, suspicions: Suspicions, scenario: Scenario, store: StageStore
) -> list[Path]:
    """Write the list of suspicious labels and, if it is not empty, a picture of the images with
    these labels. Return the paths of the written files.

    Args:
        folder: The folder of the run, in which an earlier list and an earlier picture are replaced.
        suspicions: The suspicious labels.
        scenario: The scenario that contains the images.
        store: The stage store, which keeps the picture.

    Raises:
        OSError: The folder cannot be written.
        StorageUnavailableError: The store cannot be read or written.
    """
    file = folder / output_files.SUSPICIOUS_LABELS_FILE
    sheet = folder / output_files.FIGURES_FOLDER / output_files.SUSPICIOUS_LABELS_SHEET_FILE
    write_whole(file, as_csv(suspicions.labels))
    sheet.unlink(missing_ok=True)
    if not suspicions.labels:
        return [file]
    shown = suspicions.labels[:MOST_SHOWN]
    images, num_listed = [_image(scenario, it.row) for it in shown], len(suspicions.labels)
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    texts = [[it.label, it.doubt, it.teacher_says, it.student_says] for it in shown]
    content = [num_listed, scenario.shape, digests, texts]
    pictures = write_pictures(
        sheet.parent, store, content, lambda: {sheet.name: _sheet(images, shown, num_listed)}
    )
    return [file, *pictures]


def _sheet(
    images: Sequence[npt.NDArray[np.uint8]], labels: Sequence[SuspiciousLabel], num_listed: int
) -> bytes:
    from orchestrator.figures.saving import drawn  # noqa: PLC0415 - matplotlib is slow to import
    from orchestrator.figures.suspicious_labels import (  # noqa: PLC0415
        ShownLabel,
        suspicious_labels_figure,
    )

    shown = [
        ShownLabel(image, it.label, it.teacher_says, it.student_says, it.doubt)
        for image, it in zip(images, labels, strict=True)
    ]
    return drawn(suspicious_labels_figure(shown, num_listed))


def _image(scenario: Scenario, row: int) -> npt.NDArray[np.uint8]:
    image: npt.NDArray[np.uint8] = scenario.table.images[row]
    return image
