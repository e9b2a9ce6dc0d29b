"""A missing extra is reported at once, with the command that installs it."""

import pytest

from orchestrator.errors import UserInputError
from orchestrator.export import extras


def test_nothing_is_reported_if_all_packages_are_installed() -> None:
    extras.require_onnx()


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "_PACKAGES", ("onnx", "a_package_that_nobody_has"))
    with pytest.raises(UserInputError) as raised:
        extras.require_onnx()
    assert (
        "a_package_that_nobody_has is not installed; pip install '.[export]' in the checkout, or"
        " the wheel as 'FILE.whl[export]'" in str(raised.value)
    )
