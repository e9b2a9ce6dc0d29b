"""Set-up for all tests: checked tensor shapes, property tests without deadlines, small real
data.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from orchestrator.config import Experiment
    from orchestrator.data import ImageTable

# small networks lose more by several threads than they gain, above all if several processes share
# the CPUs; torch reads this variable on import
os.environ.setdefault("OMP_NUM_THREADS", "1")
# otherwise Ray's workers yield to every other process
os.environ.setdefault("RAY_worker_niceness", "0")

_PACKAGE = Path(__file__).parents[1] / "orchestrator"

# The hook turns every jaxtyping shape in a signature into a check. Of `data` it includes only
# modules with such shapes: beartype can check neither protocols nor NDArray[np.str_], which it
# takes to mean text of length 0.
_CHECKED = [
    *(
        f"orchestrator.{name}"
        for name in (
            "models",
            "methods",
            "training",
            "evaluation",
            "export",
            "retraining.evidence",
            "retraining.statements",
        )
    ),
    *(
        f"orchestrator.data.{file.stem}"
        for file in sorted((_PACKAGE / "data").glob("[a-z]*.py"))
        if "jaxtyping" in file.read_text()
    ),
]
install_import_hook(_CHECKED, "beartype.beartype")

_FILES_THAT_START_RAY = (
    "distributed/test_claims.py",
    "test_cluster_jobs.py",
    "test_lanes.py",
    "test_secrets.py",
    "test_sweep.py",
    "test_sweep_reliability.py",
)

# slowness on a loaded machine is no failure
settings.register_profile("project", deadline=None, max_examples=40, print_blob=True)
settings.load_profile("project")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that take minutes unless requested: `make test-reliability`."""
    if "reliability" not in config.getoption("markexpr"):
        chosen = [item for item in items if item.get_closest_marker("reliability") is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keep the tests of a file together, as they share fixtures, and run all files that start Ray
    one after another.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist is not typed
        def _split_scope(self, nodeid: str) -> str:
            file, _, _ = nodeid.partition("::")
            return "Ray" if file.endswith(_FILES_THAT_START_RAY) else file

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def digits_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the digits are decoded once for all tests."""
    return tmp_path_factory.mktemp("digits cache")


@pytest.fixture(scope="session")
def digits_table(digits_cache: Path) -> "ImageTable":
    """Return scikit-learn's real digits."""
    from orchestrator.config.data import DigitsConfig
    from orchestrator.data import load_images

    return load_images(DigitsConfig(cache_dir=digits_cache))


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Return a function that makes an MLflow database without runs in a folder. MLflow takes
    seconds to create one: this copies a template.
    """
    from mlflow import MlflowClient

    first = tmp_path_factory.mktemp("empty database") / "mlflow.db"
    MlflowClient(f"sqlite:///{first}").search_experiments()

    def make(folder: Path) -> str:
        shutil.copy(first, folder / first.name)
        return f"sqlite:///{folder / first.name}"

    return make


@pytest.fixture(scope="session")
def tiny_experiment(
    digits_cache: Path,
    new_database: Callable[[Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> "Experiment":
    """Return an experiment of three tasks of two digits each, with so few epochs that a whole run
    takes seconds; it learns little.
    """
    from orchestrator.config import Experiment

    tracking = tmp_path_factory.mktemp("tracking")
    return Experiment.model_validate(
        {
            "name": "tiny",
            "data": {"kind": "digits", "cache_dir": str(digits_cache)},
            "scenario": {
                "num_base_classes": 2,
                "classes_per_task": 2,
                "class_order": [0, 1, 2, 3, 4, 5],
                "max_images_per_class": 20,
            },
            "teacher": {
                "training": {"epochs": 1},
                "refinement": {"epochs": 1},
                "num_views": 1,
                "augmentation": {"num_steps": 2},
                "joint_embedding": {"dimensions": 32},
            },
            "student": {"training": {"epochs": 2}},
            "execution": {"kind": "in_process", "num_threads": 1, "device": "cpu"},
            "store": {"uri": str(tmp_path_factory.mktemp("stages"))},
            # exporting models takes longer than everything else
            "tracking": {
                "uri": new_database(tracking),
                "spool": str(tracking / "spool"),
                "models": "none",
            },
        }
    )


@pytest.fixture(scope="session")
def pretrained_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of weights of mobilenet_v3_small: random, but always the same."""
    import torch
    from safetensors.torch import save_file
    from torchvision import models

    with torch.random.fork_rng():
        torch.manual_seed(3)
        state = models.get_model("mobilenet_v3_small").state_dict()
    file = tmp_path_factory.mktemp("weights") / "network.safetensors"
    save_file(state, file)
    return file


@pytest.fixture(scope="session")
def shared_pretrained_experiment(
    tiny_experiment: "Experiment",
    pretrained_weights: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> "Experiment":
    """Return an experiment of two tasks of two digits each, with a teacher whose extractor is
    pre-trained; all tests share its store.
    """
    from orchestrator.config.overrides import with_values

    return with_values(
        tiny_experiment,
        {
            "store.uri": str(tmp_path_factory.mktemp("pre-trained")),
            "scenario.class_order": [0, 1, 2, 3],
            "scenario.max_images_per_class": 8,
            "teacher.backbone.kind": "torchvision",
            "teacher.backbone.name": "mobilenet_v3_small",
            "teacher.backbone.weights": str(pretrained_weights),
            "teacher.backbone.input_size": 32,
            "teacher.extractor.kind": "pretrained",
            "teacher.num_views": 2,
            "teacher.joint_embedding.dimensions": 32,
        },
    )


@pytest.fixture
def pretrained_experiment(
    shared_pretrained_experiment: "Experiment", tmp_path: Path
) -> "Experiment":
    """Return the same experiment with its own store."""
    from orchestrator.config.overrides import with_values

    return with_values(shared_pretrained_experiment, {"store.uri": str(tmp_path / "store")})


@pytest.fixture
def orchestrator_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run the command line within this process, without the seconds in which a new one imports
    torch and MLflow.
    """

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        from orchestrator.cli import main

        monkeypatch.setattr(sys, "argv", ["orchestrator", *arguments])
        handler = signal.getsignal(signal.SIGTERM)
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            signal.signal(signal.SIGTERM, handler)
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return subprocess.CompletedProcess(
            ["orchestrator", *arguments], ended.value.code, said.out, said.err
        )

    return run
