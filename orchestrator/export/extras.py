"""The optional packages of this part: asked for before anything is fetched or converted."""

from __future__ import annotations

from importlib.util import find_spec

from orchestrator.errors import UserInputError

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
INSTALL = "pip install '.[export]' in the checkout, or the wheel as 'FILE.whl[export]'"


def require_onnx(
    where: str = "--format onnx", advice: str = "choose --format pt2, which needs torch alone"
) -> None:
    """Sees that ONNX files can be written and run here.

    Args:
        where: What needs it, for messages.
        advice: What to do instead of installing it.

    Raises:
        UserInputError: A package is missing.
    """
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise UserInputError(
            f"the optional package {missing[0]} is not installed", where, f"{INSTALL}, or {advice}"
        )
