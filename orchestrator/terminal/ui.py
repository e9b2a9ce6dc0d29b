"""Run the web servers of the command `orchestrator ui` (MLflow and Optuna's dashboard), and print
links to their pages.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.addresses import absolute_storage, absolute_tracking_uri, sqlite_path
from orchestrator.errors import UserInputError
from orchestrator.masking import shown
from orchestrator.terminal.printable import say
from orchestrator.tracking.local_server import LocalServer, free_port, local_server, wait_for_ever
from orchestrator.tracking.preflight import check_reachable
from orchestrator.tracking.uris import SERVER_SCHEMES, experiment_url, require_supported, uri_scheme
from orchestrator.tuning.dashboard import (
    INSTALL,
    dashboard_server,
    has_studies,
    is_installed,
    require_installed,
    studies_of,
    study_path,
)

_MOST_EXPERIMENTS = 10


@dataclass(frozen=True)
class Sweeps:
    """Sweeps that Optuna's dashboard shows, and the port of the dashboard.

    Attributes:
        storage: Address of the Optuna storage; each sweep is an Optuna study.
        sweep_id: Id of the sweep whose page to link; empty to link the list of all sweeps.
        port: Port of the dashboard; 0 chooses a free port.
    """

    storage: str
    sweep_id: str = ""
    port: int = 8080


def show_ui(tracking_uri: str, port: int, sweeps: Sweeps) -> None:
    """Serve the MLflow pages of a tracking store and Optuna's dashboard of sweeps, until the user
    interrupts.

    If the tracking store is an MLflow server, no MLflow server is started, and the address of the
    server's pages is printed. The dashboard is started if it is installed and the storage has
    sweeps; otherwise the reason is printed.

    Args:
        tracking_uri: Address of the tracking store, in the form of the setting `tracking.uri`.
        port: Port of the MLflow pages; 0 chooses a free port.
        sweeps: The sweeps that the dashboard shows.

    Raises:
        UserInputError: The tracking URI is unsupported, the store has no runs yet, a port is in
            use, or the dashboard cannot show the requested sweep.
        TrackingUnavailableError: A store or a server does not answer.
    """
    require_supported(tracking_uri)
    uri, storage = absolute_tracking_uri(tracking_uri, Path.cwd()), _storage(sweeps.storage)
    _require_something(uri)
    reason = _no_dashboard(storage, is_wanted=bool(sweeps.sweep_id))
    check_reachable(uri)
    _end_with_the_terminal()
    # Check the dashboard's port before MLflow starts, so that no server runs if a port is in use.
    dashboard_port = 0 if reason else free_port(sweeps.port, "--dashboard-port")
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        servers = []
        if uri_scheme(uri) in SERVER_SCHEMES:
            say(f"an MLflow server shows its own pages: {experiment_url(uri)}")
        else:
            servers.append(_start_mlflow(stack, uri, free_port(port)))
        if reason:
            say(reason)
        else:
            servers.append(_start_dashboard(stack, storage, sweeps.sweep_id, dashboard_port))
        if servers:
            say("Press Ctrl-C to stop.")
            wait_for_ever(servers)


def _storage(storage: str) -> str:
    try:
        return absolute_storage(storage)
    except ValueError as error:
        raise UserInputError(str(error)) from None


def _no_dashboard(storage: str, *, is_wanted: bool) -> str:
    """Return the reason for not starting Optuna's dashboard; empty if there is no such reason.

    Args:
        storage: Address of the Optuna storage.
        is_wanted: Whether the user requested the page of a particular sweep.

    Raises:
        UserInputError: The user requested a sweep, and the dashboard cannot show sweeps.
    """
    if is_wanted:
        require_installed()
    elif not is_installed():
        return f"sweeps   not shown live; to install the dashboard, {INSTALL}"
    if has_studies(storage):
        return ""
    if is_wanted:
        advice = "run a sweep first, or name another storage with --storage"
        raise UserInputError("this storage has no sweeps yet", shown(storage), advice)
    return f"sweeps   none in {shown(storage)} yet"


def _start_mlflow(stack: ExitStack, uri: str, port: int) -> LocalServer:
    from orchestrator.tracking.mlflow.database import (  # noqa: PLC0415 - MLflow is slow to import
        database_ready,
    )
    from orchestrator.tracking.mlflow.ui_server import (  # noqa: PLC0415
        experiments_of,
        mlflow_program,
    )

    say(f"starting MLflow for {shown(uri)} (this takes some seconds)")
    with database_ready(uri):
        pass  # `database_ready` upgrades or rejects an old schema before the MLflow server starts
    server = stack.enter_context(local_server(mlflow_program(uri, port), port))
    say("\n".join(link_lines(server.url, experiments_of(server))))
    return server


def _start_dashboard(stack: ExitStack, storage: str, sweep_id: str, port: int) -> LocalServer:
    say(f"starting Optuna's dashboard for {shown(storage)}")
    server = stack.enter_context(dashboard_server(storage, port))
    path = study_path(studies_of(server), sweep_id) if sweep_id else "/dashboard"
    say(f"sweeps   {server.url}{path}")
    return server


def link_lines(url: str, experiments: Sequence[dict[str, Any]]) -> list[str]:
    """Return lines with a link to each experiment and links to its saved views. If there are more
    than ten experiments, only the first ten have links of their own. Unless there is exactly one
    experiment, the first line links to the list of all experiments.
    """
    from orchestrator.tracking.mlflow.saved_views import (  # noqa: PLC0415 - loads MLflow
        view_names,
        view_url,
    )
    from orchestrator.tracking.views.comparisons import runs_first  # noqa: PLC0415

    lines = [f"MLflow   {experiment_url(url)}"] if len(experiments) != 1 else []
    for experiment in experiments[:_MOST_EXPERIMENTS]:
        experiment_id, tags = (
            experiment["experiment_id"],
            {tag["key"]: tag["value"] for tag in experiment.get("tags", [])},
        )
        lines.append(f"{experiment['name']}   {experiment_url(url, experiment_id)}")
        lines += [
            f"  {name}   {view_url(url, experiment_id, view_id)}"
            for view_id, name in sorted(
                view_names(tags).items(), key=lambda view: runs_first(view[0])
            )
        ]
    if len(experiments) > _MOST_EXPERIMENTS:
        lines.append(f"and {len(experiments) - _MOST_EXPERIMENTS} more experiments")
    return lines


def _require_something(uri: str) -> None:
    path = sqlite_path(uri)
    if path is not None and not (path.is_file() and path.stat().st_size):
        advice = (
            "run an experiment first, or name another store with --tracking-uri or"
            " MLFLOW_TRACKING_URI"
        )
        raise UserInputError("no run was tracked here yet", str(path), advice)


def _end_with_the_terminal() -> None:
    """Stop the servers when the terminal closes (SIGHUP), in the same way as on SIGTERM. A process
    that was started with `nohup` keeps ignoring SIGHUP.
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
