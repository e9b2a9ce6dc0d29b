"""Reject a sweep that was begun already, or never: a refusal waits for nothing heavy to import."""

from __future__ import annotations

from pathlib import Path

from orchestrator import output_files
from orchestrator.config.search_space import SearchSpace
from orchestrator.errors import ConfigError
from orchestrator.tuning.ledger import Ledger


def output_folder(search_space: SearchSpace, output: str | Path | None) -> Path:
    """Return the folder of a sweep's ledger: as asked for, or `out/sweeps/NAME`."""
    return Path("out") / "sweeps" / search_space.name if output is None else Path(output)


def read_ledger(folder: Path, resume: bool | None) -> Ledger:
    """Return the ledger of an output folder.

    Args:
        folder: Of the sweep.
        resume: Whether to resume a sweep; None resumes one if it exists.

    Raises:
        ConfigError: It has the ledger of a sweep that is not to be resumed, or none to resume, or a
            file that is no ledger.
        StorageUnavailableError: It cannot be read.
    """
    ledger = Ledger(folder / output_files.LEDGER_FILE)
    if ledger.header is None and resume:
        raise ConfigError(
            "there is no sweep to go on with",
            where=str(folder),
            next_step="leave --resume out, or check --output",
        )
    if ledger.header is not None and resume is False:
        advice = "add --resume to go on with it, or choose another --output"
        raise ConfigError("there is a sweep already", where=str(folder), next_step=advice)
    return ledger
