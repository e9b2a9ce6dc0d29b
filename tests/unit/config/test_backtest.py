"""Valid and invalid options of a backtest."""

import pytest

from orchestrator.config.backtest import BacktestConfig, alternatives
from orchestrator.config.validation import validated
from orchestrator.errors import ConfigError


def test_shares_are_deduplicated_and_sorted_as_on_the_command_line() -> None:
    config = BacktestConfig.model_validate({"folder": "/past", "wrong_labels": "1, 0.05,0.2,0.05"})
    assert config.wrong_labels == (0.05, 0.2, 1.0)


@pytest.mark.parametrize("shares", ["0", "0.2,1.5", "-0.1", "many", "", "0.1,,0.2"])
def test_a_share_outside_0_to_1_is_rejected(shares: str) -> None:
    with pytest.raises(ConfigError, match=r"--backtest: wrong_labels\[\d\] = "):
        validated(BacktestConfig, {"folder": "/past", "wrong_labels": shares}, "--backtest")


def test_every_value_of_what_if_is_an_override() -> None:
    assert alternatives(["gate.min_new_accuracy=0.5, 0.7", "reactions.shift=refuse"]) == [
        "gate.min_new_accuracy=0.5",
        "gate.min_new_accuracy=0.7",
        "reactions.shift=refuse",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gate.min_new_accuracy", "a.b=VALUE"),
        ("gate.min_new_accuracy=", "a.b=VALUE"),
        ("=0.5", "a.b=VALUE"),
        ("experiment.seed=1,2", "not a setting of the gate"),
    ],
)
def test_what_if_accepts_only_settings_of_gate_and_reactions(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        alternatives([text])
