"""Recognise references to models, and reject missing ones before torch and MLflow are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from orchestrator.errors import UserInputError
from orchestrator.export.extras import require_onnx
from orchestrator.tracking.reading import existing_store

Format: TypeAlias = Literal["onnx", "pt2"]
_FORMATS: dict[str, Format] = {".onnx": "onnx", ".pt2": "pt2"}


def format_of(reference: str) -> Format | None:
    """Return the format of an exported file by its suffix; None for other references."""
    return _FORMATS.get(Path(reference).suffix.lower())


def check_reference(reference: str, uri: str) -> None:
    """Reject a missing file, and a run or a registered model whose store is missing.

    Raises:
        UserInputError: The file or the store is missing, or a package that runs the file is not
            installed.
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
