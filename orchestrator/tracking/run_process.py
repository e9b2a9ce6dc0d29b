"""Record the process that drives a run as tags, so that another process can tell when it is gone.

A pid alone is not enough: pids are reused, and each container counts its own pids. So the tags also
hold the host's name, the id of the pid namespace, and the time at which the process started. Linux
keeps that time in clock ticks since boot, which do not shift when the clock is set; the tags
therefore also hold the id of the boot.

Without Linux's /proc, a run gets no such tags, and its process never counts as gone.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.tracking import names

PROC = Path("/proc")
_MAX_PID = 2**22  # Linux allows no larger pid


@dataclass(frozen=True, slots=True)
class RunProcess:
    """A process, with everything that distinguishes it from other processes with the same pid.

    Attributes:
        host: Name of the machine, container or pod.
        pid: The pid as the process itself sees it.
        boot: Id of the machine's boot.
        pid_namespace: Id of the namespace in which the pid counts: a container has its own.
        start_ticks: Time at which the process started, in clock ticks since boot.
    """

    host: str
    pid: int
    boot: str
    pid_namespace: str
    start_ticks: str

    def tags(self) -> dict[str, str]:
        """Return the process as tags, from which `recorded_process` restores it."""
        started = f"{self.boot}:{self.pid_namespace}:{self.start_ticks}"
        return {
            names.HOST_TAG: self.host,
            names.PROCESS_TAG: str(self.pid),
            names.PROCESS_STARTED_TAG: started,
        }

    def is_gone(self, here: "RunProcess") -> bool:
        """Return whether the process has certainly ended; False if `here` cannot see the process.

        Args:
            here: The calling process.
        """
        return self.is_seen_from(here) and (self.boot != here.boot or not self._runs())

    def is_seen_from(self, here: "RunProcess") -> bool:
        """Return whether `here`, the calling process, can see whether the process has ended."""
        # Equal host names are not enough: a container on the host's network has the host's name,
        # but its pids mean nothing in another pid namespace.
        return self.host == here.host and (
            self.boot != here.boot or self.pid_namespace == here.pid_namespace
        )

    def _runs(self) -> bool:
        try:
            state, start_ticks = _state_and_start(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return _exists(self.pid)
        except OSError:
            return True  # the process exists, but belongs to another user
        # A process in state Z has ended; only its parent has not read its exit status yet.
        return state not in ("Z", "X") and start_ticks == self.start_ticks


def this_process() -> RunProcess | None:
    """Return the calling process; None if /proc does not describe it."""
    pid = os.getpid()
    try:
        if (PROC / "self").readlink() != Path(str(pid)):
            return None  # this /proc shows the processes of another pid namespace
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        pid_namespace = str((PROC / "self/ns/pid").stat().st_ino)
        _, start_ticks = _state_and_start(pid)
    except OSError:
        return None
    return RunProcess(socket.gethostname(), pid, boot, pid_namespace, start_ticks)


def recorded_process(tags: Mapping[str, str]) -> RunProcess | None:
    """Return the process that a run's tags name; None if they name no process."""
    host, pid = tags.get(names.HOST_TAG, ""), tags.get(names.PROCESS_TAG, "")
    started = tags.get(names.PROCESS_STARTED_TAG, "").split(":")
    if not host or len(started) != 3 or not pid.isdecimal() or not 0 < int(pid) <= _MAX_PID:
        return None
    return RunProcess(host, int(pid), *started)


def _state_and_start(pid: int) -> tuple[str, str]:
    # Split the line after the last parenthesis, because the program's name, which is in
    # parentheses, may itself contain spaces and parentheses. By proc_pid_stat(5), the state is
    # field 3 of the line, and the start time field 22.
    fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], fields[19]


def _exists(pid: int) -> bool:
    # If /proc is mounted with hidepid, it hides other users' processes. Sending signal 0 asks the
    # kernel whether the process exists, and does not affect it.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
