"""`orchestrator ui` as a person sees it: where to look, while the server runs."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.config.addresses import absolute_tracking_uri, sqlite_path
from orchestrator.errors import UserInputError
from orchestrator.masking import shown
from orchestrator.terminal.printable import say
from orchestrator.tracking.mlflow.ui_server import free_port, ui_server
from orchestrator.tracking.preflight import check_reachable
from orchestrator.tracking.uris import SERVER_SCHEMES, experiment_url, require_supported, uri_scheme

_MOST_EXPERIMENTS = 10


def show_ui(tracking_uri: str, port: int) -> None:
    """Serves the pages of a store until it is interrupted; for an MLflow server, says where its
    pages are.

    Args:
        tracking_uri: As `tracking.uri` in an experiment.
        port: On which to serve; 0 takes a free one.

    Raises:
        UserInputError: The URI cannot hold runs, nothing was tracked there yet, or the port is in
            use.
        TrackingUnavailableError: The store or the server does not answer.
    """
    require_supported(tracking_uri)
    uri = absolute_tracking_uri(tracking_uri, Path.cwd())
    _require_something(uri)
    check_reachable(uri)
    if uri_scheme(uri) in SERVER_SCHEMES:
        say(f"an MLflow server shows its own pages: {experiment_url(uri)}")
        return
    _end_with_the_terminal()
    with suppress(KeyboardInterrupt):
        _serve(uri, free_port(port))


def _serve(uri: str, port: int) -> None:
    from orchestrator.tracking.mlflow.database import (  # noqa: PLC0415 - MLflow is slow to import
        database_ready,
    )

    say(f"starting MLflow for {shown(uri)} (some seconds)")
    with database_ready(uri):
        pass  # a schema that the server would refuse is brought up to date, or explained
    with ui_server(uri, port) as server:
        say("\n".join(link_lines(server.url, server.experiments())))
        server.wait()


def link_lines(url: str, experiments: Sequence[dict[str, Any]]) -> list[str]:
    """Return where to look: every experiment with its saved views; of many, the first ones, and
    the list of all.
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
    return [*lines, "Ctrl-C ends it."]


def _require_something(uri: str) -> None:
    path = sqlite_path(uri)
    if path is not None and not (path.is_file() and path.stat().st_size):
        advice = (
            "run an experiment first, or name another store with --tracking-uri or"
            " MLFLOW_TRACKING_URI"
        )
        raise UserInputError("nothing was tracked here yet", str(path), advice)


def _end_with_the_terminal() -> None:
    """A closed terminal ends the server as Ctrl-C does, unless the caller chose otherwise
    (nohup).
    """
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
