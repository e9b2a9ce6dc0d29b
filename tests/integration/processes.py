"""The command line as a process of its own, seen from outside: started, waited for, and whatever of
it still lives.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# as from a terminal: what whoever started the tests ignores (a shell's background, nohup) is
# inherited
_SIGNALS = (
    "signal.signal(signal.SIGINT, signal.default_int_handler); signal.signal(signal.SIGHUP,"
    " signal.SIG_DFL)"
)
_MAIN = f"import signal; {_SIGNALS}; from orchestrator.cli import main; main()"


def start_orchestrator(*words: str, folder: Path) -> "subprocess.Popen[str]":
    """`orchestrator` with these words, in a folder."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", _MAIN, *words],
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


def wait_until(
    condition: Callable[[], bool], seconds: float = 180, pause_seconds: float = 0.05
) -> None:
    """Returns as soon as the condition holds; fails when it does not in so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause_seconds)


def run_statuses(uri: str) -> list[str]:
    """How all runs of an MLflow store stand, sorted."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return sorted(run.info.status for run in client.search_runs(experiments))
