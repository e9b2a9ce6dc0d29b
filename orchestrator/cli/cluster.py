"""Commands for jobs on Kubernetes: submit, status, cancel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrator.cli.application import Overrides, app

if TYPE_CHECKING:
    from orchestrator.config.cluster import ClusterConfig

ClusterFile = Annotated[
    Path | None,
    typer.Option(
        "--cluster-config",
        envvar="ORCHESTRATOR_CLUSTER_CONFIG",
        metavar="FILE",
        help="Image, storage, sizes and deadlines. Default: what k8s/base installs.",
    ),
]
Namespace = Annotated[
    str | None, typer.Option(metavar="NS", help="Where jobs run, instead of the file's.")
]
JobName = Annotated[str, typer.Argument(metavar="NAME", help="As `submit` and `status` show it.")]


@app.command()
def submit(  # noqa: PLR0913, PLR0917 - the command's options
    what: Annotated[
        Literal["run", "sweep", "retrain"],
        typer.Argument(metavar="run|sweep|retrain", help="The command to run there."),
    ],
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="EXPERIMENT.yaml; or SEARCH_SPACE.yaml EXPERIMENT.yaml; or RETRAINING.yaml.",
        ),
    ],
    overrides: Overrides = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print YAML for `kubectl apply -f -`, and send nothing."),
    ] = False,
    schedule: Annotated[
        str | None,
        typer.Option(metavar="CRON", help="With retrain: run a tick whenever this is due."),
    ] = None,
    ray_cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster", metavar="NAME", help="A RayCluster that is up, instead of one of its own."
        ),
    ] = None,
    cluster_config: ClusterFile = None,
    namespace: Namespace = None,
) -> None:
    """Run an experiment, a sweep or a retraining on Kubernetes, as a RayJob, and follow it.

    The job is called by what it holds: submitted twice it is one job, and the second command
    follows it again. One that has failed starts again, and goes on from what is in the stage store.
    Ctrl-C stops following, not the job. The exit code is the job's.

    Examples:
    `orchestrator submit run experiments/digits.yaml`

    `orchestrator submit sweep search_spaces/tssr_thresholds.yaml experiments/digits.yaml
    --cluster-config cluster.yaml`

    `orchestrator submit retrain experiments/retraining_digits.yaml --set
    source.path=s3://bucket/incoming --schedule "0 3 * * *"`

    `orchestrator submit run experiments/digits.yaml --dry-run | kubectl apply -f -`
    """
    from orchestrator.cluster.names import TICK_VARIABLE
    from orchestrator.cluster.submissions import Request, render
    from orchestrator.cluster.ticks import tick_of

    cluster = _cluster(cluster_config, namespace)
    moment = os.environ.get(TICK_VARIABLE)
    tick = tick_of(moment) if moment and schedule is None else None
    submission = render(Request(what, files, overrides or [], schedule, ray_cluster, tick), cluster)

    if dry_run:
        from orchestrator.cluster.documents import as_yaml

        typer.echo(as_yaml(submission.manifests), nl=False)
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


@app.command()
def status(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One job or schedule; all where it is left out."),
    ] = None,
    cluster_config: ClusterFile = None,
    namespace: Namespace = None,
) -> None:
    """Show how jobs on Kubernetes stand: all of a namespace, or one.

    Examples:
    `orchestrator status`

    `orchestrator status run-digits-0a1b2c3d4e`
    """
    from orchestrator.cluster.client import KubernetesClient
    from orchestrator.pipelines.cluster.submit import list_jobs, state_of
    from orchestrator.terminal.cluster import jobs_table, state_lines
    from orchestrator.terminal.console import new_console

    client = KubernetesClient(_cluster(cluster_config, namespace).namespace)
    if name is not None:
        typer.echo("\n".join(state_lines(state_of(client, name))))
        return
    jobs = list_jobs(client)
    if not jobs.jobs and not jobs.schedules:
        typer.echo(f"no jobs in the namespace {client.namespace}")
        return
    new_console(160).print(jobs_table(jobs))


@app.command()
def cancel(name: JobName, cluster_config: ClusterFile = None, namespace: Namespace = None) -> None:
    """End a job on Kubernetes, or take a schedule away. What is in the stage store stays: the same
    submission goes on from there.

    Example:
    `orchestrator cancel run-digits-0a1b2c3d4e`
    """
    from orchestrator.cluster.client import KubernetesClient
    from orchestrator.pipelines.cluster.submit import cancel as end
    from orchestrator.terminal.cluster import cancelled_lines

    client = KubernetesClient(_cluster(cluster_config, namespace).namespace)
    typer.echo("\n".join(cancelled_lines(*end(client, name))))


def _cluster(file: Path | None, namespace: str | None) -> ClusterConfig:
    from orchestrator.config import load_cluster

    return load_cluster(file, namespace)
