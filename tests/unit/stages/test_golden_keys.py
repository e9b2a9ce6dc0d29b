"""Stage keys are frozen: a store filled before a refactoring remains valid after it.

`golden_keys.json` was written before methods moved into their own packages. A key may change only
with the format number of its kind of stage; then regenerate the file:
`.venv/bin/python tests/unit/stages/test_golden_keys.py`.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

from orchestrator.config import Experiment, load_any, load_experiment
from orchestrator.data import ImageTable
from orchestrator.data.image_table import write_image_table
from orchestrator.data.loading import load_images
from orchestrator.data.scenario import Scenario, Split
from orchestrator.data.scenario_building import build_scenario
from orchestrator.stages import StageStore, stage_graph
from orchestrator.stages.feature_tables import FeatureTables
from orchestrator.stages.graph import evaluation_key
from orchestrator.training.context import LearningContext

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).with_name("golden_keys.json")
EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))
METHODS = ("dual_teacher", "finetuning", "nearest_class_mean", "analytic", "joint")
VARIANTS = {
    "fine-tuned extractor": ["teacher.extractor.kind=fine_tuned"],
    "no self-supervision": ["teacher.self_supervision=none"],
    "a changed student": ["student.temperature=3.5", "student.transfer.kind=fixed"],
    "low-rank spread": ["teacher.spread.kind=low_rank", "teacher.augmentation.kind=none"],
}


def experiments() -> dict[str, Experiment]:
    """Return every shipped experiment under every method, and variants of the default one."""
    found = {}
    for file in EXPERIMENTS:
        if file.name.startswith("retraining_"):
            retraining = load_any(file)
            assert not isinstance(retraining, Experiment)
            found[file.name] = Experiment.model_validate(retraining.model_dump()["experiment"])
            continue
        for method in METHODS:
            found[f"{file.name} {method}"] = load_experiment(file, [f"method.kind={method}"])
    for name, overrides in VARIANTS.items():
        found[f"digits.yaml {name}"] = load_experiment(ROOT / "experiments/digits.yaml", overrides)
    return found


def tiny_table(folder: Path, order: int | tuple[int | str, ...]) -> ImageTable:
    """Return a table of two training images and one test image per class, generated from row
    numbers.
    """
    names = [f"class {c}" for c in range(20)] if isinstance(order, int) else list(order)
    labels = [str(name) for name in names for _ in range(3)]
    pixels = np.arange(len(labels) * 12) % 251
    images = pixels.astype(np.uint8).reshape(-1, 3, 2, 2)
    is_test = np.arange(len(labels)) % 3 == 2
    return write_image_table(folder / f"{len(names)}.arrow", "tiny", images, labels, is_test)


def keys_of(experiment: Experiment, scenario: Scenario, store: StageStore) -> dict[str, str]:
    """Return the keys of all stages, of the last evaluations, and of one table of features per
    split.
    """
    stages = stage_graph(experiment, scenario)
    found = {stage.name: stage.key for stage in stages}
    found |= {f"{it.name} judged": evaluation_key(it, scenario) for it in stages[-2:]}
    context = LearningContext(experiment.seed, "features")
    tables = FeatureTables(experiment, scenario, store, context)
    return found | {f"{split} features": tables.key_of(split, 0) for split in Split}


def all_keys(folder: Path) -> dict[str, dict[str, str]]:
    store = StageStore(str(folder / "store"))
    found = {}
    for name, experiment in experiments().items():
        if experiment.data.kind == "digits":
            table = load_images(experiment.data.model_copy(update={"cache_dir": folder}))
        else:
            table = tiny_table(folder, experiment.scenario.class_order)
        scenario = build_scenario(table, experiment.scenario, 0.0, experiment.seed)
        found[name] = keys_of(experiment, scenario, store)
    return found


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    return all_keys(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", json.loads(GOLDEN.read_text()) if GOLDEN.exists() else [])
def test_the_keys_of_every_shipped_experiment_are_unchanged(
    name: str, keys: dict[str, dict[str, str]]
) -> None:
    assert keys[name] == json.loads(GOLDEN.read_text())[name]


def test_every_shipped_experiment_has_golden_keys(keys: dict[str, dict[str, str]]) -> None:
    assert json.loads(GOLDEN.read_text()).keys() == keys.keys()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        GOLDEN.write_text(json.dumps(all_keys(Path(scratch)), indent=1) + "\n")
