"""`orchestrator retrain`: look for new images once and learn from them, or run a backtest.

A backtest replays images that arrived in the past.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrator.cli.options import Overrides, RetrainingFile

if TYPE_CHECKING:
    from orchestrator.config import Retraining
    from orchestrator.config.backtest import BacktestConfig

_BACKTEST = "Backtest"


def retrain(  # noqa: PLR0913, PLR0917 - the command's options
    retraining: RetrainingFile,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help=(
                "Train and decide, but change neither registry nor journal. The trained stages stay"
                " in the stage store."
            ),
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=(
                "Folder for summary.json and report.html. Default: out/retraining/NAME. With"
                " --backtest: folder for backtest.json, backtest.html and finished replays."
                " Default: out/backtest/NAME."
            ),
        ),
    ] = None,
    scheduled_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            envvar="ORCHESTRATOR_SCHEDULED_AT",
            help=(
                "Time at which this tick was due, e.g. 2026-11-22T03:00:00Z. A tick later than"
                " max_tick_age_seconds is skipped."
            ),
        ),
    ] = None,
    backtest: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help=(
                "Replay the Parquet files of FOLDER (local, s3:// or gs://) as ticks, and show how"
                " the gate would have decided at each. Registry, journal, aliases and webhook are"
                " not touched; stages are kept in the stage store. The same command resumes a"
                " killed backtest. All images without labels are available from the first tick."
            ),
            rich_help_panel=_BACKTEST,
        ),
    ] = None,
    group_by: Annotated[
        Literal["day", "hour", "week", "file", "folder"] | None,
        typer.Option(
            "--group-by",
            help=(
                "How files are grouped into ticks: by the day, hour or ISO week (UTC) in which they"
                " were written; each file alone; or each folder directly below FOLDER, in order of"
                " name. Default: day."
            ),
            rich_help_panel=_BACKTEST,
        ),
    ] = None,
    orders: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=(
                "Replay the arrivals in N shuffled orders (seeded by experiment.seed) instead of in"
                " the order of their dates."
            ),
            rich_help_panel=_BACKTEST,
        ),
    ] = None,
    wrong_labels: Annotated[
        str | None,
        typer.Option(
            "--wrong-labels",
            metavar="SHARES",
            help=(
                "Also replay with wrong labels, e.g. 0.05,0.2,1. For each share in (0, 1], this"
                " share of the images of one arrival gets another class of the same arrival: the"
                " last arrival, other than the first, with at least two new classes. With k"
                " classes, at most 1 - 1/k of the labels become wrong: at that share a label says"
                " nothing about its image."
            ),
            rich_help_panel=_BACKTEST,
        ),
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="A.B=VALUES",
            help=(
                "Also replay with each of these values, e.g."
                " gate.margin=0.01,0.05. Each replay changes one value only. May be"
                " repeated."
            ),
            rich_help_panel=_BACKTEST,
        ),
    ] = None,
) -> None:
    """Run one tick of a retraining: look for new images, learn new classes, and promote the new
    models only if they are better.

    Run it on a schedule, as often as you like. A tick without new images ends in seconds, two ticks
    at the same time do not disturb each other, and the next tick resumes a killed one. The models
    are NAME-teacher and NAME-student in MLflow's registry; those in use have the alias `champion`.

    If there are too few images to decide, the candidate is held and judged again when more images
    have arrived, or the tick asks you to decide: see `orchestrator approve` and `orchestrator
    reject`.

    The last line is the outcome: promoted, rejected, held, asked, nothing_to_do or locked, each
    with exit code 0. Exit code 2 means that a person must fix something; 3 means that a later tick
    may succeed.

    Before you start the schedule, replay past arrivals with `--backtest` to choose the gate's
    margins. It counts false alarms (good arrivals that were not promoted) and misses (champions
    trained on wrong labels). Trained stages stay in the stage store, and verdicts depend on
    predictions only. So trying other values of `gate` (with `--set`, or several with `--what-if`)
    takes seconds per tick, as long as the same arrivals are promoted.

    Examples:
    `orchestrator retrain experiments/retraining_digits.yaml`

    `orchestrator retrain experiments/retraining_digits.yaml --dry-run --set
    source.path=/data/incoming`

    `orchestrator retrain experiments/retraining_digits.yaml --backtest /data/2026 --group-by week
    --orders 5 --wrong-labels 0.05,0.2,1 --what-if gate.min_new_accuracy=0.5,0.9`
    """
    from orchestrator.cluster.ticks import tick_of
    from orchestrator.config import load_retraining

    loaded = load_retraining(retraining, overrides or [])
    due = tick_of(scheduled_at).due if scheduled_at else None
    options = {"group_by": group_by, "num_orders": orders, "wrong_labels": wrong_labels}
    config = _backtest_config(backtest, dry_run, options, what_if)
    retrainings = {"": loaded} | _alternatives(retraining, overrides or [], what_if or [])
    if loaded.experiment.execution.kind == "ray":
        from orchestrator.distributed.resources import check_room

        check_room(loaded.experiment.execution)  # report errors before slow imports
    if config is None:
        _tick(loaded, output, dry_run, due)
    else:
        _backtest(retrainings, config, output)


def _tick(loaded: Retraining, output: Path | None, dry_run: bool, due: datetime | None) -> None:
    from orchestrator.pipelines.retraining.retrain import retrain as run_tick
    from orchestrator.terminal.listeners import show, tick_listener
    from orchestrator.training.compiler import leave_triton_out

    leave_triton_out()
    listener = tick_listener()
    try:
        outcome = run_tick(loaded, output, dry_run=dry_run, scheduled_at=due, listener=listener)
    finally:
        listener.close()
    show(outcome)


def _backtest(
    retrainings: Mapping[str, Retraining], config: BacktestConfig, output: Path | None
) -> None:
    from orchestrator.pipelines.retraining.backtest import backtest
    from orchestrator.terminal.backtest import backtest_listener

    listener = backtest_listener()
    try:
        backtest(retrainings, config, output, listener)
    finally:
        listener.close()


def _backtest_config(
    folder: str | None, dry_run: bool, options: Mapping[str, object], what_if: list[str] | None
) -> BacktestConfig | None:
    """Return the configuration of the backtest; None if the command runs a tick instead.

    Raises:
        UserInputError: Two options exclude each other, or a value is out of range.
    """
    from orchestrator.config.backtest import BacktestConfig
    from orchestrator.config.validation import validated
    from orchestrator.errors import UserInputError

    given = {name: value for name, value in options.items() if value is not None}
    if folder is None:
        if given or what_if:
            raise UserInputError(
                "--group-by, --orders, --wrong-labels and --what-if need --backtest FOLDER",
                next_step="add --backtest, or omit these options",
            )
        return None
    if dry_run:
        raise UserInputError(
            "--dry-run and --backtest exclude each other",
            next_step="omit --dry-run: a backtest never changes the retraining",
        )
    return validated(BacktestConfig, {"folder": folder, **given}, "retrain --backtest")


def _alternatives(file: Path, overrides: list[str], what_if: list[str]) -> dict[str, Retraining]:
    """Return one retraining configuration for each value of `--what-if`.

    The keys are the overrides that set the values, such as `gate.min_new_accuracy=0.5`.

    Raises:
        ConfigError: A value of `--what-if` is invalid.
    """
    from orchestrator.config import load_retraining
    from orchestrator.config.backtest import alternatives

    return {
        override: load_retraining(file, [*overrides, override])
        for override in alternatives(what_if)
    }
