"""A classifier as a graph, whatever format it is then written in."""

from __future__ import annotations

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from orchestrator.errors import NotConvertibleError
from orchestrator.export.description import Shape

_NUM_EXAMPLES = 2  # of one image, torch.export concludes that there is always one


def trace(classifier: nn.Module, shape: Shape) -> ExportedProgram:
    """The graph of a classifier, for any number of images.

    Args:
        classifier: uint8 images → logits, on the CPU, in evaluation mode.
        shape: (channels, height, width) of the images.

    Raises:
        NotConvertibleError: torch cannot make a graph of it.
    """
    examples = torch.zeros(_NUM_EXAMPLES, *shape, dtype=torch.uint8)
    try:
        return torch.export.export(classifier, (examples,), dynamic_shapes=({0: Dim.DYNAMIC},))
    except Exception as error:  # torch.export raises many kinds
        raise not_convertible("a graph", error) from error


def not_convertible(what: str, error: Exception) -> NotConvertibleError:
    """The error that says what the model could not be made, and the first line of why."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return NotConvertibleError(
        f"the model cannot be made {what} ({reason})",
        next_step="another backbone may be convertible",
    )
