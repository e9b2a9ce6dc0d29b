"""Show the cuts of a teacher's backbone. A cut is a stage (group of layers) of the backbone that
can be the last one that a student inherits; the student then omits all later stages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from orchestrator.reporting.quantities import NOTHING, count, percent, short_count

if TYPE_CHECKING:
    from orchestrator.models.backbones import Cost, Cuts

_LEFT = {"until", "map"}
_COLUMNS = (
    "until",
    "channels",
    "map",
    "features",
    "parameters",
    "of teacher",
    "multiply-adds",
    "of teacher",
    "latency",
)


def cuts_table(cuts: Cuts, chosen: str | None) -> Table:
    """Return a table with one row per cut (last backbone stage that a student inherits). A row has
    the size of the stage's output, and the number of parameters, the multiply-adds and the
    latency of the inherited layers. The last row shows the whole teacher for comparison.

    Args:
        cuts: The cuts of the backbone.
        chosen: The cut that the experiment uses; None if the student inherits no layers.
    """
    title = "Layers that a student can inherit, without classifier"
    table = Table(title=title, title_justify="left", caption=_caption(cuts), caption_justify="left")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in _LEFT else "right")
    for cut in cuts.cuts:
        height, width = cut.map_size
        name = f"{cut.stage} (chosen)" if cut.stage == chosen else cut.stage
        size = (count(cut.num_channels), f"{height}x{width}", count(cut.num_features))
        table.add_row(name, *size, *_cells(cut.cost, cuts.whole))
    table.add_row("teacher, whole", "", "", "", *_cells(cuts.whole, cuts.whole))
    return table


def cut_line(cuts: Cuts, chosen: str) -> str:
    """Return a line with the cut that an experiment uses (the last backbone stage that the student
    inherits), and with the number of parameters and multiply-adds of the inherited layers. If
    `cuts` has only this cut, the line also says how to see all cuts.
    """
    [cost] = [cut.cost for cut in cuts.cuts if cut.stage == chosen]
    parameters = percent(cost.num_parameters / cuts.whole.num_parameters)
    work = percent(cost.num_multiply_adds / cuts.whole.num_multiply_adds)
    hint = "; --cuts shows the other cuts" if len(cuts.cuts) == 1 else ""
    return (
        f"inherits until {chosen}: {count(cost.num_parameters)} parameters ({parameters} of the"
        f" teacher's), {short_count(cost.num_multiply_adds)} multiply-adds per image ({work})"
        + (", in two passes" if cuts.mirrored else "")
        + hint
    )


def _cells(cost: Cost, whole: Cost) -> tuple[str, ...]:
    seconds = cost.latency_seconds
    return (
        count(cost.num_parameters),
        percent(cost.num_parameters / whole.num_parameters),
        short_count(cost.num_multiply_adds),
        percent(cost.num_multiply_adds / whole.num_multiply_adds),
        NOTHING if seconds is None else f"{1000 * seconds:.1f} ms",
    )


def _caption(cuts: Cuts) -> str:
    looks = "; each image passes the backbone twice, as it is and mirrored" if cuts.mirrored else ""
    return f"Multiply-adds and latency per image, on one thread of this machine{looks}."
