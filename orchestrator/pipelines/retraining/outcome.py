"""Outcome of a tick: what the tick decided and why, for messages, summary.json and tags of runs.

The terms are explained in `pipelines.retraining`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from orchestrator.config.scenario import Label
from orchestrator.retraining.changes import ChangePlan, Finding
from orchestrator.retraining.conditions import Condition
from orchestrator.retraining.evidence import Move
from orchestrator.retraining.gate import PromotionDecision, Verdict
from orchestrator.retraining.scan import Scan
from orchestrator.retraining.state import Held, ModelPair
from orchestrator.tracking.registry import GATE_TAG_PREFIX

Outcome = Literal["nothing_to_do", "promoted", "rejected", "held", "asked", "locked"]
OUTCOMES: dict[Verdict, Outcome] = {
    Verdict.PROMOTE: "promoted",
    Verdict.REJECT: "rejected",
    Verdict.HOLD: "held",
    Verdict.ASK: "asked",
}


@dataclass(frozen=True)
class RetrainingOutcome:
    """Outcome of a tick.

    Attributes:
        outcome: The outcome, as one word.
        reason: The reason for the outcome, as one sentence.
        champion: The champion after the tick; None if there is none, or if another process held the
            lease.
        candidate: The registered candidate; None if no candidate was registered.
        run_id: Id of the candidate's run.
        new_classes: Classes that the candidate has learned and the earlier champion has not.
        findings: Problems and changes that were found in the source.
        conditions: Conditions of the gate.
        moves: Held-out images of the champion's classes that the candidate classifies as new
            classes.
        advice: Advice for a person; empty for none.
        is_dry: Whether the tick was a dry run.
        report: Path of the history page; None if no page was written.
        held: The held candidate, which the gate has neither promoted nor rejected; None if there is
            none.
        next_step: What a person can do about the held candidate; empty for none.
    """

    outcome: Outcome
    reason: str
    champion: ModelPair | None = None
    candidate: ModelPair | None = None
    run_id: str | None = None
    new_classes: Sequence[Label] = ()
    findings: Sequence[Finding] = ()
    conditions: Sequence[Condition] = ()
    moves: Sequence[Move] = ()
    advice: str = ""
    is_dry: bool = False
    report: Path | None = None
    held: ModelPair | None = None
    next_step: str = ""

    @classmethod
    def before_learning(
        cls, plan: ChangePlan, found: Scan, champion: ModelPair | None, is_dry: bool
    ) -> RetrainingOutcome:
        """Return the outcome before any training. The outcome contains the findings in the source,
        and the reason to train nothing or to reject the files.
        """
        known = cls(
            "nothing_to_do",
            "",
            champion,
            new_classes=plan.new_classes,
            findings=plan.findings,
            is_dry=is_dry,
        )
        if plan.refusals:
            return replace(
                known,
                outcome="rejected",
                reason="refused: " + "; ".join(finding.message for finding in plan.refusals),
            )
        if not found.num_files:
            return replace(known, reason="the source holds no file that is ready to be read")
        notable = [finding.message for finding in plan.findings]
        return replace(
            known,
            reason="; ".join(notable)
            if notable
            else f"{found.num_files} file{'s' if found.num_files > 1 else ''}, nothing new",
        )

    def decided(
        self, decision: PromotionDecision, candidate: ModelPair | None, run_id: str | None
    ) -> RetrainingOutcome:
        """Return the outcome with the gate's verdict on a candidate.

        Args:
            decision: The decision of the gate.
            candidate: The judged candidate; None in a dry run, which registers nothing.
            run_id: Id of the candidate's run; None in a dry run.
        """
        is_held = decision.verdict in (Verdict.HOLD, Verdict.ASK)
        replaced = decision.promote or is_held or candidate == self.held
        next_step = _next_step(decision.verdict, candidate) if is_held else ""
        return replace(
            self,
            outcome=OUTCOMES[decision.verdict],
            reason="; ".join(filter(None, (decision.reason, next_step))),
            champion=candidate if decision.promote and candidate is not None else self.champion,
            candidate=candidate,
            run_id=run_id,
            conditions=decision.conditions,
            moves=decision.moves,
            advice=decision.advice,
            held=candidate if is_held else None if replaced else self.held,
            next_step=next_step,
        )

    def still_held(self, held: Held, waits: str = "") -> RetrainingOutcome:
        """Return the outcome of a tick after which a held candidate is still held: neither promoted
        nor rejected.

        Args:
            held: The held candidate, about which the gate could not decide.
            waits: Why this tick does not train on new files; empty if there are no new files.
        """
        verdict = Verdict.ASK if held.is_asked else Verdict.HOLD
        next_step = _next_step(verdict, held.pair)
        state = f"version {held.pair.student} is undecided ({held.reason})"
        arrived = self.reason if self.findings else ""
        return replace(
            self,
            outcome=OUTCOMES[verdict],
            reason="; ".join(filter(None, (state, next_step, arrived, waits))),
            candidate=held.pair,
            held=held.pair,
            next_step=next_step,
        )

    def summary(self) -> dict[str, Any]:
        """Return the content of summary.json."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "champion": asdict(self.champion) if self.champion else None,
            "candidate": asdict(self.candidate) if self.candidate else None,
            "held": asdict(self.held) if self.held else None,
            "next_step": self.next_step or None,
            "run_id": self.run_id,
            "new_classes": list(self.new_classes),
            "dry_run": self.is_dry,
            "findings": [
                {
                    "kind": finding.kind.value,
                    "reaction": finding.reaction,
                    "message": finding.message,
                    "classes": list(finding.classes),
                }
                for finding in self.findings
            ],
            "gate": [condition.summary() for condition in self.conditions],
            "moves": [asdict(move) for move in self.moves],
            "advice": self.advice,
        }


def _next_step(verdict: Verdict, candidate: ModelPair | None) -> str:
    version = f" {candidate.student}" if candidate else ""
    approve, reject = (
        f"`orchestrator {command} RETRAINING.yaml{version} --reason TEXT`"
        for command in ("approve", "reject")
    )
    if verdict == Verdict.ASK:
        return f"a person must decide: {approve} or {reject}"
    return f"the candidate is judged again when more held-out images have arrived, or {approve}"


def outcome_tags(decision: PromotionDecision) -> dict[str, str]:
    """Return one tag per condition of the gate, for the candidate's run."""
    return {
        GATE_TAG_PREFIX + condition.key: _verdict(condition) for condition in decision.conditions
    }


def _verdict(condition: Condition) -> str:
    if condition.bound is None:
        return condition.measured
    return f"{condition.measured}, {condition.demanded}: {condition.verdict.value}"
