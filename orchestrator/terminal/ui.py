"""Run the servers of `orchestrator ui`, and print their links."""

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
    """Sweeps that Optuna's dashboard shows.

    Attributes:
        storage: The Optuna storage of the sweeps' studies.
        sweep_id: Id of the sweep whose page to link; empty to link all sweeps.
        port: Port of the dashboard; 0 chooses a free one.
    """

    storage: str
    sweep_id: str = ""
    port: int = 8080


def show_ui(tracking_uri: str, port: int, sweeps: Sweeps) -> None:
    """Serve the pages of a tracking store and of its sweeps until interrupted; for an MLflow
    server, print the address of its pages.

    Args:
        tracking_uri: Address of the tracking store, as for `tracking.uri` in an experiment.
        port: Port of the MLflow UI; 0 chooses a free one.
        sweeps: The sweeps that the dashboard shows.

    Raises:
        UserInputError: The URI cannot hold runs, no run was tracked there yet, a port is in use,
            or the requested sweep cannot be shown.
        TrackingUnavailableError: A store or a server does not answer.
    """
    require_supported(tracking_uri)
    uri, storage = absolute_tracking_uri(tracking_uri, Path.cwd()), _storage(sweeps.storage)
    _require_something(uri)
    reason = _no_dashboard(storage, is_wanted=bool(sweeps.sweep_id))
    check_reachable(uri)
    _end_with_the_terminal()
    # check both ports before a server starts
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
    """Return why the dashboard is not started; empty if it is started.

    Raises:
        UserInputError: A sweep's page is requested, and the dashboard cannot show it.
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
        pass  # upgrade a schema that the server would reject, or explain why that fails
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
    """Return the links to every experiment and its saved views; if there are many experiments, to
    the first ones and to the list of all.
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
    """Stop the server when the terminal closes, as for Ctrl-C, unless this process was started to
    ignore SIGHUP (nohup).
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
