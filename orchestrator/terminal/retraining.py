"""Show one tick of a retraining: the training, the findings, the conditions of the promotion gate
and, on the last line, the outcome.

A tick checks the files once, and may train a candidate, which is a new teacher and a new student.
The gate promotes, rejects or holds the candidate, or asks a person to decide.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.config.experiment import Experiment
from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
from orchestrator.terminal.run import TerminalRunListener

_SHOWN_MOVES = 5


class TickListener(TerminalRunListener):
    """Run listener for the training in one tick (check for new files) of a retraining. The function
    `show_outcome` shows the result of the tick; `run_finished` shows no result.
    """

    def run_finished(
        self, summary: dict[str, Any], output_dir: Path, experiment: Experiment, view_url: str
    ) -> None:
        """Remove the progress bars, and show no result yet, because `show_outcome` shows the result
        of the whole tick.
        """
        self.close()

    def _name_run(self, uri: str, run_id: str) -> None:
        """Show no run id yet: this tick of a retraining may be a dry run, which has no run in
        MLflow. If the tick is not a dry run, `show_outcome` shows the run id at the end.
        """


def show_outcome(outcome: RetrainingOutcome, console: Console) -> None:
    """Show the result of a tick: the findings about files and images, the conditions of the
    promotion gate, and the champion. The last line is `OUTCOME: reason`.
    """

    def line(text: str) -> None:
        console.print(text, soft_wrap=True)

    for finding in outcome.findings:
        line(f"{finding.reaction:8} {finding.message}")
    if outcome.conditions:
        console.print(_gate_table(outcome))
    for move in outcome.moves[:_SHOWN_MOVES]:
        line(
            f"{move.num_images} of {move.num_held_out} held-out images of {move.old} are now"
            f" classified as the new class {move.new}"
        )
    if outcome.advice:
        line(outcome.advice)
    if outcome.champion is not None:
        line(f"champion {outcome.champion}")
    if outcome.run_id is not None:
        line(f"run      {outcome.run_id}")
    if outcome.report is not None:
        line(f"report   {outcome.report}")
    line(
        f"{outcome.outcome}{' (dry run: nothing was changed)' if outcome.is_dry else ''}:"
        f" {outcome.reason}"
    )


def _gate_table(outcome: RetrainingOutcome) -> Table:
    table = Table(title="The gate, on held-out images", title_justify="left")
    for column in ("condition", "measured", "bound", "verdict"):
        table.add_column(column, justify="left" if column in ("condition", "verdict") else "right")
    for condition in outcome.conditions:
        verdict = condition.verdict.value
        if not condition.is_met:
            verdict = verdict.upper()
        table.add_row(condition.name, condition.measured, condition.demanded, verdict)
    return table
