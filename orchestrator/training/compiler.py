"""Prevent the import of Triton in a process that cannot use it.

Every optimizer imports torch's compiler, although nothing here is compiled, and so does exporting.
The compiler imports Triton if it is installed: 70 MB for a code generator that only accelerators
use.
"""

from __future__ import annotations

import logging
import sys

import torch


def leave_triton_out() -> None:
    """Hide Triton from torch if there is no accelerator. Call it in a command's own process, before
    any learning.
    """
    if not torch.accelerator.is_available() and "triton" not in sys.modules:
        # None is the import system's marker for a module that cannot be imported
        sys.modules["triton"] = None  # type: ignore[assignment]
        logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)  # it would warn
