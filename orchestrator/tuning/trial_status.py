"""How a trial stands."""

from enum import StrEnum


class TrialStatus(StrEnum):
    """How a trial stands.

    `stopped`: by the trial scheduler, for good. `interrupted`: by the end of a budget or of the
    program; a resumed sweep goes on with it.
    """

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
