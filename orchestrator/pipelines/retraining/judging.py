"""Judge a candidate with the gate, and apply the gate's decision to journal and registry.

The terms are explained in `pipelines.retraining`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import assert_never

import numpy as np
import torch

from orchestrator.config.retraining import Retraining
from orchestrator.config.roles import ROLES, Role
from orchestrator.data.labeled_images import LabeledImages
from orchestrator.data.loading import load_images
from orchestrator.data.scenario import Split
from orchestrator.evaluation.accuracy_matrix import forgetting
from orchestrator.models import AnyNetwork
from orchestrator.pipelines.run.run import RunResult
from orchestrator.retraining.candidate import held_out_images, looks_at
from orchestrator.retraining.evidence import Classes, KnownTasks, gather_evidence
from orchestrator.retraining.gate import PromotionDecision, Verdict, decide
from orchestrator.retraining.lease import Lease
from orchestrator.retraining.promotion import hold, promote, reject
from orchestrator.retraining.registration import Registered
from orchestrator.retraining.retries import Attempt, tried_with
from orchestrator.retraining.scan import Scan
from orchestrator.retraining.settling import Registry
from orchestrator.retraining.state import GATE, Held, ModelPair, Note, PutAside
from orchestrator.retraining.version_states import VersionState


@dataclass(frozen=True)
class Gatekeeper:
    """Judge of the candidates of one tick.

    Attributes:
        retraining: The retraining, with the gate's conditions.
        champion: The champion to compare candidates with; None before the first champion.
        num_looks: Number of verdicts on the candidates that await a final decision, including the
            next verdict; a repetition of the same attempt is not counted again. A rejection does
            not restart the count while a candidate is held or the rejected files are tried again.
            The larger the number, the stricter the gate.
    """

    retraining: Retraining
    champion: Registered | None
    num_looks: int

    def learned(self, result: RunResult) -> PromotionDecision:
        """Judge a newly trained candidate on the held-out images of its run.

        Raises:
            StorageUnavailableError: The candidate's networks are no longer in the stage store.
        """
        scenario = result.work.scenario
        known = KnownTasks(
            scenario.class_names,
            [task.new_classes for task in scenario.tasks],
            {role: result.summary[role]["forgetting"] for role in ROLES},
        )
        classes = range(len(scenario.class_names))
        held_out = scenario.images_of(Split.TEST, classes)
        rows = np.concatenate([scenario.indices[Split.TEST][c] for c in classes])
        looks = looks_at(scenario.table, rows, result.work.experiment.data)
        networks = {role: model.network for role, model in result.models.items()}
        return self._decide(networks, held_out, known, looks)

    def held(self, held: Registered, found: Scan) -> PromotionDecision:
        """Judge a held candidate (neither promoted nor rejected yet) again, with all held-out
        images that have arrived so far.

        Raises:
            DataError: A file has changed since the scan of the source, or cannot be used.
            StorageUnavailableError: The source cannot be read.
        """
        lineage, learned = held.lineage, held.lineage.learned
        assert learned is not None  # noqa: S101 - only a draft has not learned
        arrivals = held_out_images(self.retraining, lineage, found)
        table = load_images(arrivals)
        order = {label: position for position, label in enumerate(lineage.classes)}
        labels = torch.tensor([order[str(label)] for label in table.labels])
        images = LabeledImages(torch.from_numpy(np.array(table.images)), labels)
        looks = looks_at(table, range(len(labels)), arrivals)
        # delete the decoded images, because the next tick decodes other images
        table.path.unlink(missing_ok=True)
        matrices = {"teacher": learned.teacher_accuracies, "student": learned.student_accuracies}
        borders = accumulate((len(task) for task in lineage.tasks), initial=0)
        known = KnownTasks(
            lineage.classes,
            [range(start, end) for start, end in pairwise(borders)],
            {role: forgetting(matrices[role]) for role in ROLES},
        )
        return self._decide(held.networks(), images, known, looks)

    def _decide(
        self,
        candidate: dict[Role, AnyNetwork],
        held_out: LabeledImages,
        known: KnownTasks,
        looks: Classes,
    ) -> PromotionDecision:
        champion = self.champion
        evidence = gather_evidence(
            candidate,
            champion.networks() if champion else {},
            held_out,
            len(champion.lineage.classes) if champion else 0,
            known,
            looks,
        )
        return decide(evidence, self.retraining.gate, attempts=self.num_looks)


def carry_out(
    decision: PromotionDecision,
    lease: Lease,
    registry: Registry,
    candidate: ModelPair,
    attempt: Attempt,
    judged_files: tuple[str, ...] = (),
) -> None:
    """Carry out the gate's decision: promote a candidate, reject it, or hold it for a later
    decision.

    Args:
        decision: The decision of the gate.
        lease: The lease, held by this process.
        registry: The registry to update.
        candidate: The judged candidate.
        attempt: The attempt that trained the candidate, with the candidate's new files and number
            of retries.
        judged_files: Ids (see `file_id`) of files that arrived after the candidate was trained. The
            gate has judged the candidate on held-out images of these files.

    Raises:
        LeaseLostError: Another process has taken the lease; nothing is changed.
        TransientError: Journal or registry does not answer; the next tick completes the change.
    """
    match decision.verdict:
        case Verdict.PROMOTE:
            promote(lease, registry, candidate, decision.reason)
        case Verdict.HOLD | Verdict.ASK:
            is_asked = decision.verdict == Verdict.ASK
            hold(lease, registry, Held(candidate, is_asked, decision.reason, judged_files))
        case Verdict.REJECT:
            files = (
                PutAside(candidate, attempt.files)
                if decision.blames_data
                else tried_with(attempt, candidate, time.time())
            )
            rejected = Note(candidate, VersionState.REJECTED, decision.reason, GATE)
            reject(lease, registry, rejected, files)
        case _:
            assert_never(decision.verdict)
