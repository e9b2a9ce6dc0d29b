from collections.abc import Callable
from datetime import timedelta

import pytest

from orchestrator.reporting.peers import peer_rows
from orchestrator.tracking.tracked_run import TrackedRun

NewRun = Callable[..., TrackedRun]
KEYS = [
    f"final/{role}_{measure}"
    for role in ("teacher", "student")
    for measure in ("last_accuracy", "average_incremental_accuracy", "forgetting")
]


def metrics(*values: float) -> dict[str, float]:
    return dict(zip(KEYS, values, strict=True))


def finetuned(new_run: NewRun, letter: str, seed: str, last: float) -> TrackedRun:
    return new_run(
        letter,
        {"method.kind": "finetuning", "seed": seed},
        summary=None,
        metrics=metrics(last, 0.5, 0.9, last, 0.5, 0.9),
    )


def test_a_run_without_peers_has_no_table(new_run: NewRun) -> None:
    run = new_run()
    assert peer_rows(run, [run]) == []


def test_seeds_of_a_method_are_one_row_with_mean_and_deviation(new_run: NewRun) -> None:
    run = new_run()
    rows = peer_rows(
        run, [run, finetuned(new_run, "b", "0", 0.2), finetuned(new_run, "c", "1", 0.3)]
    )
    assert [row.label for row in rows] == ["this configuration (dual_teacher)", "finetuning"]
    assert [row.is_this for row in rows] == [True, False]
    assert rows[0].numbers[:3] == ["85.0", "92.5", "10.0"]
    assert rows[1].seeds == "0, 1"
    assert rows[1].numbers[0] == "25.0 ± 7.1"


def test_an_ablation_is_named_by_what_it_changes(new_run: NewRun) -> None:
    ablation = new_run("b", {"student.embedding_weight": "0.0"})
    assert [row.label for row in peer_rows(new_run(), [ablation])][
        1
    ] == "student.embedding_weight = 0.0"


def test_two_configurations_of_another_method_have_two_names(new_run: NewRun) -> None:
    plain = new_run("b", {"method.kind": "finetuning"})
    hot = new_run("c", {"method.kind": "finetuning", "student.temperature": "9"})
    assert [row.label for row in peer_rows(new_run(), [hot, plain])][1:] == [
        "finetuning",
        "finetuning, student.temperature = 9",
    ]


def test_a_very_different_configuration_and_other_classes_are_no_peers(new_run: NewRun) -> None:
    far = new_run(
        "b",
        {
            f"student.{name}": "9"
            for name in ("temperature", "embedding_weight", "anchor_weight", "mixture_weight")
        },
    )
    other_classes = new_run("c", {"scenario.class_order": "3", "method.kind": "finetuning"})
    assert peer_rows(new_run(), [far, other_classes]) == []


def test_other_methods_come_before_ablations_and_small_changes_before_larger_ones(
    new_run: NewRun,
) -> None:
    two = new_run("b", {"student.temperature": "9", "student.anchor_weight": "9"})
    one = new_run("c", {"student.temperature": "9"})
    rows = peer_rows(new_run(), [two, one, finetuned(new_run, "d", "0", 0.2)])
    assert [row.label for row in rows[1:3]] == ["finetuning", "student.temperature = 9"]
    assert set(rows[3].label.split(", ")) == {
        "student.temperature = 9",
        "student.anchor_weight = 9",
    }


def test_of_two_runs_of_one_seed_the_newest_counts_except_for_the_reported_run(
    new_run: NewRun,
) -> None:
    run = new_run()
    assert run.started is not None
    later = run.started + timedelta(hours=1)
    again = new_run("b", summary=None, metrics=metrics(0.1, 0.1, 0.1, 0.1, 0.1, 0.1), started=later)
    old, new = finetuned(new_run, "c", "0", 0.2), finetuned(new_run, "d", "0", 0.4)
    rows = peer_rows(run, [again, TrackedRun(**{**new.__dict__, "started": later}), old])
    assert rows[0].numbers[0] == "85.0"
    assert rows[1].numbers[0] == "40.0"


@pytest.mark.parametrize("status", ["KILLED", "RUNNING"])
def test_an_unfinished_reported_run_is_not_part_of_the_mean(new_run: NewRun, status: str) -> None:
    left = metrics(0.1, 0.1, 0.1, 0.1, 0.1, 0.1)  # killed while it wrote its files
    killed = new_run("a", {"seed": "7"}, summary=None, status=status, metrics=left)
    own, _ = peer_rows(killed, [new_run("b"), finetuned(new_run, "c", "0", 0.2)])
    assert (own.seeds, own.numbers[0]) == ("0 (this run has not finished)", "85.0")


def test_a_finished_run_is_preferred_to_a_killed_one_of_the_same_seed(new_run: NewRun) -> None:
    killed = new_run("a", summary=None, status="KILLED")
    own, *_ = peer_rows(killed, [new_run("b")])
    assert own.seeds == "0 (this run has not finished)"
    assert own.numbers[0] == "85.0"
