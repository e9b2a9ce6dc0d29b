"""Define the status of a trial."""

from enum import StrEnum


class TrialStatus(StrEnum):
    """The status of a trial.

    `stopped`: the trial scheduler has stopped the trial for good. `interrupted`: the trial has not
    finished, because the budget was spent or the program ended; a resumed sweep continues it.
    """

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
