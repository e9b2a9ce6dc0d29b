"""Define the status of a trial."""

from enum import StrEnum


class TrialStatus(StrEnum):
    """The status of a trial.

    A `stopped` trial was stopped for good by the trial scheduler. An `interrupted` trial was ended
    with the budget or the program; a resumed sweep continues the trial.
    """

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
