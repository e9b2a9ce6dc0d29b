"""Gather the evidence of the gate: predictions of the candidate and of the champion for the same
held-out images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64

from orchestrator.config.roles import Role
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.models import AnyNetwork
from orchestrator.models.network import predict
from orchestrator.models.network_costs import latency_ms
from orchestrator.retraining.statements import Flags, Share, balanced_weights

Classes = Int64[np.ndarray, " _"]


@dataclass(frozen=True)
class Predictions:
    """Predictions of a candidate's teacher or student, and of the champion's network of this role.

    Old images are images of the champion's classes.

    Attributes:
        among_all: (images,), the candidate's predictions if it chooses among all its classes.
        among_old: (old images,), the candidate's predictions if it chooses among the champion's
            classes.
        champion: (old images,), the champion's predictions; None without a champion.
    """

    among_all: Classes
    among_old: Classes
    champion: Classes | None


@dataclass(frozen=True)
class KnownTasks:
    """Tasks that a candidate has learned.

    Attributes:
        class_names: Names of the classes, in the order of learning.
        tasks: The classes of each task.
        forgetting: Forgetting of each role over all tasks, measured on the held-out images.
    """

    class_names: Sequence[str]
    tasks: Sequence[range]
    forgetting: Mapping[Role, float]


@dataclass(frozen=True)
class Evidence:
    """All measurements by which the gate judges a candidate.

    Attributes:
        labels: (images,), true class of each held-out image. Classes are numbered from 0 in the
            order of learning, so the champion's classes have the lowest numbers.
        num_old: Number of the champion's classes; 0 without a champion.
        known: Tasks that the candidate has learned.
        predictions: Predictions of candidate and champion, by role.
        student_parameters: Number of parameters of the candidate's student.
        student_latency_ms: Median time in which the candidate's student classifies one image on one
            CPU thread.
        looks: (images,), number of gate verdicts that use each image, including the present
            verdict; None if no image was used before.
    """

    labels: Classes
    num_old: int
    known: KnownTasks
    predictions: Mapping[Role, Predictions]
    student_parameters: int
    student_latency_ms: float
    looks: Classes | None = None

    @property
    def uses(self) -> float:
        """Return in how many gate verdicts, including the present one, a held-out image is used.

        The value is the mean over all held-out images, in which all classes have equal weight.
        """
        if self.looks is None:
            return 1.0
        return round(float(balanced_weights(self.labels) @ self.looks), 6)

    def only_new(self) -> Evidence:
        """Return the evidence from images that no earlier verdict used; forgetting is measured
        again on these images.
        """
        if self.looks is None:
            return self
        chosen = self.looks == 1
        among_old = chosen[self.is_old]
        new = replace(
            self,
            labels=self.labels[chosen],
            looks=None,
            predictions={
                role: Predictions(
                    own.among_all[chosen],
                    own.among_old[among_old] if self.num_old else own.among_old,
                    None if own.champion is None else own.champion[among_old],
                )
                for role, own in self.predictions.items()
            },
        )
        forgetting = {
            role: it + self._kept_share(role) - new._kept_share(role)  # noqa: SLF001 - of this class
            for role, it in self.known.forgetting.items()
        }
        return replace(new, known=replace(self.known, forgetting=forgetting))

    def _kept_share(self, role: Role) -> float:
        share = self.kept_of_earlier(role)
        return share.rate if share else 0.0

    def kept_of_earlier(self, role: Role) -> Share | None:
        """Return the candidate's accuracy on images of all tasks before the last; None if there are
        no such images.
        """
        earlier = self.is_earlier
        if not earlier.any():
            return None
        right = self.predictions[role].among_all[earlier] == self.labels[earlier]
        return Share.of(right, self.task_of[earlier])

    @property
    def is_earlier(self) -> Flags:
        """Return for each image whether its class was learned before the last task."""
        return self.task_of < len(self.known.tasks) - 1

    @property
    def is_old(self) -> Flags:
        """Return for each image whether its class is one of the champion's classes."""
        return self.labels < self.num_old

    @property
    def task_of(self) -> Classes:
        """Return for each image the index of the task in which its class was learned."""
        task_of_class = {c: index for index, task in enumerate(self.known.tasks) for c in task}
        return np.asarray([task_of_class[int(label)] for label in self.labels], dtype=np.int64)


@dataclass(frozen=True)
class Move:
    """Held-out images of one of the champion's classes that the candidate assigns to one new class.

    The candidate would classify these images correctly if it chose among the champion's classes
    only.

    Attributes:
        old: The images' true class.
        new: The images' predicted class.
        num_images: Number of these images.
        num_held_out: Number of all held-out images of the true class.
    """

    old: str
    new: str
    num_images: int
    num_held_out: int


def find_moves(evidence: Evidence, role: Role) -> list[Move]:
    """Count the held-out images of the champion's classes that the candidate assigns to new
    classes.

    Args:
        evidence: Predictions of the candidate.
        role: Role whose predictions are compared.

    Returns:
        One move for each pair of an old and a new class, the most frequent first.
    """
    is_old, own = evidence.is_old, evidence.predictions[role]
    old_labels, chosen = evidence.labels[is_old], own.among_all[is_old]
    taken = (own.among_old == old_labels) & (chosen >= evidence.num_old)
    counts = Counter(zip(old_labels[taken].tolist(), chosen[taken].tolist(), strict=True))
    held_out = Counter(old_labels.tolist())
    names = evidence.known.class_names
    return [
        Move(names[old], names[new], num, held_out[old])
        for (old, new), num in sorted(counts.items(), key=lambda it: (-it[1], it[0]))
    ]


def gather_evidence(
    candidate: Mapping[Role, AnyNetwork],
    champion: Mapping[Role, AnyNetwork],
    held_out: LabeledImages,
    num_old: int,
    known: KnownTasks,
    looks: Classes | None = None,
) -> Evidence:
    """Let candidate and champion classify the same held-out images, and return the evidence.

    Args:
        candidate: The candidate's networks, on the CPU.
        champion: The champion's networks; empty without a champion.
        held_out: Held-out images of all classes. The label of an image is the number of its class,
            counted from 0 in the order of learning.
        num_old: Number of the champion's classes; 0 without a champion.
        known: Tasks that the candidate has learned.
        looks: (images,), number of gate verdicts that use each image, including the present
            verdict.
    """
    labels = held_out.labels.numpy()
    old = held_out.labels < num_old
    predictions = {}
    for role, network in candidate.items():
        logits = predict(network, held_out.images)
        of_champion = None
        if champion:
            of_champion = predict(champion[role], held_out.images[old]).argmax(dim=1).numpy()
        predictions[role] = Predictions(
            logits.argmax(dim=1).numpy(),
            logits[old, :num_old].argmax(dim=1).numpy() if num_old else labels[:0],
            of_champion,
        )
    return Evidence(
        labels=labels,
        num_old=num_old,
        known=known,
        predictions=predictions,
        student_parameters=candidate["student"].num_parameters(),
        student_latency_ms=latency_ms(candidate["student"], held_out.images),
        looks=looks,
    )
