"""The status of a trial."""

from enum import StrEnum


class TrialStatus(StrEnum):
    """The status of a trial.

    `stopped`: by the trial scheduler, for good. `interrupted`: by the end of a budget or of the
    program; a resumed sweep continues it.
    """

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
