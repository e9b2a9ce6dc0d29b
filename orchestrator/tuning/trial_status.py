"""Define the status of a trial."""

from enum import StrEnum


class TrialStatus(StrEnum):
    """The status of a trial.

    `stopped`: the trial scheduler has stopped the trial for good. `interrupted`: the budget or the
    program has ended; a resumed sweep continues the trial.
    """

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
