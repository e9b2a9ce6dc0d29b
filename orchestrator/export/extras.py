"""The optional packages of this part: asked for before anything is fetched or converted."""

from __future__ import annotations

from importlib.util import find_spec

from orchestrator.errors import UserInputError

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
INSTALL = 'pip install "continual-orchestrator[export]"'


def require_onnx() -> None:
    """Sees that ONNX files can be written and run here.

    Raises:
        UserInputError: A package is missing.
    """
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        advice = f"{INSTALL}, or choose --format pt2, which needs torch alone"
        raise UserInputError(
            f"the optional package {missing[0]} is not installed", "--format onnx", advice
        )
