"""Recognise references to models, and reject references to missing models before torch and MLflow
are loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from orchestrator.errors import UserInputError
from orchestrator.export.extras import require_onnx
from orchestrator.tracking.reading import existing_store

Format: TypeAlias = Literal["onnx", "pt2"]
_FORMATS: dict[str, Format] = {".onnx": "onnx", ".pt2": "pt2"}


def format_of(reference: str) -> Format | None:
    """Return the format of an exported file according to its suffix; None if the reference is not
    an exported file.
    """
    return _FORMATS.get(Path(reference).suffix.lower())


def check_reference(reference: str, uri: str) -> None:
    """Reject a reference to a missing file, or to a run or registered model in a missing store.

    Raises:
        UserInputError: The file or the store is missing, or the package that runs the file's format
            is not installed.
    """
    kind = format_of(reference)
    if kind is None:
        existing_store(uri)
        return
    if not Path(reference).is_file():
        raise UserInputError(
            "there is no such file", reference, "correct the path, or name a run or a model"
        )
    if kind == "onnx":
        require_onnx(reference, "export the model with --format pt2, which needs torch alone")
