"""The studies of sweeps are stored next to the stage store, unless configured otherwise."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import Experiment


def experiment_with(store: str, **tracking: Any) -> Experiment:  # noqa: ANN401 - plain values of YAML
    return Experiment.model_validate({"store": {"uri": store}, "tracking": tracking})


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORCHESTRATOR_STORAGE", raising=False)


def test_studies_are_next_to_a_local_store_and_otherwise_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    beside = experiment_with("/data/store").study_storage
    elsewhere = experiment_with("s3://bucket/store").study_storage
    assert beside == "sqlite:////data/studies.db"
    assert Experiment().study_storage == elsewhere
    assert elsewhere == f"sqlite:///{tmp_path}/.orchestrator/studies.db"


def test_the_file_overrides_the_variable_which_overrides_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_STORAGE", "postgresql://host/studies")
    assert Experiment().study_storage == "postgresql://host/studies"
    named = experiment_with("/data/store", storage="sqlite:///mine.db")
    assert named.study_storage == f"sqlite:///{tmp_path}/mine.db"


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ("redis://me:hunter2@host", r"redis://\*\*\*@host is not an Optuna storage"),
        ("studies.db", "studies.db is not an Optuna storage"),
        ("postgresql://me:hunter2@host/mlflow", "is MLflow's own database"),
    ],
)
def test_an_unusable_storage_is_rejected_without_showing_its_password(
    storage: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        experiment_with("/data/store", uri="postgresql://other@host/mlflow", storage=storage)
    assert "hunter2" not in str(raised.value).partition("[type=")[0]
