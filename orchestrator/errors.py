"""Every error a user can meet, as one tree; each class knows its exit code and whether trying again
can help.

```
OrchestratorError                 exit code 1   a bug unless a subclass says otherwise
├── LaneFailedError               exit code 1   a worker met an unknown error
├── DifferentOutputsError         exit code 1   an exported file computes something else
├── UserInputError                exit code 2   the user's input is wrong: says what to change
│   ├── ConfigError               a configuration file or an override
│   ├── DataError                 images, labels or splits
│   │   └── NoImagesError         a source of images without labels has none to learn from
│   ├── LoginRequiredError        a cluster does not know the user, or does so no more
│   ├── RightMissingError         a cluster knows the user, who may not do this
│   ├── NotConvertibleError       a model that cannot be brought into an export's format
│   └── ModelNotExportableError   a model that torch cannot export as a graph
├── TransientError                exit code 3   storage, tracking or cluster unreachable
│   ├── StorageUnavailableError   store or data cache cannot be written or read
│   ├── TrackingUnavailableError  the MLflow store cannot be reached
│   ├── ClusterUnavailableError   Ray is unreachable or gives no workers
│   ├── LaneLostError             a lane lost its workers more often than it may
│   ├── LockedError               another process works there right now: waiting helps
│   └── LeaseLostError            another retraining has taken over
└── InterruptedRunError           exit code 130 Ctrl-C, or the process was told to end
```

An error that crosses a process border must pickle: attributes go through `super().__init__`, the
text is built in `__str__`.
"""

from __future__ import annotations

from typing import ClassVar

from orchestrator.masking import masked


class OrchestratorError(Exception):
    """An error with one message for people; addresses in it are shown without their secrets.

    Args:
        what: What is wrong, with the value.
        where: The file, key path, row or address it is about; empty when `what` already says so.
        next_step: What the reader can do about it; empty when there is nothing to add.
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
    """A worker of a lane met an error that this program does not know: a bug."""


class DifferentOutputsError(OrchestratorError):
    """An exported file does not compute what the original computes: a bug, here or in what has
    converted it.
    """


class UserInputError(OrchestratorError):
    """The user's input is wrong: trying again without changing it cannot help."""

    exit_code = 2


class ConfigError(UserInputError):
    """A configuration file or an override cannot be used."""


class DataError(UserInputError):
    """Images, labels or splits cannot be used."""


class NoImagesError(DataError):
    """A source of images without labels has none, or none that may be learned from."""


class LoginRequiredError(UserInputError):
    """The Kubernetes API does not accept the user's credentials, or does so no more."""


class RightMissingError(UserInputError):
    """No role gives the user the right to what was asked of the Kubernetes API."""


class NotConvertibleError(UserInputError):
    """A model that cannot be brought into the format asked for: another backbone may be."""


class ModelNotExportableError(UserInputError):
    """A model that torch cannot export as a graph: another backbone may be."""


class TransientError(OrchestratorError):
    """Something outside this program is unreachable: the same command may work later."""

    exit_code = 3
    is_retryable = True


class StorageUnavailableError(TransientError):
    """A file, folder or bucket that should be readable or writable is not."""


class TrackingUnavailableError(TransientError):
    """The MLflow store cannot be reached."""


class ClusterUnavailableError(TransientError):
    """The Ray cluster cannot be reached, or does not give a lane its workers."""


class LaneLostError(TransientError):
    """A lane lost its workers more often than it may: they died, or their node did."""


class LockedError(TransientError):
    """Another process works on the same thing right now: waiting helps."""


class LeaseLostError(TransientError):
    """Another retraining has taken over from this one, which was taken for dead: it may not change
    anything any more.
    """


class InterruptedRunError(OrchestratorError):
    """The run was ended from outside, by Ctrl-C or a termination signal."""

    exit_code = 130
