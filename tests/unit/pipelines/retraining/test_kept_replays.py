"""A backtest reuses finished replays with equal inputs."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import Retraining
from orchestrator.data.growing_folder import SourceFile
from orchestrator.pipelines.retraining.kept_replays import KeptReplays, replay_key
from orchestrator.retraining.backtest.arrivals import Arrival
from orchestrator.retraining.backtest.replays import PlannedReplay, Replay

ARRIVALS = [
    Arrival("first", (SourceFile("a.parquet", 10, 1.5),)),
    Arrival("second", (SourceFile("b.parquet", 20, 2.5),)),
]
PLANNED = PlannedReplay("", (0, 1), 0.2, 1)


def key(
    changes: dict[str, dict[str, Any]] | None = None,
    planned: PlannedReplay = PLANNED,
    arrivals: list[Arrival] | None = None,
) -> str:
    values: dict[str, dict[str, Any]] = {"experiment": {}, "source": {"path": "/incoming"}}
    for section, fields in (changes or {}).items():
        values[section] = values.get(section, {}) | fields
    return replay_key(planned, arrivals or ARRIVALS, Retraining.model_validate(values))


@pytest.mark.parametrize(
    "changes",
    [
        {"source": {"path": "/elsewhere", "marker": ".done"}},
        {"experiment": {"store": {"uri": "/stages"}, "execution": {"kind": "in_process"}}},
        {"experiment": {"tracking": {"uri": "sqlite:////other.db"}}},
        {"lease": {"uri": "/journal"}},
        {"webhook": {"url_variable": "OTHER"}},
        {"monitoring": {"silence_factor": 9.0}},
    ],
    ids=str,
)
def test_the_key_of_a_replay_does_not_depend_on_where_it_runs(
    changes: dict[str, dict[str, Any]],
) -> None:
    assert key(changes) == key()


@pytest.mark.parametrize(
    "changes",
    [
        {"gate": {"margin": 0.03}},
        {"reactions": {"shift": "refuse"}},
        {"experiment": {"seed": 1}},
        {"source": {"held_out_fraction": 0.3}},
    ],
    ids=str,
)
def test_another_gate_seed_or_split_gives_another_replay(
    changes: dict[str, dict[str, Any]],
) -> None:
    assert key(changes) != key()


def test_other_files_order_or_wrong_labels_give_another_replay() -> None:
    rewritten = [ARRIVALS[0], Arrival("second", (SourceFile("b.parquet", 20, 3.5),))]
    others = {
        key(arrivals=rewritten),
        key(planned=PlannedReplay("", (1, 0), 0.2, 1)),
        key(planned=PlannedReplay("", (0, 1), 0.3, 1)),
        key(planned=PlannedReplay("", (0, 1))),
    }
    assert len(others | {key()}) == 5


def test_an_unreadable_kept_replay_is_repeated(tmp_path: Path) -> None:
    kept = KeptReplays(tmp_path / "replays")
    assert kept.find(PLANNED, "k") is None
    kept.keep(Replay(PLANNED, ()), "k")
    assert kept.find(PLANNED, "k") == Replay(PLANNED, ())
    other = PlannedReplay("gate.margin=0.02", (0, 1), 0.2, 1)
    assert kept.find(other, "k") == Replay(other, ())
    for damaged in ("{", "{}", '{"ticks": [{}]}'):
        (tmp_path / "replays" / "k.json").write_text(damaged)
        assert kept.find(PLANNED, "k") is None
