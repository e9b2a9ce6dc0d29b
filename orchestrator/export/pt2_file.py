"""Write and open pt2 files, torch's own format for graphs, which only torch can load."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import torch
from torch import nn
from torch.export import ExportedProgram

from orchestrator.export.arrays import Images, Logits, Predictor

_EXTRA_FOLDER = "/extra/"


def write_pt2(program: ExportedProgram, texts: Mapping[str, str], path: Path) -> None:
    """Write a graph with its weights as one pt2 file.

    Args:
        program: The graph.
        texts: Metadata by name, stored as extra files in the archive.
        path: The file to write; its folder must exist.

    Raises:
        OSError: The file cannot be written.
    """
    # Write to memory first: torch's own file writer aborts the process if the disk is full.
    content = io.BytesIO()
    torch.export.save(program, content, extra_files=dict(texts))
    path.write_bytes(content.getbuffer())


def open_pt2(path: Path, num_threads: int) -> Predictor:
    """Open a pt2 file as a predictor that computes with `num_threads` threads. If `num_threads` is
    0, torch's current number of threads is used.
    """
    return as_predictor(torch.export.load(path).module(), num_threads)


def read_pt2_texts(path: Path) -> dict[str, str]:
    """Return the metadata of a pt2 file. Only the metadata is read from the archive, because
    loading the graph takes seconds.

    Raises:
        BadZipFile: The file is not a pt2 file.
    """
    with ZipFile(path) as archive:
        return {
            name.rpartition("/")[2]: archive.read(name).decode("utf-8")
            for name in archive.namelist()
            if _EXTRA_FOLDER in name
        }


def as_predictor(classifier: nn.Module, num_threads: int = 0) -> Predictor:
    """Wrap a torch module as a function from numpy images to numpy logits.

    Args:
        classifier: uint8 images → logits, on the CPU.
        num_threads: Number of threads to compute with; 0 keeps torch's current number.
    """

    @torch.no_grad()
    def predict(images: Images) -> Logits:
        before = torch.get_num_threads()
        torch.set_num_threads(num_threads or before)
        try:
            logits: Logits = classifier(torch.from_numpy(images)).numpy()
        finally:
            torch.set_num_threads(before)
        return logits

    return predict
