"""Write, open and read exported files by the name of their format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias, assert_never

from torch.export import ExportedProgram

from orchestrator.export.arrays import Predictor

Format: TypeAlias = Literal["onnx", "pt2"]
RUNTIMES: dict[Format, str] = {"onnx": "ONNX Runtime", "pt2": "PyTorch"}


def write_file(
    program: ExportedProgram, kind: Format, texts: Mapping[str, str], path: Path
) -> None:
    """Write a graph to a file of the given format, with metadata.

    Raises:
        NotConvertibleError: The format cannot represent the graph.
    """
    match kind:
        case "onnx":
            from orchestrator.export.onnx_file import write_onnx  # noqa: PLC0415 - optional packages

            write_onnx(program, texts, path)
        case "pt2":
            from orchestrator.export.pt2_file import write_pt2  # noqa: PLC0415 - only what is needed

            write_pt2(program, texts, path)
        case _:
            assert_never(kind)


def open_file(path: Path, kind: Format, num_threads: int = 0) -> Predictor:
    """Open a written file as a predictor on the CPU.

    Args:
        path: The file.
        kind: Format of the file.
        num_threads: Number of threads to compute with; 0 leaves the choice to the runtime.
    """
    match kind:
        case "onnx":
            from orchestrator.export.onnx_file import open_onnx  # noqa: PLC0415 - optional packages

            return open_onnx(path, num_threads)
        case "pt2":
            from orchestrator.export.pt2_file import open_pt2  # noqa: PLC0415 - only what is needed

            return open_pt2(path, num_threads)
        case _:
            assert_never(kind)


def read_texts(path: Path, kind: Format) -> dict[str, str]:
    """Return the metadata of a written file, by name.

    Args:
        path: The file.
        kind: Format of the file.
    """
    match kind:
        case "onnx":
            from orchestrator.export.onnx_file import read_onnx_texts  # noqa: PLC0415 - optional packages

            return read_onnx_texts(path)
        case "pt2":
            from orchestrator.export.pt2_file import read_pt2_texts  # noqa: PLC0415 - only what is needed

            return read_pt2_texts(path)
        case _:
            assert_never(kind)
