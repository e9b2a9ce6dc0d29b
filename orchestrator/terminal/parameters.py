"""Format the parameters of a trial as one short line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def parameters_text(
    parameters: Mapping[str, Any], all_parameters: Sequence[Mapping[str, Any]]
) -> str:
    """Return the parameters of a trial as text, such as `learning_rate=0.012 radius=1.3`. Only the
    last part of each dotted path is shown.

    Parameters with the same value in all trials are omitted. If no parameter varies, all parameters
    are shown.

    Args:
        parameters: The trial's parameters, by dotted path.
        all_parameters: The parameters of all trials.
    """
    differ = [
        path
        for path in parameters
        if any(other.get(path) != parameters[path] for other in all_parameters)
    ]
    return " ".join(
        f"{path.rpartition('.')[2]}={_short(parameters[path])}" for path in differ or parameters
    )


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return f"[{', '.join(_short(item) for item in value)}]"
    return str(value)
