"""Describe a trained model, for its package, its logged model in MLflow and the model registry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.config.roles import Role

# Largest size of a tag, in bytes, that all supported stores accept; MySQL has the lowest limit.
MAX_TAG_BYTES = 65_535
# Limits for a version's description, which may have at most 5,000 characters: the largest number of
# class names in the description, and the largest number of characters of one class name.
_MOST_NAMED, _MAX_NAME = 20, 60


@dataclass(frozen=True)
class ModelFacts:
    """Facts about a trained model, as values that JSON can store.

    Attributes:
        role: `teacher` or `student`.
        method: Kind of method that trained the model.
        dataset: Name of the data set on which the model was trained.
        dataset_fingerprint: SHA-256 of the data set's content.
        class_names: Names of the classes, in the order of the model's logits.
        num_parameters: Number of learned parameters.
        last_accuracy: Accuracy on all classes after the last task; in [0, 1].
        average_incremental_accuracy: Mean of the accuracies after each task; in [0, 1].
        forgetting: Forgetting after the last task; in [-1, 1].
    """

    role: Role
    method: str
    dataset: str
    dataset_fingerprint: str
    class_names: Sequence[str]
    num_parameters: int
    last_accuracy: float
    average_incremental_accuracy: float
    forgetting: float

    @classmethod
    def of(cls, summary: Mapping[str, Any], role: Role) -> ModelFacts:
        """Return the facts about a model of a finished run.

        Args:
            summary: Content of the run's summary.json.
            role: Role of the model in the run.
        """
        measures = ("num_parameters", "last_accuracy", "average_incremental_accuracy", "forgetting")
        return cls(
            role=role,
            method=summary["method"],
            dataset=summary["dataset"]["name"],
            dataset_fingerprint=summary["dataset"]["fingerprint"],
            class_names=[str(label) for task in summary["tasks"] for label in task["classes"]],
            **{measure: summary[role][measure] for measure in measures},
        )

    def values(self) -> dict[str, Any]:
        """Return the facts for JSON or YAML; `ModelFacts(**values)` restores them."""
        return asdict(self)

    def version_tags(self) -> dict[str, str]:
        """Return the facts that become tags of a registered version: the role, which `ModelReader`
        needs, and facts that lists of versions show. The model's package and the tags of the logged
        model contain all facts.
        """
        shown = ("role", "dataset", "num_classes", "last_accuracy")
        return {name: text for name, text in self.tags().items() if name in shown}

    def tags(self) -> dict[str, str]:
        """Return the facts as tags: texts and numbers unchanged, class names as a JSON list that is
        truncated to the size of a tag.
        """
        plain = {name: str(value) for name, value in self.values().items() if name != "class_names"}
        return plain | {
            "class_names": fitting_json(self.class_names),
            "num_classes": str(len(self.class_names)),
        }

    def description(self) -> str:
        """Return the facts in two sentences, with at most the first 20 class names."""
        named = ", ".join(name[:_MAX_NAME] for name in self.class_names[:_MOST_NAMED])
        more = len(self.class_names) - _MOST_NAMED
        return (
            f"The {self.role} of {self.method} on {self.dataset}, {len(self.class_names)} classes:"
            f" last accuracy {self.last_accuracy:.1%}, average incremental accuracy"
            f" {self.average_incremental_accuracy:.1%}, forgetting {self.forgetting:.1%}."
            f" Classes: {named}{f' and {more} more' if more > 0 else ''}."
        )


def fitting_json(texts: Sequence[str], max_bytes: int = MAX_TAG_BYTES) -> str:
    """Return texts as a JSON list of at most `max_bytes` bytes.

    If the texts do not fit, an ellipsis replaces the last texts.
    """
    whole = _json(texts)
    if len(whole.encode()) <= max_bytes:
        return whole
    room = max_bytes - len(_json(["…"]).encode())
    kept: list[str] = []
    for text in texts:
        # Count the brackets of the JSON list in place of the separator ", ", which is as long.
        room -= len(_json([text]).encode())
        if room < 0:
            break
        kept.append(text)
    return _json([*kept, "…"])


def _json(texts: Sequence[str]) -> str:
    return json.dumps(list(texts), ensure_ascii=False)
