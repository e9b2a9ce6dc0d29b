"""Show how a run uses images without labels, and to which classes the teacher assigns them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table

from orchestrator.config.experiment import Experiment
from orchestrator.data import Scenario
from orchestrator.reporting.quantities import count
from orchestrator.reporting.unlabeled import unlabeled_words


def unlabeled_lines(experiment: Experiment, scenario: Scenario) -> Iterator[str]:
    """Yield a line that says how many images without labels a run uses and skips, or that its
    method uses none.

    There is no line if the experiment names no images without labels.
    """
    if scenario.unlabeled is not None:
        yield unlabeled_words(len(scenario.unlabeled), asdict(scenario.unlabeled.left_out))
    elif experiment.data.unlabeled is not None:
        yield (
            "images without labels are not read: no stage learns from them, with this"
            f" configuration of {experiment.method.kind}"
        )


def certainty_table(unlabeled: Mapping[str, Any]) -> Table:
    """Return a table that counts images without labels by class. After the last task, the teacher
    assigns each image to a class; the table also counts the images of which the teacher is sure.

    Args:
        unlabeled: The entry `unlabeled` of summary.json.
    """
    title = f"The teacher's classes for {count(unlabeled['num_images'])} images without labels"
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    table.add_column("assigned", justify="right")
    table.add_column(f"sure of (from {100 * unlabeled['sure_from']:.0f} %)", justify="right")
    for row in unlabeled["classes"]:
        table.add_row(str(row["class"]), count(row["num_assigned"]), count(row["num_sure"]))
    return table
