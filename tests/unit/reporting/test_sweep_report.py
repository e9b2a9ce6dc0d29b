import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.figures.trials import Importance, TrialRow
from orchestrator.reporting.sweep_facts import SweepFacts, best_trials, summary_of_trials
from orchestrator.reporting.sweep_report import sweep_report
from orchestrator.tracking import names
from orchestrator.tracking.tracked_run import TrackedRun

NewRun = Callable[..., TrackedRun]
RATE, KIND = "student.training.learning_rate", "student.transfer.kind"
IMPORTANCES = {RATE: Importance(0.8, 0.6, 1.0), KIND: Importance(0.2, 0.0, 0.4)}
SPACE = {
    "name": "rates",
    "metric": {"student/last_accuracy": 1.0, "student/forgetting": -0.5},
    "mode": "max",
    "split": "validation",
    "parameters": {
        RATE: {"kind": "log_uniform", "low": 0.001, "high": 0.1},
        KIND: {"kind": "choice", "values": ["fixed", "linear"], "when": {RATE: 0.1}},
    },
    "searcher": {"kind": "random", "seed": 0},
    "num_trials": 3,
    "budget": {"wall_seconds": 60.0, "worker_seconds": None},
}


@pytest.fixture
def sweep(new_run: NewRun) -> TrackedRun:
    run = new_run("a", name="sweep rates", summary=None, tags={names.SWEEP_TAG: "a" * 32})
    assert run.is_sweep
    return run


@pytest.fixture
def trials(new_run: NewRun) -> list[TrackedRun]:
    def trial(
        number: int, rate: float, objective: float | None, status: str, **metrics: float
    ) -> TrackedRun:
        tags = {
            names.TRIAL_TAG: str(number),
            names.PARENT_RUN_TAG: "a" * 32,
            names.SWEEP_TAG: "a" * 32,
        }
        tags |= {names.STATUS_REASON_TAG: "the loss is not finite"} if status == "FAILED" else {}
        values = {
            **({names.TRIAL_OBJECTIVE: objective} if objective is not None else {}),
            **metrics,
        }
        return new_run(
            "bcde"[number],
            {RATE: str(rate)},
            status=status,
            tags=tags,
            metrics=values,
            summary=None,
        )

    cost = {
        names.TRIAL_STAGES_COMPUTED: 4,
        names.TRIAL_STAGES_CACHED: 0,
        names.FINAL_WORKER_SECONDS: 40.0,
        names.TRIAL_SECONDS: 41.0,
    }
    shared = {
        **cost,
        names.TRIAL_STAGES_COMPUTED: 2,
        names.TRIAL_STAGES_CACHED: 2,
        names.FINAL_WORKER_SECONDS: 20.0,
    }
    return [
        trial(0, 0.001, 0.5, "FINISHED", **cost),
        trial(1, 0.01, 0.75, "FINISHED", **shared),
        trial(2, 0.1, None, "FAILED"),
        trial(3, 0.05, 0.9, "KILLED"),
    ]


def facts(sweep: TrackedRun, summary: dict[str, Any], space: dict[str, Any]) -> SweepFacts:
    rows = [
        TrialRow(row["trial"], row["status"], row["value"], row["parameters"])
        for row in summary["trials"]
    ]
    return SweepFacts(sweep, summary, space, rows, IMPORTANCES if space else {}, "name: best\n")


def text_of(html: str) -> str:
    return re.sub(
        r"\s+", " ", re.sub(r"<[^>]+>", " ", html[html.index("<body") :].replace("<wbr>", ""))
    )


def test_the_trials_runs_give_the_same_summary_as_the_file(
    sweep: TrackedRun, trials: list[TrackedRun]
) -> None:
    summary = summary_of_trials(sweep, trials, SPACE)
    assert [(row["trial"], row["status"], row["value"]) for row in summary["trials"]] == [
        (0, "finished", 0.5),
        (1, "finished", 0.75),
        (2, "failed", None),
        (3, "stopped", None),  # its value so far belongs to fewer tasks
    ]
    assert summary["best"] == {
        "trial": 1,
        "value": 0.75,
        "parameters": {RATE: 0.01, KIND: "threshold"},
    }
    assert summary["worker_seconds"] == 60.0
    assert summary["metric"] == "1 * student/last_accuracy - 0.5 * student/forgetting"


def test_a_front_is_computed_from_the_trials_runs_also_while_the_sweep_runs(
    sweep: TrackedRun, trials: list[TrackedRun]
) -> None:
    metrics = {"student/last_accuracy": "max", "student/num_parameters": "min"}
    values = {0: (0.5, 100), 1: (0.75, 200)}
    several = [
        replace(
            trial,
            metrics={
                **trial.metrics,
                **dict(zip(map(names.trial_value, metrics), of, strict=True)),
            },
        )
        for number, trial in enumerate(trials)
        for of in [values.get(number, (0.1, 900))]
    ]
    space = {**SPACE, "metric": "student/last_accuracy", "metrics": metrics}
    summary = summary_of_trials(sweep, several, space)
    assert (summary["front"], summary["best"]) == ([1, 0], None)
    text = text_of(sweep_report(facts(sweep, summary, space)))
    assert "The front has 2 trials" in text
    assert "The search space has no rule that chooses one of them" in text
    assert "75.0 %" in text
    # a sweep started by a version that logged one number
    earlier = summary_of_trials(sweep, trials, space)
    assert earlier["front"] == []
    assert "The front has 0 trials" in text_of(sweep_report(facts(sweep, earlier, space)))


def test_without_a_search_space_the_parameters_are_the_settings_that_differ(
    sweep: TrackedRun, trials: list[TrackedRun]
) -> None:
    summary = summary_of_trials(sweep, trials, {})
    assert [row["parameters"] for row in summary["trials"]] == [
        {RATE: 0.001},
        {RATE: 0.01},
        {RATE: 0.1},
        {RATE: 0.05},
    ]


def test_the_smallest_value_is_best_when_minimising() -> None:
    rows = [
        {"trial": number, "status": "finished", "value": value}
        for number, value in enumerate((0.3, 0.1, 0.1))
    ]
    assert [row["trial"] for row in best_trials({"mode": "min", "trials": rows})] == [1, 2, 0]
    assert [row["trial"] for row in best_trials({"mode": "max", "trials": rows})] == [0, 1, 2]


def test_the_page_shows_the_best_trial_the_space_the_failures_and_the_saving_by_sharing(
    sweep: TrackedRun, trials: list[TrackedRun]
) -> None:
    text = text_of(sweep_report(facts(sweep, summary_of_trials(sweep, trials, SPACE), SPACE)))
    assert "The best trial is trial 1" in text
    assert "stages computed 6 stages shared 2" in text
    # by hand: 60 worker-seconds for 6 stages, 2 shared
    assert "would have cost about 20 s of worker time" in text
    assert "2 failed – the loss is not finite" in text
    assert f"{RATE} log_uniform 0.001 … 0.1 –" in text
    assert f"{KIND} choice [fixed, linear] {RATE} = 0.1" in text
    assert "searcher random, seed 0" in text
    assert "budget wall_seconds 60" in text
    assert "Importance of the parameters" in text
    assert "best.yaml, the complete experiment name: best" in text


def test_a_sweep_that_was_killed_at_its_start_has_a_page(sweep: TrackedRun) -> None:
    text = text_of(sweep_report(facts(sweep, summary_of_trials(sweep, [], {}), {})))
    assert "No trial has finished" in text
    assert "This sweep ended before its search space was stored" in text


def test_all_but_the_best_twenty_trials_are_folded(
    sweep: TrackedRun, trials: list[TrackedRun]
) -> None:
    summary = summary_of_trials(sweep, trials, SPACE)
    first = summary["trials"][0]
    summary["trials"] = [{**first, "trial": number, "value": number / 100} for number in range(25)]
    html = sweep_report(facts(sweep, summary, SPACE))
    assert "The other 5 finished trials" in html
    assert html.index("The other 5 finished trials") < html.index(
        '<th scope="row" class="number">4</th>'
    )
    assert html.index("The other 5 finished trials") > html.index(
        '<th scope="row" class="number">5</th>'
    )


def test_took_and_wall_clock_agree_after_a_resume(sweep: TrackedRun) -> None:
    # MLflow counts from the first start to the last end: 75 s here, with the pause
    summary = {**summary_of_trials(sweep, [], SPACE), "wall_seconds": 20.0}
    html = sweep_report(SweepFacts(sweep, summary, SPACE, [], {}, ""))
    assert "took <b>20 s</b>" in html
    assert "<dt>wall time</dt><dd>20 s</dd>" in html


def test_the_objective_is_in_percent(sweep: TrackedRun, trials: list[TrackedRun]) -> None:
    summary = summary_of_trials(sweep, trials, SPACE)
    html = sweep_report(SweepFacts(sweep, summary, SPACE, [], {}, ""))
    assert "data is <b>75.0 %</b>" in html
    assert "0.7500" not in html
