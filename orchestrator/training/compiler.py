"""Prevent the import of Triton in a process that cannot use it.

Every optimizer, and the export of models, imports torch's compiler, although this program compiles
nothing. The compiler imports Triton if Triton is installed: 70 MB of memory for a code generator
that only accelerators use.
"""

from __future__ import annotations

import logging
import sys

import torch


def leave_triton_out() -> None:
    """Hide Triton from torch if there is no accelerator. Call this function in the process of a
    command, before the process trains or exports a model.
    """
    if not torch.accelerator.is_available() and "triton" not in sys.modules:
        # None is the import system's marker for a module that cannot be imported
        sys.modules["triton"] = None  # type: ignore[assignment]
        # hides a warning that Triton is missing
        logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
