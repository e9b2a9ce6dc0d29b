"""`orchestrator list` on a real MLflow store: runs, sweeps, champions and retrainings, filtered and
limited, as text and as JSON.
"""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import pytest
from mlflow import MlflowClient

from orchestrator.cli.list import list_records
from orchestrator.config.experiment import TrackingConfig
from orchestrator.pipelines.records.listing import RUN_STATES, VERSION_STATES
from orchestrator.retraining.version_states import CHAMPION, VersionState
from orchestrator.tracking import RunStatus, names, open_run
from orchestrator.tracking.names import STATE_TAG
from orchestrator.tracking.registry import REASON_TAG, TEACHER_TAG

Command = Callable[..., "subprocess.CompletedProcess[str]"]
LAST = names.final_metric("student", "last_accuracy")
AVERAGE = names.final_metric("student", "average_incremental_accuracy")


class Recorded(NamedTuple):
    """A tracking store, and the ids of its runs by name."""

    uri: str
    ids: dict[str, str]


@pytest.fixture(scope="module")
def recorded(
    new_database: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Recorded:
    """Record three runs, the last in another experiment; a sweep with two trials; a model with a
    champion, a predecessor and a rejected version.
    """
    folder = tmp_path_factory.mktemp("listed")
    uri = new_database(folder)
    tracking = TrackingConfig(uri=uri, spool=folder / "spool")
    ids = {}
    for name, experiment, method, last in (
        ("first", "digits", "dual_teacher", 0.87993),
        ("second", "digits", "finetuning", 0.1),
        ("third", "photos", "finetuning", 1.0),
    ):
        run = open_run(tracking, experiment, name, {names.METHOD_TAG: method, "team": "it's blue"})
        run.log_metrics({LAST: last, AVERAGE: 0.5}, names.FINAL_STEP)
        run.close(RunStatus.FAILED if name == "second" else RunStatus.FINISHED)
        ids[name] = run.run_id
    sweep = open_run(tracking, "digits", "rates", {})
    sweep.set_tags({names.SWEEP_TAG: sweep.run_id})
    for number in range(2):
        sweep.open_child(f"trial {number}", {names.TRIAL_TAG: str(number)}).close(
            RunStatus.FINISHED
        )
    sweep.close(RunStatus.KILLED)
    register(uri, ids)
    return Recorded(uri, {**ids, "rates": sweep.run_id})


def register(uri: str, ids: dict[str, str]) -> None:
    client = MlflowClient(uri, uri)
    for model in ("pets-student", "pets-teacher"):
        client.create_registered_model(model)
        for number, state in enumerate(("previous", "candidate", "rejected"), start=1):
            facts = {"role": model[5:], "num_classes": str(number), "last_accuracy": "0.87993"}
            own = {TEACHER_TAG: str(number)} if model == "pets-student" else {}
            client.create_model_version(
                model,
                f"file:///nowhere/{number}",
                ids["third" if number == 3 else "first"],
                {**facts, **own, STATE_TAG: state, REASON_TAG: f"reason {number}"},
            )
        client.set_registered_model_alias(model, CHAMPION, "2")
    client.create_registered_model("plain-student")  # registered by a run, not by a retraining
    client.create_model_version(
        "plain-student", "file:///nowhere", ids["first"], {"role": "student"}
    )


@pytest.fixture
def listed(recorded: Recorded, orchestrator_command: Command) -> Callable[..., "dict[str, Any]"]:
    def document(*arguments: str) -> dict[str, Any]:
        done = orchestrator_command("list", "--json", *arguments, "--tracking-uri", recorded.uri)
        assert (done.returncode, done.stderr) == (0, "")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return document


def named(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] if "name" in row else f"{row['model']}/{row['version']}" for row in rows]


Listed = Callable[..., "dict[str, Any]"]


def test_json_has_every_kind_newest_first_and_no_trials(listed: Listed, recorded: Recorded) -> None:
    found = listed()
    assert named(found["runs"]) == ["third", "second", "first"]
    assert named(found["sweeps"]) == ["rates"]
    assert named(found["champions"]) == ["pets-student/2"]
    assert named(found["retrainings"]) == [f"pets-student/{number}" for number in (3, 2, 1)]
    assert found["more"] == []
    assert found["tracking_uri"] == recorded.uri
    first = found["runs"][-1]
    assert first["run_id"] == recorded.ids["first"]
    assert (first["state"], first["experiment"], first["method"]) == (
        "finished",
        "digits",
        "dual_teacher",
    )
    assert first["final"] == {
        "student_last_accuracy": 0.87993,
        "student_average_incremental_accuracy": 0.5,
    }
    assert first["tags"]["team"] == "it's blue"
    assert found["sweeps"][0]["state"] == "killed"


def test_the_state_of_a_version_follows_its_alias(listed: Listed) -> None:
    champion = listed("champions")["champions"][0]
    assert champion["state"] == "champion"
    assert champion["aliases"] == ["champion"]
    assert (champion["num_classes"], champion["last_accuracy"]) == (2, 0.87993)
    states = [row["state"] for row in listed("retrainings")["retrainings"]]
    assert states == ["rejected", "champion", "previous"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["runs"], ["third", "second", "first"]),
        (["sweeps"], ["rates"]),
        (["champions"], ["pets-student/2"]),
        (["retrainings", "--limit", "1"], ["pets-student/3"]),
        (["--experiment", "photos"], ["third", "pets-student/3"]),
        (["--state", "failed"], ["second"]),
        (["--state", "killed"], ["rates"]),
        (["--state", "running"], []),
        (["--state", "champion"], ["pets-student/2", "pets-student/2"]),
        (["--state", "rejected", "--experiment", "digits"], []),
        (["--tag", "orchestrator.method=finetuning"], ["third", "second"]),
        (["--tag", "orchestrator.method=finetuning", "--state", "failed"], ["second"]),
        (["runs", "--tag", "team=it's blue"], ["third", "second", "first"]),
        (["runs", "--tag", "team=it's red"], []),
        (["--tag", f"{STATE_TAG}=rejected"], ["pets-student/3"]),
    ],
    ids=" ".join,
)
def test_filters_select_matching_rows(
    listed: Listed, arguments: list[str], expected: list[str]
) -> None:
    found = listed(*arguments)
    rows = [row for kind in ("runs", "sweeps", "champions", "retrainings") for row in found[kind]]
    assert named(rows) == expected


def test_a_limit_applies_to_each_kind_and_truncation_is_reported(listed: Listed) -> None:
    found = listed("--limit", "2")
    assert (named(found["runs"]), named(found["sweeps"])) == (["third", "second"], ["rates"])
    assert found["more"] == ["runs", "retrainings"]
    assert listed("--limit", "3")["more"] == []


def test_the_table_has_percent_with_one_decimal_and_short_ids(
    recorded: Recorded, orchestrator_command: Command
) -> None:
    done = orchestrator_command("list", "--limit", "3", "--tracking-uri", recorded.uri)
    assert (done.returncode, done.stderr) == (0, "")
    rows = {
        cells[0]: cells
        for line in done.stdout.splitlines()
        if (cells := [cell.strip() for cell in line.strip("│").split("│")])
    }
    assert rows[recorded.ids["first"][:8]][1:5] == ["first", "digits", "finished", "dual_teacher"]
    assert rows[recorded.ids["first"][:8]][-2:] == ["88.0 %", "50.0 %"]
    assert rows[recorded.ids["third"][:8]][-2:] == ["100.0 %", "50.0 %"]
    assert rows["pets-student/3"][1] == "rejected"
    assert rows["pets-student/3"][-2:] == ["88.0 %", "reason 3"]
    assert "0.87993" not in done.stdout
    assert "plain-student" not in done.stdout


def test_more_rows_than_the_limit_are_reported(
    recorded: Recorded, orchestrator_command: Command
) -> None:
    done = orchestrator_command("list", "runs", "--limit", "2", "--tracking-uri", recorded.uri)
    assert done.stdout.splitlines()[-1] == "there are more runs: --limit N shows them"


def test_no_match_is_reported_and_is_no_error(
    recorded: Recorded, orchestrator_command: Command
) -> None:
    done = orchestrator_command("list", "--state", "running", "--tracking-uri", recorded.uri)
    assert (done.returncode, done.stdout) == (0, f"no matching records in {recorded.uri}\n")


def test_a_missing_store_is_one_error_and_is_not_created(
    orchestrator_command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "mlflow.db"
    done = orchestrator_command("list", "--tracking-uri", f"sqlite:///{file}")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: {file}: there is no tracking database; .*\n", done.stderr)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--experiment", "digit"], "there is no experiment 'digit' (there are "),
        (["--tag", "team"], "'team' is not a tag; write --tag KEY=VALUE"),
        (["--tag", "=blue"], "not a tag; write --tag KEY=VALUE"),
        (["--tag", "a`b=c"], "MLflow cannot search for the tag a`b=c"),
        (["--tag", "team='\""], "MLflow cannot search for the tag team='\""),
    ],
    ids=" ".join,
)
def test_an_impossible_filter_is_one_error(
    recorded: Recorded, orchestrator_command: Command, arguments: list[str], said: str
) -> None:
    done = orchestrator_command("list", *arguments, "--tracking-uri", recorded.uri)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_state_of_a_run_and_of_a_version_can_be_selected() -> None:
    offered, _none = get_args(get_type_hints(list_records)["state"])
    choices = {choice.replace("-", " ") for choice in get_args(offered)}
    assert choices == {*RUN_STATES, *VERSION_STATES}
    assert {*VERSION_STATES} == {*VersionState}
