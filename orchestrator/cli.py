"""The command line: parses first and imports heavy modules after, so that `--help` and `validate` answer at once."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from orchestrator.errors import InterruptedRunError, OrchestratorError, UserInputError

app = typer.Typer(
    name="orchestrator",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Image classifiers that keep learning new classes: a continually taught teacher, and a smaller student distilled from it.\n\n"
        "Start with `orchestrator run experiments/digits.yaml`.\n\n"
        "Exit codes: 0 done, 2 the input is wrong, 3 something is unreachable (try again), 1 a bug, 130 interrupted."
    ),
)

ExperimentFile = Annotated[Path, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=VALUE", help="Override a value of the file, e.g. `--set teacher.training.epochs=10`. May be repeated."
    ),
]
TrackingUri = Annotated[str, typer.Option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", metavar="URI", help="The MLflow store.")]
DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"


@app.command()
def run(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for summary.json and pictures. Default: out/NAME-RUN_ID.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the run in MLflow. Default: name, method and seed.")] = None,
) -> None:
    """Run an experiment: teach the teacher task by task, distil the student, track everything in MLflow.

    Shows progress while it runs; ends with both accuracy matrices, the final metrics, the path of summary.json and the command
    that opens the run in the MLflow UI.

    Examples:
    `orchestrator run experiments/digits.yaml`

    `orchestrator run experiments/digits.yaml --set seed=1 --set scenario.max_images_per_class=10`

    `orchestrator run experiments/digits.yaml --set method.kind=finetuning --output out/finetuning`
    """
    from orchestrator.config import load_experiment

    loaded = load_experiment(experiment, overrides or [])
    if loaded.execution.kind == "ray":
        from orchestrator.distributed.resources import check_room

        check_room(loaded.execution)  # before anything heavy is imported

    from rich.console import Console

    from orchestrator.pipelines.run import run as run_experiment
    from orchestrator.terminal.run import TerminalListener

    # without a terminal there is no width to keep to
    listener = TerminalListener(Console(width=None if sys.stdout.isatty() else 120))
    try:
        run_experiment(loaded, output, name, listener)
    finally:
        listener.close()


@app.command()
def sweep(
    search_space: Annotated[Path, typer.Argument(metavar="SEARCH_SPACE.yaml", help="What varies, how, and what is made best.")],
    experiment: Annotated[Path, typer.Option("--experiment", metavar="EXPERIMENT.yaml", help="What is the same for all trials.")],
    overrides: Overrides = None,
    num_trials: Annotated[int | None, typer.Option(min=1, metavar="N", help="Configurations to try, instead of the file's.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for ledger, summary.json, best.yaml and pictures. Default: out/sweeps/NAME.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the sweep in that folder; budget and space may have changed.")
    ] = False,
) -> None:
    """Try many configurations of an experiment side by side, and find the best.

    Stages that trials have in common are computed once. The sweep ends with best.yaml, an experiment file that gives the best
    trial's numbers when it is run, with a leaderboard and pictures; in MLflow the sweep is a run with one child a trial.

    After a crash, Ctrl-C or a spent budget, the same command with `--resume` goes on: finished trials are not repeated.

    Examples:
    `orchestrator sweep search_spaces/smoke.yaml --experiment experiments/digits.yaml`

    `orchestrator sweep search_spaces/tssr_thresholds.yaml --experiment experiments/digits.yaml --num-trials 32 --resume`
    """
    from orchestrator.config import load_experiment, load_search_space

    loaded_space, loaded = load_search_space(search_space, num_trials), load_experiment(experiment, overrides or [])

    from orchestrator.tuning.share import check_trial_fits

    check_trial_fits(loaded.execution)  # before anything heavy is imported

    from rich.console import Console

    from orchestrator.pipelines.sweep import sweep as run_sweep
    from orchestrator.terminal.sweep import TerminalSweepListener

    listener = TerminalSweepListener(Console(width=None if sys.stdout.isatty() else 120), loaded.tracking.uri)
    try:
        run_sweep(loaded_space, loaded, output, resume, listener)
    finally:
        listener.close()


@app.command()
def validate(files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Experiment and search space files.")]) -> None:
    """Check experiment and search space files and say what is wrong, without running anything (and without loading torch).

    Every file is checked; the exit code is 2 when one of them is wrong.
    """
    from orchestrator.config import load_any

    failed = False
    for file in files:
        try:
            load_any(file)
            typer.echo(f"{file}: valid")
        except UserInputError as error:
            typer.echo(str(error), err=True)
            failed = True
    if failed:
        raise typer.Exit(UserInputError.exit_code)


@app.command()
def plan(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    search_space: Annotated[
        Path | None, typer.Option("--search-space", metavar="FILE", help="Plan a sweep of this search space over the experiment.")
    ] = None,
) -> None:
    """Say what a run or a sweep would compute, what is stored already, what it needs and roughly costs. Starts nothing.

    Estimates come from the measured times of stages in the same store: seconds per epoch and training image. They are rough.

    Examples:
    `orchestrator plan experiments/digits.yaml`

    `orchestrator plan experiments/digits.yaml --set student.training.epochs=80 --set execution.student.num_train_workers=2`

    `orchestrator plan experiments/digits.yaml --search-space search_spaces/tssr_thresholds.yaml`
    """
    from orchestrator.config import load_experiment, load_search_space

    loaded_space = None if search_space is None else load_search_space(search_space)
    loaded = load_experiment(experiment, overrides or [])

    from rich.console import Console

    from orchestrator.terminal.plan import show_plan, show_sweep_plan

    console = Console(width=None if sys.stdout.isatty() else 120)
    if loaded_space is None:
        from orchestrator.pipelines.plan import plan as plan_experiment

        show_plan(plan_experiment(loaded), console)
    else:
        from orchestrator.pipelines.sweep_plan import plan_sweep

        show_sweep_plan(plan_sweep(loaded_space, loaded), console)


@app.command()
def gc(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[EXPERIMENT.yaml]...", help="Experiments whose stages stay, whatever their age.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="URI", help="The stage store. Default: that of the experiments, or else .orchestrator/store.")
    ] = None,
    unused_days: Annotated[
        int, typer.Option(min=0, max=36500, metavar="N", help="Remove what nobody used for N days; 0 means for an hour.")
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove from the stage store what nobody has used for N days.

    That is stages and their evaluations, epoch checkpoints of runs that nobody went on with, and what interrupted writers left.
    A run that needs a removed stage computes it again. The stages of the experiments named here stay: those of the files as they
    are, without `--set`.

    Examples:
    `orchestrator gc --dry-run`

    `orchestrator gc experiments/digits.yaml --unused-days 7`

    `orchestrator gc --store s3://bucket/stages --unused-days 90`
    """
    from orchestrator.config import load_experiment
    from orchestrator.config.experiment import StoreConfig

    experiments = [load_experiment(file) for file in files or []]
    if store == "":
        raise UserInputError("--store is empty", next_step="give a local folder, s3:// or gs:// address, or leave it out")
    uris = [] if store is None and experiments else [StoreConfig(uri=store).uri if store else StoreConfig().uri]

    from orchestrator.pipelines.collect_garbage import collect_garbage
    from orchestrator.terminal.garbage import garbage_lines

    for report in collect_garbage(uris, experiments, unused_days, dry_run):
        typer.echo("\n".join(garbage_lines(report, dry_run)))


@app.command()
def reconcile(
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    spool: Annotated[Path, typer.Option(metavar="DIR", help="Where numbers wait that a tracking store did not take yet.")] = Path(
        ".orchestrator/spool"
    ),
) -> None:
    """Send to MLflow what waits on this machine, and close runs whose process is gone.

    While a tracking store does not answer, runs keep their numbers in the spool; the rest of a run that ended meanwhile, or was killed,
    is sent by this command (and by the next `run` or `sweep` with that store). Runs whose process was killed become FAILED, with the
    reason.

    Exit code 3 when a store still does not answer: what waits for it waits on.

    Examples:
    `orchestrator reconcile`

    `orchestrator reconcile --tracking-uri http://mlflow:5000 --spool /data/spool`
    """
    from orchestrator.pipelines.reconcile import reconcile as put_in_order
    from orchestrator.terminal.reconciliation import reconciliation_lines

    found = put_in_order(tracking_uri, spool.absolute())
    for line in reconciliation_lines(found):
        typer.echo(line)
    found.raise_error()


@app.command()
def ui(
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Where to listen on 127.0.0.1; 0 takes a free port.")] = 5000,
) -> None:
    """Show the runs in MLflow: start its server on this machine, print the links to the runs and to the saved views.

    Ctrl-C ends it. Where the store is an MLflow server, nothing is started: the address of its pages is printed.

    Examples:
    `orchestrator ui`

    `orchestrator ui --tracking-uri sqlite:////data/mlflow.db --port 5001`
    """
    from orchestrator.terminal.ui import show_ui

    show_ui(tracking_uri, port)


@app.command()
def report(
    run_id: Annotated[str, typer.Argument(metavar="RUN_OR_SWEEP_ID", help="The id that MLflow shows, or its first letters.")],
    output: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Default: out/reports/NAME-ID.html.")] = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Write the report of a run or a sweep: one HTML file with everything in it, to be mailed, printed or kept.

    Of a run: the final numbers, both accuracy matrices, curves, cost, what was configured, and how it stands beside other methods on the
    same data. Of a sweep: the leaderboard, which parameters matter, cost, and what sharing saved. A run that still goes on, or has failed,
    gives a report of what there is. The file needs no network, follows the reader's light or dark, and its path is printed.

    Examples:
    `orchestrator report 3f2a9c1e`

    `orchestrator report 3f2a9c1e --output report.html --tracking-uri http://mlflow:5000`
    """
    from orchestrator.pipelines.report import report as write_report

    typer.echo(write_report(run_id, tracking_uri, output))


@app.command()
def compare(
    run_ids: Annotated[
        list[str], typer.Argument(metavar="RUN_ID RUN_ID...", help="Two runs or more; the first is what they are compared with.")
    ],
    output: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Default: out/reports/compare-IDS.html.")] = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Write several runs side by side into one HTML file: first what was configured differently, then what came of it.

    Final numbers with their differences to the first run, curves of all runs in one chart, accuracy matrices with what each has over the
    first. Where runs learned other data or more tasks, the page says so on top.

    Examples:
    `orchestrator compare 3f2a9c1e 77b0d4e2`

    `orchestrator compare 3f2a9c1e 77b0d4e2 91c3aa05 --output comparison.html`
    """
    from orchestrator.pipelines.report import compare as write_comparison

    typer.echo(write_comparison(run_ids, tracking_uri, output))


def main() -> NoReturn:
    """Runs the command line and turns every error into its message and exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app()
    except OrchestratorError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", InterruptedRunError.exit_code)
    except BrokenPipeError:
        # whoever read our output has left; nothing more can be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception:  # noqa: BLE001 - the last resort: a bug in this program
        traceback.print_exc()
        _fail("this is a bug; please report it with the lines above", 1)
    sys.exit(0)


def _terminated(signal_number: int, _frame: object) -> NoReturn:
    """SIGTERM ends a run as Ctrl-C does: closed in MLflow, exit code 130. No `except Exception` on the way can swallow it."""
    raise KeyboardInterrupt(f"ended by signal {signal_number}")


def _fail(message: str, exit_code: int) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(exit_code)
