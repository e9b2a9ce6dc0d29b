"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ExperimentFile = Annotated[
    Path,
    typer.Argument(metavar="EXPERIMENT.yaml", help="Experiment file: data, tasks, models, method."),
]
RetrainingFile = Annotated[
    Path,
    typer.Argument(
        metavar="RETRAINING.yaml", help="Retraining file: experiment, image source, gate."
    ),
]
CandidateVersion = Annotated[
    int | None,
    typer.Argument(
        metavar="VERSION",
        min=1,
        help="Version of the student in MLflow's registry. Default: the held candidate.",
    ),
]
Reason = Annotated[
    str,
    typer.Option(metavar="TEXT", help="Reason in a few words; stored in the journal and in a tag."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=VALUE",
        help=(
            "Override one value of the file, e.g. `--set teacher.training.epochs=10`. May be"
            " repeated."
        ),
    ),
]

# options that are shared by the commands that read MLflow
TrackingUri = Annotated[
    str,
    typer.Option(
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        metavar="URI",
        help="The MLflow store: a database or the address of a server.",
    ),
]
DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
DEFAULT_STORAGE = "sqlite:///.orchestrator/studies.db"

# options that are shared by the commands on data sets
Root = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="With torchvision:NAME: the folder that holds the data set's files."
    ),
]
Download = Annotated[
    bool,
    typer.Option(
        "--download",
        help="With torchvision:NAME: download missing files. Needs a network connection.",
    ),
]
TestFraction = Annotated[
    float | None,
    typer.Option(
        "--test-fraction",
        min=0.01,
        max=0.99,
        metavar="F",
        help=(
            "Fraction of each class that becomes test data if the source has none. Default: 0.2, or"
            " 0.3 for digits."
        ),
    ),
]

# options that are shared by the commands on Kubernetes jobs
ClusterFile = Annotated[
    Path | None,
    typer.Option(
        "--cluster-config",
        envvar="ORCHESTRATOR_CLUSTER_CONFIG",
        metavar="FILE",
        help=(
            "YAML file with container image, storage, pod sizes and deadlines. Default: the set-up"
            " that k8s/base installs."
        ),
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        metavar="NS",
        help="Kubernetes namespace of the jobs, instead of the one in the cluster configuration.",
    ),
]
JobName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name of the job or schedule, as `submit` and `status` show it."
    ),
]
