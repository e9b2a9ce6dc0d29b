"""Check that a new sweep does not exist already, and that a sweep to resume exists. The check runs
before slow modules are imported.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator import output_files
from orchestrator.config.search_space import SearchSpace
from orchestrator.errors import ConfigError
from orchestrator.tuning.ledger import Ledger


def output_folder(search_space: SearchSpace, output: str | Path | None) -> Path:
    """Return the folder of a sweep's ledger: the given folder, or `out/sweeps/NAME`."""
    return Path("out") / "sweeps" / search_space.name if output is None else Path(output)


def read_ledger(folder: Path, resume: bool | None) -> Ledger:
    """Return the ledger of an output folder.

    Args:
        folder: The output folder of the sweep.
        resume: True resumes a sweep, and False starts a new sweep. None resumes the folder's sweep,
            or starts a new sweep if the folder has none.

    Raises:
        ConfigError: `resume` is False and the folder has a sweep, `resume` is True and the folder
            has no sweep, or the ledger is invalid.
        StorageUnavailableError: The ledger cannot be read.
    """
    ledger = Ledger(folder / output_files.LEDGER_FILE)
    if ledger.header is None and resume:
        raise ConfigError(
            "there is no sweep to resume",
            where=str(folder),
            next_step="omit --resume, or check --output",
        )
    if ledger.header is not None and resume is False:
        advice = "add --resume to resume it, or choose another --output"
        raise ConfigError("there is a sweep already", where=str(folder), next_step=advice)
    return ledger
