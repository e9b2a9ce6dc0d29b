"""Commands that learn, and those around them: run, sweep, plan, validate, gc."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.application import ExperimentFile, Overrides, app
from orchestrator.errors import UserInputError


@app.command()
def run(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for summary.json and pictures. Default: out/NAME-RUN_ID."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name of the run in MLflow. Default: name, method and seed."
        ),
    ] = None,
) -> None:
    """Run an experiment: teach the teacher task by task, distil the student, track everything in
    MLflow.

    Shows progress while it runs; ends with both accuracy matrices, the final metrics, the path of
    summary.json and the command that opens the run in the MLflow UI.

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

    from orchestrator.pipelines.run.run import run as run_experiment
    from orchestrator.terminal.listeners import run_listener

    listener = run_listener()
    try:
        run_experiment(loaded, output, name, listener)
    finally:
        listener.close()


@app.command()
def sweep(  # noqa: PLR0913, PLR0917 - the command's options
    search_space: Annotated[
        Path,
        typer.Argument(
            metavar="SEARCH_SPACE.yaml", help="What varies, how, and what is made best."
        ),
    ],
    experiment: Annotated[
        Path,
        typer.Option(
            "--experiment", metavar="EXPERIMENT.yaml", help="What is the same for all trials."
        ),
    ],
    overrides: Overrides = None,
    num_trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Configurations to try, instead of the file's."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=(
                "Folder for ledger, summary.json, best.yaml and pictures. Default: out/sweeps/NAME."
            ),
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the sweep in that folder; budget and space may have changed.",
        ),
    ] = False,
    resume_if_begun: Annotated[
        bool,
        typer.Option(
            "--resume-if-begun",
            help="The same where there is one, else begin: for what starts commands by itself.",
        ),
    ] = False,
) -> None:
    """Try many configurations of an experiment side by side, and find the best.

    Stages that trials have in common are computed once. The sweep ends with best.yaml, an
    experiment file that gives the best trial's numbers when it is run, with a leaderboard and
    pictures; in MLflow the sweep is a run with one child a trial.

    After a crash, Ctrl-C or a spent budget, the same command with `--resume` goes on: finished
    trials are not repeated.

    Examples:
    `orchestrator sweep search_spaces/smoke.yaml --experiment experiments/digits.yaml`

    `orchestrator sweep search_spaces/tssr_thresholds.yaml --experiment experiments/digits.yaml
    --num-trials 32 --resume`
    """
    from orchestrator.config import load_experiment, load_search_space

    loaded_space, loaded = (
        load_search_space(search_space, num_trials),
        load_experiment(experiment, overrides or []),
    )

    from orchestrator.tuning.share import check_trial_fits

    check_trial_fits(loaded.execution)  # before anything heavy is imported

    from orchestrator.pipelines.sweep.sweep import sweep as run_sweep
    from orchestrator.terminal.listeners import sweep_listener

    listener = sweep_listener(loaded.tracking.uri)
    try:
        run_sweep(loaded_space, loaded, output, None if resume_if_begun else resume, listener)
    finally:
        listener.close()


@app.command()
def plan(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    search_space: Annotated[
        Path | None,
        typer.Option(
            "--search-space",
            metavar="FILE",
            help="Plan a sweep of this search space over the experiment.",
        ),
    ] = None,
) -> None:
    """Say what a run or a sweep would compute, what is stored already, what it needs and roughly
    costs. Starts nothing.

    Estimates come from the measured times of stages in the same store: seconds per epoch and
    training image. They are rough.

    Examples:
    `orchestrator plan experiments/digits.yaml`

    `orchestrator plan experiments/digits.yaml --set student.training.epochs=80 --set
    execution.student.num_train_workers=2`

    `orchestrator plan experiments/digits.yaml --search-space search_spaces/tssr_thresholds.yaml`
    """
    from orchestrator.config import load_experiment, load_search_space

    loaded_space = None if search_space is None else load_search_space(search_space)
    loaded = load_experiment(experiment, overrides or [])

    from orchestrator.terminal.console import new_console
    from orchestrator.terminal.plan import show_plan, show_sweep_plan

    console = new_console()
    if loaded_space is None:
        from orchestrator.pipelines.planning.plan import plan as plan_experiment

        show_plan(plan_experiment(loaded), console)
    else:
        from orchestrator.pipelines.planning.sweep_plan import plan_sweep

        show_sweep_plan(plan_sweep(loaded_space, loaded), console)


@app.command()
def validate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Experiment, search space and retraining files."),
    ],
) -> None:
    """Check experiment, search space and retraining files and say what is wrong, without running
    anything (and without loading torch).

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
def gc(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[EXPERIMENT.yaml]...",
            help="Experiments whose stages stay, whatever their age.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="The stage store. Default: that of the experiments, or else .orchestrator/store.",
        ),
    ] = None,
    unused_days: Annotated[
        int,
        typer.Option(
            min=0,
            max=36500,
            metavar="N",
            help="Remove what nobody used for N days; 0 means for an hour.",
        ),
    ] = 30,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")
    ] = False,
) -> None:
    """Remove from the stage store what nobody has used for N days.

    That is stages and their evaluations, tables of a pre-trained extractor's features, epoch
    checkpoints of runs that nobody went on with, and what interrupted writers left. A run that
    needs what was removed computes it again. The stages of the experiments named here stay, and
    their tables: those of the files as they are, without `--set`.

    Examples:
    `orchestrator gc --dry-run`

    `orchestrator gc experiments/digits.yaml --unused-days 7`

    `orchestrator gc --store s3://bucket/stages --unused-days 90`
    """
    from orchestrator.config import load_experiment
    from orchestrator.config.experiment import StoreConfig

    experiments = [load_experiment(file) for file in files or []]
    if store == "":
        raise UserInputError(
            "--store is empty",
            next_step="give a local folder, s3:// or gs:// address, or leave it out",
        )
    uris = (
        []
        if store is None and experiments
        else [StoreConfig(uri=store).uri if store else StoreConfig().uri]
    )

    from orchestrator.pipelines.store.collect_garbage import collect_garbage
    from orchestrator.terminal.garbage import garbage_lines

    for report in collect_garbage(uris, experiments, unused_days, dry_run):
        typer.echo("\n".join(garbage_lines(report, dry_run)))
