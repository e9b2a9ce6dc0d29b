"""The command line as a process of its own, seen from outside: started, waited for, and whatever of
it still lives.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# as from a terminal: what whoever started the tests ignores (a shell's background, nohup) is
# inherited
_SIGNALS = (
    "signal.signal(signal.SIGINT, signal.default_int_handler); signal.signal(signal.SIGHUP,"
    " signal.SIG_DFL)"
)
_MAIN = f"import signal; {_SIGNALS}; from orchestrator.cli import main; main()"
_SET = "import {module}; {module}.{name} = {value!r}; "


def start_orchestrator(
    *words: str, folder: Path, settings: Mapping[str, float] | None = None
) -> "subprocess.Popen[str]":
    """Start `orchestrator` with these words, in a folder.

    Args:
        words: The command line.
        folder: The working directory.
        settings: Values of constants of modules in that process, by dotted name.
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
    """Pids of the Ray session of a driver: every process that holds one of its files open, and what
    it is.

    That is `teacher` or `student` for a worker of this lane, `raylet`, or else the command line.
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
