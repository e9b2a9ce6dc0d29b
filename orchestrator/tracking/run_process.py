"""Record a run's process as tags of the run, so that other processes can find out whether the
run's process is still alive.

A pid alone does not identify a process: pids are reused, and each container counts its own pids.
The tags therefore also contain the host's name, the id of the pid namespace, and the start time of
the process. Linux counts this start time in clock ticks since the machine's boot, so the tags also
contain the id of the boot.

Without Linux's /proc, a run has no such tags, and its process never counts as gone.
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
    """A process, with facts that distinguish it from other processes with the same pid.

    Attributes:
        host: Name of the machine, container or pod.
        pid: Pid of the process in its own pid namespace.
        boot: Id of the machine's boot, which changes with each boot.
        pid_namespace: Id of the pid namespace; each container has a separate namespace.
        start_ticks: Time at which the process started, in clock ticks since boot.
    """

    host: str
    pid: int
    boot: str
    pid_namespace: str
    start_ticks: str

    def tags(self) -> dict[str, str]:
        """Return the process as tags of a run; `recorded_process` reads these tags."""
        started = f"{self.boot}:{self.pid_namespace}:{self.start_ticks}"
        return {
            names.HOST_TAG: self.host,
            names.PROCESS_TAG: str(self.pid),
            names.PROCESS_STARTED_TAG: started,
        }

    def is_gone(self, here: "RunProcess") -> bool:
        """Return whether the process has certainly ended; False if this cannot be determined.

        Args:
            here: The calling process.
        """
        return self.is_seen_from(here) and (self.boot != here.boot or not self._runs())

    def is_seen_from(self, here: "RunProcess") -> bool:
        """Return whether the calling process `here` can tell if the recorded process has ended."""
        # Compare the pid namespaces as well as the host names: a container on the host's network
        # has the host's name, but its own pids.
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
        # A process in state Z (zombie) or X (dead) has ended.
        return state not in ("Z", "X") and start_ticks == self.start_ticks


def this_process() -> RunProcess | None:
    """Return the calling process; None if /proc does not describe it."""
    pid = os.getpid()
    try:
        if (PROC / "self").readlink() != Path(str(pid)):
            return None  # this /proc shows the pids of another pid namespace
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        pid_namespace = str((PROC / "self/ns/pid").stat().st_ino)
        _, start_ticks = _state_and_start(pid)
    except OSError:
        return None
    return RunProcess(socket.gethostname(), pid, boot, pid_namespace, start_ticks)


def recorded_process(tags: Mapping[str, str]) -> RunProcess | None:
    """Return the process that a run's tags identify; None if the tags identify no process."""
    host, pid = tags.get(names.HOST_TAG, ""), tags.get(names.PROCESS_TAG, "")
    started = tags.get(names.PROCESS_STARTED_TAG, "").split(":")
    if not host or len(started) != 3 or not pid.isdecimal() or not 0 < int(pid) <= _MAX_PID:
        return None
    return RunProcess(host, int(pid), *started)


def _state_and_start(pid: int) -> tuple[str, str]:
    # The file `stat` has one line: field 2 is the program's name in parentheses, field 3 the state,
    # and field 22 the start time (see proc_pid_stat(5)). Split the line after the last parenthesis,
    # because the name may contain spaces and parentheses.
    fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], fields[19]


def _exists(pid: int) -> bool:
    # A /proc that is mounted with hidepid hides other users' processes. Signal 0 does nothing to a
    # process, but sending it fails if the process does not exist.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
