"""A constraint is a comparison of paths and numbers."""

import pytest

from orchestrator.config.constraints import parse_constraint

PULL, PUSH = "teacher.joint_embedding.pull_margin", "teacher.joint_embedding.push_margin"


@pytest.mark.parametrize(
    ("text", "push", "pull", "holds"),
    [
        (f"{PUSH} > {PULL} + 0.1", 0.75, 0.5, True),
        (f"{PUSH}>{PULL}+0.1", 0.5, 0.5, False),
        (f"{PUSH} >= {PULL} - 1e-1", 0.45, 0.5, True),
        (f"{PUSH} - 1", 1, 1, None),
        (f"{PUSH} < {PULL}", 0.5, 0.5, False),
        (f"{PUSH} <= {PULL}", 0.5, 0.5, True),
        (f"{PUSH} == 1.25", 1.25, 0, True),
        (f"{PUSH} != 1.25", 1.25, 0, False),
        (f"-0.5 < {PULL} - 1", 0, 0.75, True),
        (f"0.5 < {PUSH} + -1", 1.5, 0, False),
        (f"__import__('os').system('true') < {PUSH}", 1, 1, None),
    ],
)
def test_a_constraint_is_a_comparison_and_nothing_else(
    text: str, push: float, pull: float, holds: bool | None
) -> None:
    if holds is None:
        with pytest.raises(ValueError, match="is not of the form"):
            parse_constraint(text)
    else:
        assert parse_constraint(text).holds({PUSH: push, PULL: pull}) is holds
