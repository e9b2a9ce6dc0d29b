"""Keep Triton out of a process that it cannot serve.

Every optimizer imports torch's compiler, though nothing here is compiled, and so does exporting.
That imports Triton wherever it is installed: 70 MB for a writer of code that only accelerators run.
"""

from __future__ import annotations

import logging
import sys

import torch


def leave_triton_out() -> None:
    """Make torch find no Triton where there is no accelerator: for a command's own process, before
    anything is learned.
    """
    if not torch.accelerator.is_available() and "triton" not in sys.modules:
        # None is the import system's own way to say that a module cannot be had
        sys.modules["triton"] = None  # type: ignore[assignment]
        logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)  # it would say so
