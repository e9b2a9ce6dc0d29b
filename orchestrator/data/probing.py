"""Read and decode a file in a separate process, so that a file too large for memory kills only that
process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from orchestrator.data.decoding import Shape
from orchestrator.data.growing_folder import Folder, read_content
from orchestrator.errors import OrchestratorError

# Memory limit of the probing process in bytes, in addition to the memory for its libraries and to
# twice the size of the file. Decoding takes a tenth of this limit.
_MAX_BYTES = 4 * 2**30
_MIN_SECONDS = 600
_BYTES_PER_SECOND = 10**6


def survives(
    uri: str, name: str, num_bytes: int, shape: Shape, max_pixels: int, has_labels: bool = True
) -> bool:
    """Return whether a process can read and decode a file without being killed.

    A process that rejects the file with an error counts as not killed.

    Args:
        uri: The folder of the file.
        name: Path of the file within the folder.
        num_bytes: Size of the file.
        shape: (channels, height, width) to which every image is converted.
        max_pixels: Largest number of pixels of one image.
        has_labels: Whether to read labels.
    """
    max_bytes = 2 * num_bytes + _MAX_BYTES
    given = [max_bytes, uri, name, list(shape), max_pixels, has_labels]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "orchestrator.data.probing"],
            input=json.dumps(given).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_MIN_SECONDS + num_bytes / _BYTES_PER_SECOND,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def _probe(
    max_bytes: int, uri: str, name: str, shape: list[int], max_pixels: int, has_labels: bool
) -> None:
    _die_first(max_bytes)
    channels, height, width = shape
    with suppress(OrchestratorError):  # the process that reads the file next reports the error
        content = read_content(Folder(uri), name, has_labels)
        for row in range(len(content.digests)):
            content.decode([row], (channels, height, width), max_pixels)


def _die_first(max_bytes: int) -> None:
    """Limit the memory of this process. If the memory of the machine runs short, let the kernel
    kill this process first.
    """
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    reserved = resource.getpagesize() * int(
        Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    )
    limit = reserved + max_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    _probe(*json.load(sys.stdin))
