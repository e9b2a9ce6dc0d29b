"""The experiment that trains a candidate: the fields it takes from the configured one, and whether
it continues from the champion.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import Retraining
from orchestrator.config.data import DataConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.schema import variant_kinds
from orchestrator.errors import UserInputError
from orchestrator.retraining.candidate import candidate_experiment, draft_lineage, learned_lineage
from orchestrator.retraining.changes import ChangePlan
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.registration import Registered
from orchestrator.retraining.scan import NewFile, Scan
from orchestrator.retraining.state import ModelPair

FOUND = Scan(new=[NewFile("a", "a" * 64, 1, 0.0, {"0": [b"0"], "1": [b"1"]}, integer_labels=True)])
PLAN = ChangePlan((), new_classes=(0, 1))


def retraining(experiment: dict[str, Any]) -> Retraining:
    return Retraining.model_validate({"experiment": experiment, "source": {"path": "/arrivals"}})


def first_candidate(experiment: dict[str, Any]) -> Experiment:
    configured = retraining(experiment)
    return candidate_experiment(
        configured, None, draft_lineage(configured.experiment, Lineage(), FOUND, PLAN), PLAN
    )


def test_data_settings_common_to_all_sources_are_the_candidates_too(tmp_path: Path) -> None:
    of_all = set.intersection(
        *(set(model.model_fields) for model in variant_kinds(DataConfig).values())
    )
    set_here: dict[str, Any] = {
        "augmentation": {"noise": 0.2},
        "cache_dir": str(tmp_path),
        "max_image_pixels": 10**6,
        "max_memory_gib": 0.5,
        "unlabeled": {"kind": "parquet", "path": "/camera.parquet"},
    }
    assert of_all - {"kind", "validation_fraction"} == set(set_here), "a field is new: set it here"
    data = first_candidate({"data": set_here}).data
    configured = retraining({"data": set_here}).experiment.data
    assert {name: getattr(data, name) for name in set_here} == {
        name: getattr(configured, name) for name in set_here
    }


def test_a_candidate_has_no_validation_images() -> None:
    assert first_candidate({"data": {"validation_fraction": 0.3}}).data.validation_fraction == 0


# --- continuing from a champion -------------------------------------------------------------------


def backbone(folder: Path, file: str = "one.pth") -> dict[str, Any]:
    """Return a backbone with weights from a file, whose content is read only when a network is
    built.
    """
    (folder / "one.pth").write_bytes(b"weights")
    (folder / "two.pth").write_bytes(b"weights")
    return {"kind": "torchvision", "name": "resnet18", "weights": str(folder / file)}


def champion_of(experiment: dict[str, Any]) -> Registered:
    """Return a champion that has learned 0 and 1 with this configuration."""
    configured = retraining(experiment)
    draft = draft_lineage(configured.experiment, Lineage(), FOUND, PLAN)
    lineage = learned_lineage(
        draft, {"teacher": "t" * 64, "student": "s" * 64}, {"teacher": [[1.0]], "student": [[1.0]]}
    )
    return Registered(
        ModelPair("1", "1"), lineage, candidate_experiment(configured, None, draft, PLAN), {}
    )


def goes_on(champion: Registered, experiment: dict[str, Any]) -> bool:
    """Return whether the next candidate continues from a champion's stages."""
    configured = retraining(experiment)
    found = Scan(
        kept=champion.lineage.files,
        new=[NewFile("b", "b" * 64, 1, 0.0, {"2": [b"2"]}, integer_labels=True)],
    )
    plan = ChangePlan((), new_classes=(2,))
    draft = draft_lineage(configured.experiment, champion.lineage, found, plan)
    return candidate_experiment(configured, champion, draft, plan).scenario.learned is not None


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("frozen", "frozen", True),
        ("frozen", "fine_tuned", True),
        ("fine_tuned", "frozen", True),
        ("pretrained", "pretrained", True),
        ("frozen", "pretrained", False),
        ("fine_tuned", "pretrained", False),
        ("pretrained", "frozen", False),
        ("pretrained", "fine_tuned", False),
    ],
)
def test_only_compatible_extractors_continue_from_each_other(
    tmp_path: Path, before: str, now: str, expected: bool
) -> None:
    body = backbone(tmp_path)
    champion = champion_of({"teacher": {"backbone": body, "extractor": {"kind": before}}})
    assert (
        goes_on(champion, {"teacher": {"backbone": body, "extractor": {"kind": now}}}) == expected
    )


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_other_weights_in_the_same_file_are_another_network(tmp_path: Path, role: str) -> None:
    experiment = {role: {"backbone": backbone(tmp_path)}}
    champion = champion_of(experiment)
    assert goes_on(champion, experiment)
    (tmp_path / "one.pth").write_bytes(b"other weights")
    assert not goes_on(champion, experiment)


def test_another_file_is_another_network(tmp_path: Path) -> None:
    champion = champion_of({"teacher": {"backbone": backbone(tmp_path)}})
    assert not goes_on(champion, {"teacher": {"backbone": backbone(tmp_path, "two.pth")}})


def test_a_champion_without_recorded_weights_can_be_continued(tmp_path: Path) -> None:
    experiment = {"teacher": {"backbone": backbone(tmp_path)}}
    champion = champion_of(experiment)
    values = json.loads(champion.lineage.model_dump_json())
    del values["weights"]
    assert goes_on(
        replace(champion, lineage=Lineage.model_validate_json(json.dumps(values))), experiment
    )


def test_a_champion_is_not_rebuilt_with_other_weights_than_it_was_trained_with(
    tmp_path: Path,
) -> None:
    """A pre-trained extractor's weights are not part of its stages; a trained one's are."""
    champion = champion_of(
        {"teacher": {"backbone": backbone(tmp_path), "extractor": {"kind": "pretrained"}}}
    )
    (tmp_path / "one.pth").write_bytes(b"other weights")
    with pytest.raises(
        UserInputError,
        match=(
            r"teacher\.backbone\.weights: the pre-trained weights have changed since the champion"
        ),
    ):
        champion.networks()
