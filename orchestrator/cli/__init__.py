"""The command line of the orchestrator.

Arguments are parsed before slow modules are imported, so `--help` and `validate` answer at once.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import traceback
import warnings
from gc import get_threshold, set_threshold  # no `import gc`: a command of this package is named gc
from typing import NoReturn

from orchestrator.cli.application import build_application
from orchestrator.errors import InterruptedRunError, OrchestratorError, UserInputError
from orchestrator.masking import masked
from orchestrator.terminal.lines import (
    is_read_by_programs,
    log_as_json,
    log_as_text,
    log_without_secrets,
)
from orchestrator.terminal.printable import printable

__all__ = ["main"]

# Importing torch and MLflow creates hundreds of thousands of permanent objects. By default, Python
# starts a garbage collection after every 700 new objects. The repeated scans of the permanent
# objects would take a tenth of a short command's time.
_OBJECTS_BETWEEN_COLLECTIONS = 5_000


def main() -> NoReturn:
    """Run the command line; print the message of an error, and exit with the error's code."""
    signal.signal(signal.SIGTERM, _terminated)
    set_threshold(max(_OBJECTS_BETWEEN_COLLECTIONS, get_threshold()[0]))
    log_without_secrets()
    # hide Pillow's warning about very large images: this program rejects images with more than
    # `data.max_image_pixels` pixels, with a clear error
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")
    if is_read_by_programs():
        log_as_json()
    else:
        log_as_text()
    try:
        build_application()()
    except OrchestratorError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", InterruptedRunError.exit_code)
    except BrokenPipeError:
        # the program that reads the output has closed the pipe, so no more can be printed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the last resort: a bug in this program
        if (
            isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
        ):  # a name that the user chose, such as a run's name, may be too long as a file name
            _fail(
                f"{error.filename}: the name is too long for a file; choose a shorter one",
                UserInputError.exit_code,
            )
        _fail("this is a bug; please report it with the lines above", 1, traceback.format_exc())
    sys.exit(0)


def _terminated(signal_number: int, _frame: object) -> NoReturn:
    """End the command in the same way as Ctrl-C: close the run in MLflow, and exit with code 130.

    The signal raises `KeyboardInterrupt`. This exception is not a subclass of `Exception`, so no
    `except Exception` of a caller catches it.
    """
    raise KeyboardInterrupt(f"ended by signal {signal_number}")


def _fail(message: str, exit_code: int, details: str = "") -> NoReturn:
    details = masked(details)
    if is_read_by_programs():
        logging.getLogger(__name__).error("%s", f"{details}{message}")
    else:
        sys.stderr.write(printable(f"{details}error: {message}\n"))
    sys.exit(exit_code)
