"""Convert a classifier to a graph that does not depend on the file format."""

from __future__ import annotations

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from orchestrator.errors import NotConvertibleError
from orchestrator.export.description import Shape

_NUM_EXAMPLES = 2  # with a single example image, torch.export would fix the batch size at 1


def trace(classifier: nn.Module, shape: Shape) -> ExportedProgram:
    """Return the graph of a classifier; the graph accepts any number of images.

    Args:
        classifier: uint8 images → logits, on the CPU, in evaluation mode.
        shape: (channels, height, width) of the images.

    Raises:
        NotConvertibleError: torch cannot convert the classifier to a graph.
    """
    examples = torch.zeros(_NUM_EXAMPLES, *shape, dtype=torch.uint8)
    try:
        return torch.export.export(classifier, (examples,), dynamic_shapes=({0: Dim.DYNAMIC},))
    except Exception as error:  # torch.export raises many kinds of errors
        raise not_convertible("a graph", error) from error


def not_convertible(what: str, error: Exception) -> NotConvertibleError:
    """Return the error for a failed conversion, with the first line of the original error."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return NotConvertibleError(
        f"the model cannot be converted to {what} ({reason})",
        next_step="another backbone may be convertible",
    )
