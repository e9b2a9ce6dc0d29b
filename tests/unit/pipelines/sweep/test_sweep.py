"""Files of a sweep, and their permissions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import Experiment, SearchSpace, load_experiment
from orchestrator.config.execution import RayConfig
from orchestrator.config.overrides import with_values
from orchestrator.distributed.resources import available_resources
from orchestrator.errors import InterruptedRunError
from orchestrator.pipelines.sweep.sweep import sweep
from orchestrator.stages import Preparation, Work
from orchestrator.stages.claims import NO_CLAIMS
from orchestrator.tuning import share
from orchestrator.tuning.ledger import ledger_of
from orchestrator.tuning.objective import Objective
from orchestrator.tuning.share import TrialRoom
from orchestrator.tuning.trial import TrialInProcess
from orchestrator.tuning.trial_source import TrialSource
from orchestrator.tuning.trial_status import TrialStatus

SPACE = {
    "name": "test",
    "searcher": {"kind": "grid"},
    "parameters": {"student.temperature": {"kind": "choice", "values": [1, 8]}},
}
PASSWORD = "hunter2"  # noqa: S105 - of nobody
ADDRESS = "http://***@127.0.0.1:9"  # no server listens there


def compute_here(
    search_space: SearchSpace, work: Work, room: TrialRoom, source: TrialSource, log_file: Path
) -> None:
    """Replace Ray: run one trial after another in this process."""
    for plan in iter(source.next_trial, None):
        source.trial_started(plan.number)
        trial = TrialInProcess(
            plan.experiments,
            Objective.of(search_space).knowing(plan.known),
            room.share,
            NO_CLAIMS,
            Preparation(),
        )
        for _ in work.scenario.tasks:
            source.trial_reported(plan.number, trial.learn_next_task())
        source.trial_ended(plan.number, TrialStatus.FINISHED, "")


@pytest.fixture
def experiment_with(
    tiny_experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Experiment]:
    """Return an experiment whose tracking store is unreachable and needs a password."""
    import orchestrator.tuning.ray_tune

    monkeypatch.setattr(orchestrator.tuning.ray_tune, "compute_trials", compute_here)

    def make(password: str) -> Experiment:
        tracking = {
            "uri": ADDRESS.replace("***", f"me:{password}"),
            "spool": str(tmp_path / "spool"),
            "required": False,
            "models": "none",
        }
        values = tiny_experiment.model_dump() | {
            "store": {"uri": f"{tmp_path}/store"},
            "tracking": tracking,
        }
        return Experiment.model_validate(values)

    return make


def test_a_sweep_stores_no_password_and_resumes_without_it(
    experiment_with: Callable[[str], Experiment], tmp_path: Path
) -> None:
    space, output = SearchSpace.model_validate({**SPACE, "num_trials": 1}), tmp_path / "out"
    sweep(space, experiment_with(PASSWORD), output)
    # a password may change while a sweep is interrupted
    summary: dict[str, Any] = sweep(
        SearchSpace.model_validate(SPACE), experiment_with("another"), output, resume=True
    ).summary
    assert [trial["status"] for trial in summary["trials"]] == ["finished"] * 2
    files = [path for path in output.rglob("*") if path.is_file()]
    assert {
        "ledger.jsonl",
        "best.yaml",
        "summary.json",
        "search_space.yaml",
        "report.html",
        "summary-seed-0.json",
    } <= {path.name for path in files}
    for secret in (PASSWORD, "another"):
        assert [path.name for path in files if f":{secret}@".encode() in path.read_bytes()] == []
    assert all(ADDRESS in (output / name).read_text() for name in ("ledger.jsonl", "best.yaml"))
    header = ledger_of(output).header
    assert header is not None
    # as a report reads it
    assert Experiment.model_validate(header.experiment).tracking.uri == "http://127.0.0.1:9"
    warm = SearchSpace.model_validate({**SPACE, "warm_start": str(output)})
    assert sweep(warm, experiment_with(PASSWORD), tmp_path / "warm").summary["trials"] == []


def test_the_room_for_trials_is_checked_once(
    experiment_with: Callable[[str], Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RayConfig] = []

    def noting(execution: RayConfig) -> tuple[dict[str, float], str]:
        asked.append(execution)
        return available_resources(execution)

    monkeypatch.setattr(share, "available_resources", noting)
    space, experiment = SearchSpace.model_validate(SPACE), experiment_with(PASSWORD)
    sweep(space, experiment, tmp_path / "alone")
    assert len(asked) == 1
    room = share.find_room(experiment.execution)
    sweep(space, experiment, tmp_path / "asked already", room=room)
    assert len(asked) == 2


def test_the_result_has_the_trials_and_the_best_one_as_a_complete_experiment(
    experiment_with: Callable[[str], Experiment], tmp_path: Path
) -> None:
    experiment = experiment_with(PASSWORD)
    result = sweep(SearchSpace.model_validate(SPACE), experiment, tmp_path / "out")
    table = result.trials
    assert list(table["student.temperature"]) == [1, 8]
    assert result.best is not None
    assert result.best.value == table["student/average_incremental_accuracy"].max()
    assert result.front == [result.best]
    # the sweep wrote its study to a file; the result holds a copy in memory
    assert result.study.user_attrs["sweep_id"] == result.summary["sweep_id"]
    assert result.study.best_value == result.best.value
    assert [it.user_attrs["trial"] for it in result.study.trials] == list(table["trial"])
    (tmp_path / "studies.db").unlink()
    assert result.study.best_value == result.best.value
    assert result.summary["best"] == {
        "trial": result.best.number,
        "value": result.best.value,
        "parameters": result.best.parameters,
    }
    assert result.best_experiment == with_values(experiment, result.best.parameters)
    assert result.summary == json.loads((result.output_dir / "summary.json").read_text())


def test_the_result_has_no_best_trial_if_none_has_finished(
    experiment_with: Callable[[str], Experiment], tmp_path: Path
) -> None:
    space = SearchSpace.model_validate({**SPACE, "budget": {"wall_seconds": 1e-9}})
    result = sweep(space, experiment_with(PASSWORD), tmp_path / "out")
    assert (result.best, result.front, result.best_experiment) == (None, [], None)
    assert list(result.trials.columns)[:2] == ["trial", "status"]
    assert len(result.trials) == len(result.study.trials) == 0


def test_several_objectives_give_a_front_of_experiments_and_the_one_that_the_rule_chooses(
    experiment_with: Callable[[str], Experiment], tmp_path: Path
) -> None:
    backbones = ["small_cnn_tiny", "small_cnn", "resnet20"]
    values = {
        "name": "front",
        "searcher": "grid",
        "parameters": {"student.backbone.kind": {"kind": "choice", "values": backbones}},
        # of the two allowed sizes only the smaller satisfies the rule, whatever the accuracies
        "metrics": {"student/num_parameters": "min", "student/multiply_adds": "max"},
        "bounds": {"student/num_parameters": "<= 200_000"},
        "choose": {"student/multiply_adds": "<= 1e6", "best": "student/num_parameters"},
    }
    experiment, output = experiment_with(PASSWORD), tmp_path / "out"
    result = sweep(SearchSpace.model_validate(values), experiment, output)
    assert list(result.trials["student.backbone.kind"]) == backbones[:2]
    assert [trial.number for trial in result.front] == result.summary["front"] == [0, 1]
    assert result.best is not None
    assert result.summary["best"]["trial"] == result.best.number == 0
    assert result.summary["best"]["values"] == result.best.values
    for trial in result.front:
        one_of_front = load_experiment(output / "front" / f"trial-{trial.number:04}.yaml")
        assert one_of_front.student.backbone.kind == backbones[trial.number]
    assert result.best_experiment is not None
    assert load_experiment(output / "best.yaml").student == result.best_experiment.student
    front, leaders = (
        [line.split(",")[:3] for line in (output / name).read_text().splitlines()]
        for name in ("front.csv", "leaderboard.csv")
    )
    assert front[0] == ["trial", "run_id", "student/num_parameters"]
    assert [line[0] for line in front[1:]] == ["0", "1"]
    assert leaders[0] == ["rank", "trial", "front"]
    assert (output / "figures" / "pareto_front.png").stat().st_size > 10_000
    page = (output / "report.html").read_text()
    assert "The <b>front</b> has 2 trials" in page
    assert "best student/num_parameters with student/multiply_adds &lt;= 1e6" in page
    assert [it.values for it in result.study.best_trials] == [
        list(trial.values.values()) for trial in result.front
    ]
    # a stricter rule that no trial satisfies, on the same trials
    values["choose"] = {"student/multiply_adds": "<= 1", "best": "student/num_parameters"}
    again = sweep(SearchSpace.model_validate(values), experiment, output, resume=True)
    assert again.best is None
    assert again.summary["front"] == [0, 1]
    assert not (output / "best.yaml").exists()


@pytest.mark.parametrize(
    ("resume", "advice"),
    [(False, "the same command with --resume resumes it"), (None, "the same command resumes it")],
)
def test_an_interrupted_sweep_prints_how_to_resume_it(
    experiment_with: Callable[[str], Experiment],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    resume: bool | None,
    advice: str,
) -> None:
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("orchestrator.tuning.ray_tune.compute_trials", interrupt)
    space, output = SearchSpace.model_validate(SPACE), tmp_path / "out"
    with pytest.raises(InterruptedRunError) as interrupted:
        sweep(space, experiment_with(PASSWORD), output, resume=resume)
    assert str(interrupted.value).endswith(f"is closed as KILLED; {advice}")
    assert ledger_of(output).wall_seconds >= 0
