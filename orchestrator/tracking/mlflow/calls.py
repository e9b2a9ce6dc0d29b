"""Wrap calls into MLflow: keep MLflow's log lines off the terminal, and convert MLflow's errors to
errors of this project.
"""

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException
from sqlalchemy.exc import SQLAlchemyError

from orchestrator.errors import OrchestratorError, UserInputError
from orchestrator.masking import hide, shown
from orchestrator.tracking.preflight import unavailable
from orchestrator.tracking.uris import SQLITE_ADVICE

_NOISY = ("mlflow", "alembic", "sqlalchemy", "urllib3")
_REFUSED = ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED")
_CREDENTIALS_ADVICE = (
    "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN)"
)
_NOT_OF_MLFLOW = " failed with error code "
_WRONG_REQUESTS = (
    "BAD_REQUEST",
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "RESOURCE_DOES_NOT_EXIST",
)


class _MuteThisThread(logging.Filter):
    """Drops a log record if one of the `_NOISY` libraries writes it in the thread that created this
    filter; keeps all log records of other threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread or record.name.partition(".")[0] not in _NOISY


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Keep log lines of MLflow and its libraries off the terminal, such as warnings of retries.

    This function sets filters on the log handlers instead of levels on the loggers. Several threads
    may therefore use it at once, and end their `with` blocks in any order.
    """
    loggers = [logging.getLogger(), *map(logging.getLogger, _NOISY)]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    if logging.lastResort is not None:
        handlers.add(logging.lastResort)
    mute = _MuteThisThread()
    for handler in handlers:
        handler.addFilter(mute)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(mute)


@contextmanager
def mlflow_calls(uri: str) -> Iterator[None]:
    """Keep MLflow quiet in the `with` block, and convert MLflow's errors to errors of this project.

    Args:
        uri: URI of the store, for error messages.

    Raises:
        UserInputError: The server refuses the credentials, or is not an MLflow server.
        TrackingUnavailableError: The store cannot be reached or written.
        OrchestratorError: MLflow refuses the request, such as a request for a deleted run.
    """
    with quiet_logs():
        try:
            yield
        except MlflowException as error:
            raise _explained(error, uri) from error
        except (SQLAlchemyError, RequestException, OSError) as error:
            raise unavailable(uri, error) from error
        except (ValueError, TypeError, ArithmeticError) as error:
            raise OrchestratorError(
                f"MLflow refuses the request: {type(error).__name__}: {hide(error, uri)}",
                shown(uri),
            ) from error


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables during the `with` block, then restore their earlier values."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _explained(error: MlflowException, uri: str) -> OrchestratorError:
    where, message = shown(uri), hide(str(error).strip().splitlines()[0], uri)
    if error.error_code in _REFUSED:
        return UserInputError(
            f"the MLflow server refuses access: {message}", where, _CREDENTIALS_ADVICE
        )
    if error.error_code == "ENDPOINT_NOT_FOUND" or "not in a valid JSON format" in message:
        return UserInputError("something answers, but not an MLflow server", where, SQLITE_ADVICE)
    # An error response without MLflow's error format comes from a proxy whose MLflow server is
    # down, so it counts as an unavailable store.
    if error.error_code in _WRONG_REQUESTS and _NOT_OF_MLFLOW not in message:
        return OrchestratorError(f"MLflow refuses the request: {message}", where)
    return unavailable(uri, message)
