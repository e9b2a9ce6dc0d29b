"""Read and change the aliases and states of model pairs in MLflow's registry.

A pair is a teacher and its student. The aliases of the students determine the pairs, and the
aliases of the teachers are updated to match.
"""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.config.roles import ROLES, Role
from orchestrator.errors import UserInputError
from orchestrator.retraining.state import ModelPair, Note
from orchestrator.retraining.version_events import VersionEvent, with_event
from orchestrator.retraining.version_states import CHAMPION, Alias
from orchestrator.tracking.names import STATE_TAG
from orchestrator.tracking.registry import (
    DECIDED_BY_TAG,
    EVENTS_TAG,
    PREDECESSOR_TAG,
    REASON_TAG,
    TEACHER_TAG,
    ModelRegistry,
    VersionFacts,
)


class ModelPairs:
    """Stores aliases and states of model pairs in MLflow's registry; see `settling.Registry`."""

    def __init__(self, registry: ModelRegistry) -> None:
        """Keep the registry; no request is sent yet."""
        self._registry = registry

    def holder_of(self, alias: Alias) -> ModelPair | None:
        """Return the pair of teacher and student that has an alias; None if no pair has it.

        Raises:
            UserInputError: The champion was not made by a retraining, so learning cannot continue
                from it.
        """
        student = self._registry.with_alias("student", alias)
        pair = None if student is None else self._pair(student)
        if pair is None and student is not None and alias == CHAMPION:
            where = f"{self._registry.model_name('student')} version {student.version}"
            advice = (
                "give the alias to a version that has a teacher, or start under another name"
                " (experiment.name)"
            )
            raise UserInputError(
                f"has the alias {alias!r} but no teacher: it was not made by a retraining",
                where,
                advice,
            )
        return pair

    def give(self, alias: Alias, pair: ModelPair | None) -> None:
        """Move an alias to a pair of teacher and student; remove the alias if the pair is None."""
        versions: dict[Role, str | None] = (
            {"teacher": None, "student": None} if pair is None else {**_versions(pair)}
        )
        for role in ROLES:
            self._registry.set_alias(role, alias, versions[role])

    def note(self, note: Note) -> None:
        """Write the new state of a pair of teacher and student as tags of both versions.

        Further tags contain the reason for the state and the author of the decision. The new state
        is also appended to the history of states, which is a tag of the student.
        """
        decided = {DECIDED_BY_TAG: note.by} if note.by else {}
        tags = {STATE_TAG: note.state.value, REASON_TAG: note.reason, **decided}
        for role, version in _versions(note.pair).items():
            self._registry.set_tags(role, version, tags)
        student = self._registry.find("student", note.pair.student)
        if student is not None:
            event = VersionEvent(datetime.now(UTC), note.state.value, note.reason, note.by)
            events = with_event(student.tags.get(EVENTS_TAG, ""), event)
            self._registry.set_tags("student", note.pair.student, {EVENTS_TAG: events})

    def state_of(self, pair: ModelPair) -> str:
        """Return the state in the tags of a pair's student; empty if there is no such tag."""
        student = self._registry.find("student", pair.student)
        return student.tags.get(STATE_TAG, "") if student else ""

    def of_student(self, version: str) -> ModelPair:
        """Return the pair of teacher and student that contains a version of the student.

        Raises:
            UserInputError: The version does not exist, or was not made by a retraining.
        """
        student = self._registry.find("student", version)
        pair = self._pair(student) if student else None
        if pair is None:
            what = "it was not made by a retraining" if student else "no such version"
            raise UserInputError(
                f"{self._registry.model_name('student')} version {version}: {what}",
                next_step="see the versions in MLflow's model registry",
            )
        return pair

    def predecessor_of(self, pair: ModelPair) -> ModelPair | None:
        """Return the pair that was champion when a pair of teacher and student was trained; None if
        there was no champion, or if the registry no longer has it.
        """
        student = self._registry.find("student", pair.student)
        version = student.tags.get(PREDECESSOR_TAG, "") if student else ""
        predecessor = self._registry.find("student", version) if version else None
        return self._pair(predecessor) if predecessor else None

    def has(self, pair: ModelPair) -> bool:
        """Return whether the registry still has both versions of a pair (teacher and student)."""
        return all(
            self._registry.find(role, version) is not None
            for role, version in _versions(pair).items()
        )

    @staticmethod
    def _pair(student: VersionFacts) -> ModelPair | None:
        teacher = student.tags.get(TEACHER_TAG, "")
        return ModelPair(teacher, student.version) if teacher else None


def _versions(pair: ModelPair) -> dict[Role, str]:
    return {"teacher": pair.teacher, "student": pair.student}
