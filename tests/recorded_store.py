"""Record an MLflow store, and query it both in SQL and through MLflow."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mlflow import MlflowClient

from orchestrator.config.experiment import TrackingConfig
from orchestrator.tracking import RunStatus, names, open_run
from orchestrator.tracking.registry import TEACHER_TAG, ModelRegistry
from orchestrator.tracking.run_query import Records, RunQuery
from orchestrator.tracking.tracked_run import TrackedRun


def register_versions(uri: str, folder: Path) -> None:
    """Register three versions of each role's model; delete the last, and make the second the
    champion.
    """
    client = MlflowClient(uri, uri)
    for role in ("teacher", "student"):
        name = f"pets-{role}"
        client.create_registered_model(name)
        for number in (1, 2, 3):
            files = folder / role / str(number) / "continual"
            files.mkdir(parents=True)
            (files / "lineage.json").write_text(f"{role} {number}")
            tags = {"role": role, TEACHER_TAG: str(number), "odd": "it's 100 %; naïve"}
            client.create_model_version(name, files.parent.as_uri(), "f" * 32, tags)
        client.set_registered_model_alias(name, "champion", "2")
        client.delete_model_version(name, "3")


def assert_same_versions(sql: ModelRegistry, asked: ModelRegistry, folder: Path) -> None:
    """Compare every answer of two registries, and read through both what either writes."""
    roles: tuple[Literal["teacher", "student"], ...] = ("teacher", "student")
    for role in roles:
        assert len(asked.versions(role)) == 2
        assert sql.versions(role) == asked.versions(role)
        assert sql.versions(role, TEACHER_TAG, "2") == asked.versions(role, TEACHER_TAG, "2")
        for number in ("1", "2", "3", "4", "newest"):
            assert sql.find(role, number) == asked.find(role, number)
        assert sql.version(role, "1") == asked.version(role, "1")
        for alias in ("champion", "previous"):
            assert sql.with_alias(role, alias) == asked.with_alias(role, alias)
        for writer, text in ((sql, "one"), (asked, "two"), (sql, "x" * 6000), (sql, "it's")):
            writer.set_model_tag(role, "orchestrator.tick", text)
            expected = {"orchestrator.tick": text[:5000]}
            assert sql.model_tags(role) == asked.model_tags(role) == expected
        for path in ("continual", "continual/lineage.json"):
            found = {
                name: registry.download(role, "2", path, folder / name)
                for name, registry in (("sql", sql), ("asked", asked))
            }
            inside = [copy.relative_to(folder / name) for name, copy in found.items()]
            assert inside[0] == inside[1]
            file = found["sql"] / "lineage.json" if found["sql"].is_dir() else found["sql"]
            assert file.read_text() == f"{role} 2"
        sql.set_tags(role, "1", {"changed": "yes"})
        sql.set_alias(role, "previous", "1")
        assert sql.with_alias(role, "previous") == asked.with_alias(role, "previous")
        assert sql.find(role, "1") == asked.find(role, "1")


def record_runs(uri: str, folder: Path) -> None:
    """Record two runs with numbers and files, a sweep with a trial, and a failed run; then delete a
    run, and an experiment with a run.
    """
    tracking = TrackingConfig(uri=uri, spool=folder / "spool")
    for name, status in (("one", RunStatus.FINISHED), ("two", RunStatus.FAILED)):
        tags = {names.METHOD_TAG: name, "team": "it's 100 %", names.DATASET_FINGERPRINT_TAG: "ab"}
        run = open_run(tracking, "digits", name, tags)
        run.log_parameters({"seed": "0", "long": "x" * 500})
        for step, value in ((1, 0.5), (2, math.nan), (3, -math.inf), (3, 0.25)):
            run.log_metrics({"final/x": value, "student/accuracy": value / 2}, step)
        file = folder / "summary.json"
        file.write_text('{"name": "' + name + '"}')
        run.log_file(file)
        run.log_file(file, "figures")
        run.close(status)
    sweep = open_run(tracking, "digits", "sweep", {})
    sweep.set_tags({names.SWEEP_TAG: sweep.run_id})
    sweep.open_child("trial 0", {names.TRIAL_TAG: "0"}).close(RunStatus.FINISHED)
    sweep.close(RunStatus.KILLED)
    client = MlflowClient(uri)
    for experiment in ("digits", "gone"):
        deleted = open_run(tracking, experiment, "deleted", {})
        deleted.close(RunStatus.FINISHED)
        if experiment == "digits":
            client.delete_run(deleted.run_id)
    gone = client.get_experiment_by_name("gone")
    assert gone is not None
    client.delete_experiment(gone.experiment_id)
    client.set_tag(sweep.run_id, names.SPOOL_ID_TAG, "ab12" + 28 * "0")


def assert_same_runs(sql: Records, asked: Records) -> None:
    """Compare every answer of two run readers."""
    assert sql.experiments() == asked.experiments()
    ids = [i for i, name in asked.experiments().items() if name == "digits"]
    everything = [*asked.runs(RunQuery(ids))]
    assert {run.name for run in everything} == {"one", "two", "sweep", "trial 0"}
    one = next(run for run in everything if run.name == "one")
    sweep = next(run for run in everything if run.name == "sweep")
    for query, num_found in (
        (RunQuery(ids), 4),
        (RunQuery(ids, per_page=1), 4),
        (RunQuery(ids, run_id=one.run_id), 1),
        (RunQuery(ids, run_id=32 * "0"), 0),
        (RunQuery(ids, run_id_prefix=one.run_id[:6]), 1),
        (RunQuery(ids, status="FINISHED"), 2),
        (RunQuery(ids, tags={"team": "it's 100 %", names.METHOD_TAG: "two"}), 1),
        (RunQuery(ids, tags={names.PARENT_RUN_TAG: sweep.run_id}), 1),
        (RunQuery(ids, tag_prefixes={names.SPOOL_ID_TAG: "ab12"}), 1),
        (RunQuery(ids, has_tags=[names.SWEEP_TAG], lacks_tags=[names.PARENT_RUN_TAG]), 1),
    ):
        found = [shown(run) for run in asked.runs(query)]
        assert len(found) == num_found, query
        assert [shown(run) for run in sql.runs(query)] == found
    metrics = [*one.metrics, "never/logged"]
    histories = asked.histories(one.run_id, metrics)
    assert len(histories["final/x"]) == 3
    assert repr(sql.histories(one.run_id, metrics)) == repr(histories)
    for folder, expected in (
        ("", {"summary.json"}),
        ("figures", {"figures/summary.json"}),
        ("no", set()),
    ):
        assert (
            sql.list_files(one.run_id, folder) == asked.list_files(one.run_id, folder) == expected
        )
    paths = ["summary.json", "figures/summary.json"]
    assert sql.read_files(one.run_id, paths) == asked.read_files(one.run_id, paths)
    run_ids = {run.run_id for run in everything} | {"f" * 32}
    assert sql.experiments_of(run_ids) == asked.experiments_of(run_ids)
    assert sql.student_aliases() == asked.student_aliases()
    assert asked.student_aliases()["pets-student"] == {"champion": "2"}
    assert sql.version("pets-student", "1") == asked.version("pets-student", "1")
    students = [*asked.students_with_tag(TEACHER_TAG)]
    assert [*sql.students_with_tag(TEACHER_TAG)] == students
    assert [facts.version for facts in students] == ["2", "1"]


def shown(run: TrackedRun) -> str:
    """Return a run as text, in which NaN equals NaN."""
    values = replace(
        run,
        metrics=dict(sorted(run.metrics.items())),
        tags=dict(sorted(run.tags.items())),
        parameters=dict(sorted(run.parameters.items())),
    )
    return repr(values)
