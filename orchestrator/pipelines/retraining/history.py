"""Read the history of a retraining from its registry."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator import output_files
from orchestrator.errors import OrchestratorError
from orchestrator.private_folder import scratch_folder
from orchestrator.reporting.history.conditions import conditions_of
from orchestrator.reporting.history.facts import Delivery, GateCondition, History, Version
from orchestrator.retraining.class_accuracies import (
    CLASS_ACCURACIES_FILE,
    ClassAccuracies,
    read_class_accuracies,
)
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.registration import STATE_FOLDER, load_lineage
from orchestrator.retraining.state import ModelPair
from orchestrator.retraining.tick_record import read_tick_record
from orchestrator.retraining.version_events import read_events
from orchestrator.retraining.version_states import CHAMPION, VersionState
from orchestrator.tracking.names import STATE_TAG
from orchestrator.tracking.registry import (
    DECIDED_BY_TAG,
    EVENTS_TAG,
    GATE_CONDITIONS_TAG,
    GATE_TAG_PREFIX,
    PREDECESSOR_TAG,
    REASON_TAG,
    TEACHER_TAG,
    TICK_TAG,
    ModelRegistry,
    VersionFacts,
)
from orchestrator.tracking.uris import run_url, version_url

logger = logging.getLogger(__name__)

# Number of latest versions whose files are read. For older versions, only tags are read, because
# reading three files per version takes minutes if the store is slow.
_MOST_READ = 60


@dataclass(frozen=True)
class _Files:
    """Files of a version.

    Attributes:
        lineage: Lineage in the teacher's package; None if missing.
        class_accuracies: Accuracies by class, in the teacher's package; None if missing.
        gate: Conditions of the gate as JSON, from the candidate's run; empty if missing.
    """

    lineage: Lineage | None = None
    class_accuracies: ClassAccuracies | None = None
    gate: str = ""


def read_history(registry: ModelRegistry, file: str = "RETRAINING.yaml") -> History:
    """Return the history of a retraining: every version that is still in the registry.

    Args:
        registry: The registry of the retraining.
        file: Name of the retraining file, for the commands on the history page.

    Raises:
        TrackingUnavailableError: The registry does not answer.
    """
    teachers = {facts.version: facts for facts in registry.versions("teacher")}
    students = [
        student
        for student in registry.versions("student")
        if student.tags.get(TEACHER_TAG, "") in teachers
    ]
    files = _read_files(registry, students[-_MOST_READ:])
    versions = [
        _version(registry, student, teachers[student.tags[TEACHER_TAG]], files)
        for student in students
    ]
    champion = registry.with_alias("student", CHAMPION)
    return History(
        registry.name,
        next((it for it in versions if champion and str(it.student) == champion.version), None),
        versions,
        read_tick_record(registry.model_tags("student").get(TICK_TAG, "")),
        file,
    )


def _read_files(registry: ModelRegistry, students: Sequence[VersionFacts]) -> dict[str, _Files]:
    found = {}
    with scratch_folder("history") as folder:
        for student in students:
            pair = ModelPair(student.tags[TEACHER_TAG], student.version)
            own = folder / student.version
            gate = _gate(registry, student, own / "gate")
            found[student.version] = replace(_files_of(registry, pair, own), gate=gate)
    return found


def _gate(registry: ModelRegistry, student: VersionFacts, folder: Path) -> str:
    """Return the gate's conditions as JSON, read from a file of the student's run. Return an empty
    text if the file is missing, or if an earlier release has stored the conditions in a tag
    instead.
    """
    if GATE_CONDITIONS_TAG in student.tags or not student.run_id:
        return ""
    text = registry.run_file(student.run_id, output_files.GATE_FILE, folder)
    try:
        return json.dumps(json.loads(text)["conditions"]) if text else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _files_of(registry: ModelRegistry, pair: ModelPair, folder: Path) -> _Files:
    """Return a version's files. Treat deleted files as missing, because the history page is useful
    even without these files.
    """
    try:
        lineage = load_lineage(registry, pair, folder)
    except OrchestratorError as error:
        if error.is_retryable:
            raise
        logger.warning("the history page lacks details of %s: %s", pair, error)
        return _Files()
    try:
        name = f"{STATE_FOLDER}/{CLASS_ACCURACIES_FILE}"
        path = registry.download("teacher", pair.teacher, name, folder)
    except OrchestratorError as error:
        if error.is_retryable:
            raise
        return _Files(lineage)  # earlier releases registered versions without accuracies by class
    return _Files(lineage, read_class_accuracies(path))


def _version(
    registry: ModelRegistry, student: VersionFacts, teacher: VersionFacts, files: dict[str, _Files]
) -> Version:
    tags, own = student.tags, files.get(student.version, _Files())
    before = files.get(tags.get(PREDECESSOR_TAG, ""), _Files()).lineage
    is_first = not tags.get(PREDECESSOR_TAG)
    return Version(
        student=int(student.version),
        teacher=int(teacher.version),
        registered=datetime.fromtimestamp(student.created_ms / 1000, UTC),
        state=tags.get(STATE_TAG, VersionState.CANDIDATE.value),
        reason=tags.get(REASON_TAG, ""),
        num_classes=int(tags["num_classes"]),
        accuracy={
            "teacher": float(teacher.tags["last_accuracy"]),
            "student": float(tags["last_accuracy"]),
        },
        decided_by=tags.get(DECIDED_BY_TAG, ""),
        events=read_events(tags.get(EVENTS_TAG, "")),
        conditions=_conditions(tags.get(GATE_CONDITIONS_TAG, "") or own.gate),
        old_conditions={
            key.removeprefix(GATE_TAG_PREFIX): value
            for key, value in sorted(tags.items())
            if key.startswith(GATE_TAG_PREFIX)
        },
        classes=own.lineage.classes if own.lineage else (),
        delivery=_delivery(own.lineage, Lineage() if is_first else before),
        class_accuracies=own.class_accuracies,
        tick=read_tick_record(tags.get(TICK_TAG, "")),
        run_id=student.run_id,
        links=_links(registry, student, teacher),
    )


def _delivery(lineage: Lineage | None, before: Lineage | None) -> Delivery | None:
    """Return the delivery of a version: the files, images and classes that the version has learned
    and its predecessor has not. Return None if the files of the version or of its predecessor are
    unknown.
    """
    if lineage is None or before is None:
        return None
    known = {file.sha256 for file in before.files}
    without_labels = {file.sha256 for file in before.unlabeled}
    new = [file for file in lineage.files if file.sha256 not in known]
    num_images: dict[str, int] = {}
    for file in new:
        for label, number in file.num_images.items():
            num_images[label] = num_images.get(label, 0) + number
    return Delivery(
        num_files=len(new),
        num_images=num_images,
        num_unlabeled_files=sum(it.sha256 not in without_labels for it in lineage.unlabeled),
        new_classes=[label for label in lineage.classes if label not in before.classes],
        refreshed=[
            label
            for label in before.classes
            if lineage.deliveries.get(label) != before.deliveries.get(label)
        ],
    )


def _conditions(text: str) -> list[GateCondition]:
    """Return the gate's conditions, parsed from a tag; empty if the tag is missing or was
    truncated.
    """
    try:
        return conditions_of(json.loads(text)) if text else []
    except ValueError:
        return []


def _links(registry: ModelRegistry, student: VersionFacts, teacher: VersionFacts) -> dict[str, str]:
    links = {
        "student in MLflow": version_url(
            registry.uri, registry.model_name("student"), int(student.version)
        ),
        "teacher in MLflow": version_url(
            registry.uri, registry.model_name("teacher"), int(teacher.version)
        ),
        "run in MLflow": run_url(registry.uri, student.run_id),
    }
    return {name: address for name, address in links.items() if address}
