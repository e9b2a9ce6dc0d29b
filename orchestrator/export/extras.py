"""Check that the optional packages for export are installed, before a model is fetched or
converted.
"""

from __future__ import annotations

from importlib.util import find_spec

from orchestrator.errors import UserInputError

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
INSTALL = "pip install '.[export]' in the checkout, or the wheel as 'FILE.whl[export]'"


def require_onnx(
    where: str = "--format onnx", advice: str = "choose --format pt2, which needs torch alone"
) -> None:
    """Reject ONNX if its packages are not installed.

    Args:
        where: The option that needs ONNX, for the error message.
        advice: The alternative to installing ONNX, for the error message.

    Raises:
        UserInputError: A package is missing.
    """
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise UserInputError(
            f"the optional package {missing[0]} is not installed", where, f"{INSTALL}, or {advice}"
        )
