"""The process that drives a run, as tags by which another process can later tell that it is gone.

A pid alone is not enough: pids are reused, and containers count theirs independently. So the tags
hold the host's name, and the start time in the clock ticks since boot that Linux keeps for each
process (unlike a time of day, it never shifts when the clock is set), with the ids of that boot and
of the pid namespace in which the pid counts.

Without Linux's /proc there are no tags, and nothing is concluded.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.tracking import names

PROC = Path("/proc")
_MAX_PID = 2**22  # Linux's own limit


@dataclass(frozen=True, slots=True)
class RunProcess:
    """A process, distinguished from all others with its pid.

    Attributes:
        host: Name of the machine, container or pod.
        pid: The pid as the process itself sees it.
        boot: Id of the machine's boot.
        pid_namespace: Id of the namespace in which the pid counts: a container has its own.
        start_ticks: Start of the process, in clock ticks since boot.
    """

    host: str
    pid: int
    boot: str
    pid_namespace: str
    start_ticks: str

    def tags(self) -> dict[str, str]:
        """Return the tags that `recorded_process` reads."""
        started = f"{self.boot}:{self.pid_namespace}:{self.start_ticks}"
        return {
            names.HOST_TAG: self.host,
            names.PROCESS_TAG: str(self.pid),
            names.PROCESS_STARTED_TAG: started,
        }

    def is_gone(self, here: "RunProcess") -> bool:
        """Return whether this process has certainly ended; False also if `here` cannot see it.

        Args:
            here: The process that asks.
        """
        return self.is_seen_from(here) and (self.boot != here.boot or not self._runs())

    def is_seen_from(self, here: "RunProcess") -> bool:
        """Return whether `here` can tell at all whether this process has ended."""
        # Containers on the host's network share its name: a pid of another namespace means nothing
        # here.
        return self.host == here.host and (
            self.boot != here.boot or self.pid_namespace == here.pid_namespace
        )

    def _runs(self) -> bool:
        try:
            state, start_ticks = _state_and_start(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return _exists(self.pid)
        except OSError:
            return True  # another user's process, which cannot be inspected
        # A zombie has ended; its parent has not read its exit status yet.
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
    """Return the process named by a run's tags; None if they name none."""
    host, pid = tags.get(names.HOST_TAG, ""), tags.get(names.PROCESS_TAG, "")
    started = tags.get(names.PROCESS_STARTED_TAG, "").split(":")
    if not host or len(started) != 3 or not pid.isdecimal() or not 0 < int(pid) <= _MAX_PID:
        return None
    return RunProcess(host, int(pid), *started)


def _state_and_start(pid: int) -> tuple[str, str]:
    # The program's name is in parentheses, and may itself contain spaces and parentheses. Counting
    # starts after it (proc_pid_stat(5)): the state is field 3 of the line, the start field 22.
    fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], fields[19]


def _exists(pid: int) -> bool:
    # Mounted with hidepid, /proc hides the processes of other users; signal 0 asks the kernel
    # itself, and sends nothing.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
