"""Prevent the import of Triton in a process without an accelerator.

Triton generates code for accelerators, and its import takes 70 MB of memory. Every optimiser, and
the export of models, imports torch's compiler, which imports Triton if it is installed. This
program compiles nothing.
"""

from __future__ import annotations

import logging
import sys

import torch


def leave_triton_out() -> None:
    """Prevent torch from importing Triton if there is no accelerator. Call this function at the
    start of a command, before the command trains or exports a model.
    """
    if not torch.accelerator.is_available() and "triton" not in sys.modules:
        # with None in place of the module, Python's import system refuses to import triton
        sys.modules["triton"] = None  # type: ignore[assignment]
        # suppress torch's warning that Triton is missing
        logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
