import importlib.util
from pathlib import Path

import pytest

from orchestrator.errors import UserInputError
from orchestrator.terminal.ui import Sweeps, show_ui
from orchestrator.tuning.dashboard import has_studies, study_path


def test_without_the_extra_one_line_explains_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "optuna_dashboard" else find_spec(name, *rest),
    )
    (tmp_path / "mlflow.db").write_bytes(b"SQLite")
    uri, storage = (f"sqlite:///{tmp_path}/{name}.db" for name in ("mlflow", "studies"))
    with pytest.raises(
        UserInputError, match=r"not installed; in a checkout: pip install '.\[dashboard\]'"
    ):
        show_ui(uri, 0, Sweeps(storage, "0123"))
    assert capsys.readouterr().out == ""


def test_a_missing_or_empty_file_has_no_studies(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/studies.db"
    assert not has_studies(storage)
    (tmp_path / "studies.db").touch()
    assert not has_studies(storage)
    (tmp_path / "studies.db").write_bytes(b"SQLite")
    assert has_studies(storage)
    assert has_studies("postgresql://database/studies")


def test_a_sweep_is_found_by_the_first_letters_of_its_id() -> None:
    names = ("rates 0123aa", "0123bb", "4567cc")
    studies = [{"study_id": place, "study_name": name} for place, name in enumerate(names, 1)]
    assert study_path(studies, "0123a") == "/dashboard/studies/1"
    assert study_path(studies, "4567cc") == "/dashboard/studies/3"
    with pytest.raises(UserInputError, match=r"several studies begin with 0123: rates .*more"):
        study_path(studies, "0123")
    with pytest.raises(UserInputError, match="no study of the sweep fedc; choose from: rates"):
        study_path(studies, "fedc")
    with pytest.raises(UserInputError, match="choose from: none"):
        study_path([], "fedc")
