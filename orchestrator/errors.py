"""Define every error that a user can encounter. Each class states the exit code of the program, and
whether a retry can help. A lane, which some errors name, is the group of worker processes that
learns all stages of one role (teacher or student).

```
OrchestratorError                 exit code 1   a bug unless a subclass says otherwise
├── LaneFailedError               exit code 1   a worker raised an unexpected error
├── DifferentOutputsError         exit code 1   an exported file computes other outputs
├── UserInputError                exit code 2   the user's input is wrong: says what to change
│   ├── ConfigError               a configuration file or an override
│   ├── DataError                 images, labels or splits
│   │   └── NoImagesError         a source of unlabelled images has no image to learn from
│   ├── LoginRequiredError        a cluster rejects the user's credentials
│   ├── RightMissingError         the user lacks a permission in a cluster
│   ├── NotConvertibleError       a model cannot be converted to the export format
│   └── ModelNotExportableError   torch cannot export a model as a graph
├── TransientError                exit code 3   storage, tracking or cluster unreachable
│   ├── StorageUnavailableError   store or data cache cannot be written or read
│   ├── TrackingUnavailableError  the MLflow store cannot be reached
│   ├── ClusterUnavailableError   Ray is unreachable or provides no workers
│   ├── LaneLostError             a lane lost its workers more often than allowed
│   ├── LockedError               another process holds the lock
│   └── LeaseLostError            another retraining took over
└── InterruptedRunError           exit code 130 Ctrl-C or a termination signal
```

An error that crosses a process border must pickle: attributes go through `super().__init__`, the
text is built in `__str__`.
"""

from __future__ import annotations

from typing import ClassVar

from orchestrator.masking import masked


class OrchestratorError(Exception):
    """Error with one message for people; secrets of addresses in the message are masked.

    Args:
        what: The problem, with the value that causes it.
        where: The file, key path, row or address; empty if `what` already names it.
        next_step: What the reader can do; empty if there is nothing to add.
    """

    exit_code: ClassVar[int] = 1
    is_retryable: ClassVar[bool] = False

    def __init__(self, what: str, where: str = "", next_step: str = "") -> None:
        what, where, next_step = masked(what), masked(where), masked(next_step)
        super().__init__(what, where, next_step)
        self.what = what
        self.where = where
        self.next_step = next_step

    def __str__(self) -> str:
        location = f"{self.where}: " if self.where else ""
        advice = f"; {self.next_step}" if self.next_step else ""
        return f"{location}{self.what}{advice}"


class LaneFailedError(OrchestratorError):
    """A worker that computes the stages of a role raised an unexpected error: a bug."""


class DifferentOutputsError(OrchestratorError):
    """An exported file computes different outputs from the original: a bug in this program or in
    the converter.
    """


class UserInputError(OrchestratorError):
    """The user's input is wrong; a retry without a change cannot help."""

    exit_code = 2


class ConfigError(UserInputError):
    """A configuration file or an override is invalid."""


class DataError(UserInputError):
    """Images, labels or splits are unusable."""


class NoImagesError(DataError):
    """A source of unlabelled images has no image to learn from."""


class LoginRequiredError(UserInputError):
    """The Kubernetes API rejects the user's credentials, or they have expired."""


class RightMissingError(UserInputError):
    """The user lacks the permission for a request to the Kubernetes API."""


class NotConvertibleError(UserInputError):
    """The model cannot be converted to the requested format; another backbone may be
    convertible.
    """


class ModelNotExportableError(UserInputError):
    """torch cannot export the model as a graph; another backbone may be exportable."""


class TransientError(OrchestratorError):
    """Something outside this program is unreachable; the same command may succeed later."""

    exit_code = 3
    is_retryable = True


class StorageUnavailableError(TransientError):
    """A file, folder or bucket is not readable or writable."""


class TrackingUnavailableError(TransientError):
    """The MLflow store cannot be reached."""


class ClusterUnavailableError(TransientError):
    """The Ray cluster cannot be reached, or does not provide the workers that a role needs."""


class LaneLostError(TransientError):
    """A lane (the group of workers for one role) lost workers, or their node, more often than
    allowed.
    """


class LockedError(TransientError):
    """Another process holds the lock; a later retry can succeed."""


class LeaseLostError(TransientError):
    """Another retraining considered this retraining dead, and took over its lease. This retraining
    must not change anything any more.
    """


class InterruptedRunError(OrchestratorError):
    """The run was interrupted by Ctrl-C or a termination signal."""

    exit_code = 130
