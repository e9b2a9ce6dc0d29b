"""The command line as a separate process, observed from outside: start it, wait for it, and find
its surviving processes.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# as from a terminal: otherwise signals ignored by the parent (a background shell, nohup) would be
# ignored here too
_SIGNALS = (
    "signal.signal(signal.SIGINT, signal.default_int_handler); signal.signal(signal.SIGHUP,"
    " signal.SIG_DFL)"
)
_MAIN = f"import signal; {_SIGNALS}; from orchestrator.cli import main; main()"
_SET = "import {module}; {module}.{name} = {value!r}; "


def start_orchestrator(
    *words: str, folder: Path, settings: Mapping[str, float] | None = None
) -> "subprocess.Popen[str]":
    """Start `orchestrator` with these arguments in a folder.

    Args:
        words: The command line.
        folder: The working directory.
        settings: Values of module constants in that process, by dotted name.
    """
    changes = ""
    for place, value in (settings or {}).items():
        module, _, name = place.rpartition(".")
        changes += _SET.format(module=module, name=name, value=value)
    return subprocess.Popen(
        [sys.executable, "-u", "-c", changes + _MAIN, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def processes_of(driver: int) -> dict[int, str]:
    """Return the pids of a driver's Ray session: every process that holds one of its files open,
    with its role.

    The role is `teacher` or `student` for a worker of that lane, `raylet`, or otherwise the command
    line.
    """
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            held = " ".join(
                str(path.readlink()) for path in [folder / "cwd", *(folder / "fd").iterdir()]
            )
        except OSError:
            continue
        if (
            "/session_" in f"{command} {held}"
            and f"_{driver}/" in f"{command} {held}"
            and int(folder.name) != driver
        ):
            lane = next(
                (
                    role
                    for role in ("teacher", "student")
                    if f"/artifacts/{role}-" in held and "RayTrainWorker" in command
                ),
                "",
            )
            found[int(folder.name)] = lane or (
                "raylet" if "/raylet/raylet " in command else command
            )
    return found


def run_statuses(uri: str) -> list[str]:
    """Return the statuses of all runs in an MLflow store, sorted."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return sorted(run.info.status for run in client.search_runs(experiments))
