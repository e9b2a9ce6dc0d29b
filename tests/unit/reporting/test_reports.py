"""Whole pages from values, for runs that are finished, running or failed, and for comparisons."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from orchestrator.config.roles import ROLES
from orchestrator.reporting.comparison import comparison
from orchestrator.reporting.run_report import needed_histories, run_report
from orchestrator.tracking import names
from orchestrator.tracking.tracked_run import TrackedRun
from tests.page_text import EVIL, text_of

NewRun = Callable[..., TrackedRun]


def test_reports_need_neither_torch_nor_ray_nor_mlflow() -> None:
    pages = ", ".join(f"orchestrator.reporting.{page}" for page in ("comparison", "history.page"))
    # a run whose stages are stored has its charts from the store, and draws nothing
    code = "import sys, orchestrator.reporting.run_report; print('matplotlib' in sys.modules)\n"
    code += f"import {pages}; print({{'torch', 'ray', 'mlflow'}} & set(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["False", "set()"]


# --- one run --------------------------------------------------------------------------------------


def test_a_finished_run_shows_both_models_side_by_side(new_run: NewRun) -> None:
    text = text_of(run_report(new_run()))
    # by hand: teacher last (0.9 + 0.8) / 2, average (1.0 + 0.85) / 2, forgetting 1.0 - 0.9; student
    # 0.75, 0.825, 0.2
    assert "Last accuracy mean accuracy over all tasks, at the end 85.0 75.0" in text
    assert "mean of the accuracies after each task 92.5 82.5" in text
    assert "lower is better 10.0 20.0" in text
    assert "the student has 25.0 % of the teacher’s 4,000 1,000" in text
    assert "final prediction of both 95.0" in text
    assert "wall time 1 min 15 s worker time 1 min 00 s stages computed 0 from the store 1" in text
    assert "Task 1 : class 0a, class 0b" in text
    assert "Every setting has its default value." in text


def test_texts_of_users_are_escaped(new_run: NewRun) -> None:
    run = new_run(
        name=EVIL,
        experiment=EVIL,
        tags={names.STATUS_REASON_TAG: EVIL, names.DATASET_TAG: EVIL},
        settings={"name": EVIL},
    )
    html = run_report(run)
    text_of(html)
    assert html.count("&lt;script&gt;") >= 4
    text_of(comparison([run, new_run("b", {"teacher.training.epochs": EVIL})]))


def test_a_failed_run_without_results_shows_the_reason_and_its_configuration(
    new_run: NewRun,
) -> None:
    run = new_run(
        summary=None,
        status="FAILED",
        tags={names.STATUS_REASON_TAG: "the disk is full"},
        settings={"teacher.training.epochs": "3"},
    )
    text = text_of(run_report(run))
    assert "✕ failed" in text
    assert "the disk is full" in text
    assert "No task has been learned. Only the configuration can be shown." in text
    assert "teacher.training.epochs 3" in text


def test_a_running_run_shows_its_complete_rows(new_run: NewRun) -> None:
    histories = {
        "teacher_accuracy/task_00": [(1, 1.0), (2, 0.5), (3, 0.4)],
        "teacher_accuracy/task_01": [
            (2, 0.7),
            (3, 0.4),
        ],  # the third task's own accuracy is not logged yet
        "teacher_training/loss": [(1, 2.0), (2, 1.0)],
    }
    run = new_run(summary=None, status="RUNNING", ended=None, histories=histories)
    assert run.matrix("teacher") == [[1.0], [0.5, 0.7]]
    assert run.matrix("student") == []
    text = text_of(run_report(run))
    assert "these metrics cover the tasks learned so far" in text
    assert "at the end 60.0 –" in text
    assert "Training the teacher" in text


def test_a_run_that_has_not_started_has_a_page(new_run: NewRun) -> None:
    empty = TrackedRun("a" * 32, "bare", "x", "1", "SCHEDULED", None, None)
    assert "? scheduled" in text_of(run_report(empty))


def test_accuracy_histories_are_needed_only_without_a_summary(new_run: NewRun) -> None:
    metrics = {"student_accuracy/task_00": 0.5, "student/accuracy": 0.5}
    assert "student_accuracy/task_00" not in needed_histories(new_run(metrics=metrics))
    needed = needed_histories(new_run(summary=None, metrics=metrics))
    assert "student_accuracy/task_00" in needed
    assert "student/accuracy" not in needed


def test_one_task_is_enough_for_a_report(new_run: NewRun) -> None:
    histories = {f"{role}_accuracy/task_00": [(1, 0.75)] for role in ROLES}
    text = text_of(run_report(new_run(summary=None, histories=histories)))
    assert "Last accuracy mean accuracy over all tasks, at the end 75.0 75.0" in text


def test_a_run_whose_student_inherits_shows_every_cut_and_marks_its_own(new_run: NewRun) -> None:
    def cut(
        stage: str, side: int, num_parameters: int, num_multiply_adds: int
    ) -> dict[str, object]:
        cost = {"num_parameters": num_parameters, "num_multiply_adds": num_multiply_adds}
        return {
            "stage": stage,
            "num_channels": 8,
            "map_size": [side, side],
            "num_features": 16,
            **cost,
        }

    whole = {"num_parameters": 4000, "num_multiply_adds": 20_000_000}
    cuts = [cut("stage1", 8, 400, 5_000_000), cut("stage2", 4, 1000, 15_000_000)]
    run = new_run()
    assert run.summary is not None
    plain = run_report(run)
    summary = {
        **run.summary,
        "cuts": {"chosen": "stage2", "mirrored": True, "teacher": whole, "cuts": cuts},
    }
    html = run_report(new_run(summary=summary))
    text = text_of(html)

    assert "Layers that the student inherits" not in plain
    assert "both models process twice: as it is, and mirrored" in text
    assert "stage1 8 8×8 16 400 10.0 % 5.0 M 25.0 %" in text
    assert "stage2 (this run) 8 4×4 16 1,000 25.0 % 15.0 M 75.0 %" in text
    assert "the whole teacher 4,000 20.0 M" in text
    assert re.search(r'<tr class="this"><th scope="row">stage2 \(this run\)', html)


# --- comparisons ----------------------------------------------------------------------------------


def test_a_comparison_begins_with_the_differences_in_settings(new_run: NewRun) -> None:
    first = new_run("a")
    other = new_run(
        "b",
        {"student.temperature": "9.0", "store.uri": "/elsewhere"},
        summary=None,
        histories=as_histories([[0.9], [0.8, 0.9]]),
    )
    text = text_of(comparison([first, other]))
    assert text.index("Settings that differ") < text.index("Results, in percent")
    assert "student.temperature 2.0 9.0" in text
    assert text.index("Folders, addresses and resources") < text.index("/elsewhere")
    # by hand: the student's last accuracy 0.75 became 0.85, forgetting 0.2 became 0.1
    assert "at the end Student 75.0 85.0 +10.0" in text
    assert "lower is better Student 20.0 10.0 −10.0" in text
    assert "B − A" in text


def test_less_forgetting_is_better_and_less_accuracy_is_worse(new_run: NewRun) -> None:
    html = comparison(
        [new_run("a"), new_run("b", summary=None, histories=as_histories([[0.6], [0.55, 0.6]]))]
    )
    classes = dict(
        re.findall(
            r"Student</td>.*?<span class=\"(better|worse)\">([+−][\d.]+)</span>",
            html.replace("\n", ""),
        )
    )
    assert classes.keys() == {"better", "worse"}
    assert '<span class="better">−15.0</span>' in html, "forgetting 20.0 became 5.0"
    assert '<span class="worse">−17.5</span>' in html, "last accuracy 75.0 became 57.5"


def test_warnings_about_incomparable_runs_come_first(new_run: NewRun) -> None:
    runs = [
        new_run("a"),
        new_run(
            "b",
            tags={names.DATASET_FINGERPRINT_TAG: "0" * 64, names.DATASET_TAG: "animals"},
            status="KILLED",
        ),
        new_run("c", summary=None, histories=as_histories([[0.9]])),
    ]
    text = text_of(comparison(runs))
    top = text[: text.index("Runs")]
    assert (
        "The runs learned different data (A: digits (ffffffff), B: animals (00000000), C: digits"
        " (ffffffff))" in top
    )
    assert "different numbers of tasks (A: 2, B: 2, C: 1)" in top
    assert "Not finished: B (KILLED)" in top


def test_comparable_runs_have_no_warning(new_run: NewRun) -> None:
    assert 'class="notice"' not in comparison([new_run("a"), new_run("b")])


def test_a_different_class_order_is_reported(new_run: NewRun) -> None:
    assert "The class order differs" in text_of(
        comparison([new_run("a"), new_run("b", {"scenario.class_order": "7"})])
    )


def test_a_run_without_numbers_keeps_its_letter(new_run: NewRun) -> None:
    text = text_of(comparison([new_run("a", summary=None), new_run("b"), new_run("c")]))
    assert "at the end Student – 75.0 75.0" in text
    assert "None of these runs has learned a task" in text_of(
        comparison([new_run("a", summary=None), new_run("b", summary=None)])
    )


@pytest.mark.parametrize("num_runs", [2, 30])
def test_equal_matrices_are_reported_as_equal(new_run: NewRun, num_runs: int) -> None:
    text = text_of(
        comparison(
            [new_run(letter) for letter in "0123456789abcdefghijklmnopqrstuvwxyz"[:num_runs]]
        )
    )
    assert text.count("has the same matrix as A") == 2 * (num_runs - 1)
    assert ("AD" in text) == (num_runs == 30), "after Z comes AA"


def as_histories(matrix: list[list[float]]) -> dict[str, list[tuple[int, float]]]:
    """Return the metric histories that a run with this matrix for both models has logged."""
    return {
        f"{role}_accuracy/task_{task:02}": [
            (row + 1, matrix[row][task]) for row in range(task, len(matrix))
        ]
        for role in ROLES
        for task in range(len(matrix))
    }
