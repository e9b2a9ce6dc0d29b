"""`orchestrator submit`: run a command as a job on Kubernetes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from orchestrator.cli.options import ClusterFile, Namespace, Overrides
from orchestrator.terminal.printable import say


def submit(  # noqa: PLR0913, PLR0917 - the command's options
    what: Annotated[
        Literal["run", "sweep", "retrain"],
        typer.Argument(metavar="run|sweep|retrain", help="The command to run on Kubernetes."),
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help=(
                "The files of the command: EXPERIMENT.yaml for run, SEARCH_SPACE.yaml"
                " EXPERIMENT.yaml for sweep, RETRAINING.yaml for retrain."
            ),
        ),
    ],
    overrides: Overrides = None,
    experiment: Annotated[
        Path | None,
        typer.Option(
            "--experiment",
            metavar="EXPERIMENT.yaml",
            help="With sweep: the experiment file, as for `orchestrator sweep`.",
        ),
    ] = None,
    num_trials: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="With sweep: number of trials, instead of the file's number."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=(
                "With run: name of the run in MLflow. Default: made from experiment name, method"
                " and seed."
            ),
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help=(
                "Folder of the job's files, on the volume of the pods. Default: a folder of"
                " this job, which `orchestrator status` names."
            ),
        ),
    ] = None,
    resume: Annotated[  # noqa: ARG001 - accepted, for `sweep` takes it
        bool,
        typer.Option(
            "--resume", help="With sweep: has no effect, as a job always resumes its sweep."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the YAML for `kubectl apply -f -`; send nothing."),
    ] = False,
    schedule: Annotated[
        str | None,
        typer.Option(
            metavar="CRON",
            help="With retrain: create a schedule that runs ticks, e.g. '0 3 * * *' at 3 o'clock.",
        ),
    ] = None,
    ray_cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="NAME",
            help="Use this running RayCluster. Default: the job starts its own.",
        ),
    ] = None,
    cluster_config: ClusterFile = None,
    namespace: Namespace = None,
) -> None:
    """Run an experiment, a sweep or a retraining on Kubernetes, as a RayJob, and follow it.

    The job's name depends on its content, so submitting the same command again follows the same
    job. A failed job is started again and reuses the stages in the stage store. Ctrl-C stops
    following, but the job keeps running. The exit code is that of the job.

    Examples:
    `orchestrator submit run experiments/digits.yaml`

    `orchestrator submit sweep search_spaces/tssr_thresholds.yaml --experiment
    experiments/digits.yaml --cluster-config cluster.yaml`

    `orchestrator submit retrain experiments/retraining_digits.yaml --set
    source.path=s3://bucket/incoming --schedule "0 3 * * *"`

    `orchestrator submit run experiments/digits.yaml --dry-run | kubectl apply -f -`
    """
    from orchestrator.cluster.names import SCHEDULE_VARIABLE, TICK_VARIABLE
    from orchestrator.cluster.submissions import Request, render
    from orchestrator.cluster.ticks import tick_of_job
    from orchestrator.config import load_cluster

    cluster = load_cluster(cluster_config, namespace)
    moment = os.environ.get(TICK_VARIABLE)
    its_schedule = os.environ.get(SCHEDULE_VARIABLE, "")
    tick = tick_of_job(moment, its_schedule) if moment and schedule is None else None
    named = [*files, *([experiment] if experiment else [])]
    request = Request(
        what, named, overrides or [], schedule, ray_cluster, tick, num_trials, name, output
    )
    submission = render(request, cluster)

    if dry_run:
        from orchestrator.cluster.documents import as_yaml

        say(as_yaml(submission.manifests), nl=False)
        return

    from orchestrator.cluster.client import KubernetesClient
    from orchestrator.pipelines.cluster.submit import prune
    from orchestrator.pipelines.cluster.submit import submit as send_and_follow
    from orchestrator.terminal.cluster import TerminalJobListener
    from orchestrator.terminal.lines import line_writer

    client, listener = (
        KubernetesClient(cluster.namespace),
        TerminalJobListener(line_writer(), cluster.tracking),
    )
    state = send_and_follow(submission, client, listener, tick)
    if state is None:
        return
    listener.finished(state)
    if tick is not None and tick.schedule:
        prune(client, tick.schedule, cluster.schedule.keep_finished)
    raise typer.Exit(state.exit_code)
