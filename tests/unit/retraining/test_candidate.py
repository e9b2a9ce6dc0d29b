"""The experiment that teaches a candidate: what it has of the configured one, and whether it goes on from the champion."""

from pathlib import Path
from typing import Any, get_args

from orchestrator.config import Retraining
from orchestrator.config.data import DataConfig
from orchestrator.config.experiment import Experiment
from orchestrator.retraining.candidate import candidate_experiment, draft_lineage
from orchestrator.retraining.changes import ChangePlan
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.scan import NewFile, Scan

FOUND = Scan(new=[NewFile("a", "a" * 64, 1, 0.0, {"0": [b"0"], "1": [b"1"]}, integer_labels=True)])
PLAN = ChangePlan((), new_classes=(0, 1))


def retraining(experiment: dict[str, Any]) -> Retraining:
    return Retraining.model_validate({"experiment": experiment, "source": {"path": "/arrivals"}})


def first_candidate(experiment: dict[str, Any]) -> Experiment:
    configured = retraining(experiment)
    return candidate_experiment(configured, None, draft_lineage(Lineage(), FOUND, PLAN), PLAN)


def test_what_holds_for_images_from_anywhere_is_the_candidates_as_well(tmp_path: Path) -> None:
    of_all = set.intersection(*(set(kind.model_fields) for kind in get_args(get_args(DataConfig)[0])))
    set_here: dict[str, Any] = {"augmentation": {"noise": 0.2}, "cache_dir": str(tmp_path), "max_memory_gib": 0.5}
    assert of_all - {"kind", "validation_fraction"} == set(set_here), "a field is new: set it here"
    data = first_candidate({"data": set_here}).data
    configured = retraining({"data": set_here}).experiment.data
    assert {name: getattr(data, name) for name in set_here} == {name: getattr(configured, name) for name in set_here}


def test_of_a_candidates_training_images_none_are_set_aside_for_validation() -> None:
    assert first_candidate({"data": {"validation_fraction": 0.3}}).data.validation_fraction == 0
