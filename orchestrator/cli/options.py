"""Options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ExperimentFile = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment file.")
]
RetrainingFile = Annotated[
    Path, typer.Argument(metavar="RETRAINING.yaml", help="The retraining file.")
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
    str, typer.Option(metavar="TEXT", help="Kept with the versions and in the journal.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=VALUE",
        help=(
            "Override a value of the file, e.g. `--set teacher.training.epochs=10`. May be"
            " repeated."
        ),
    ),
]

# of the commands that read MLflow
TrackingUri = Annotated[
    str,
    typer.Option(
        "--tracking-uri", envvar="MLFLOW_TRACKING_URI", metavar="URI", help="The MLflow store."
    ),
]
DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
DEFAULT_STORAGE = "sqlite:///.orchestrator/studies.db"

# of the commands on data sets
Root = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="With torchvision:NAME: the folder with its files."),
]
Download = Annotated[
    bool,
    typer.Option(
        "--download", help="With torchvision:NAME: download what is missing. Needs a network."
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
            "Share of each class that becomes test data where there is none; 0.2, of the digits"
            " 0.3, if not given."
        ),
    ),
]

# of the commands for jobs on Kubernetes
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
