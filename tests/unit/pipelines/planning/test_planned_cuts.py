"""The cuts of the teacher's backbone in `plan`, and size and speed of its tables of features."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from orchestrator.config import Experiment, dump_experiment
from orchestrator.config.overrides import with_values
from orchestrator.errors import ConfigError
from orchestrator.models.artifact import Artifact
from orchestrator.pipelines.planning.plan import plan
from orchestrator.pipelines.run.cuts import cuts_summary
from orchestrator.reporting.quantities import size
from orchestrator.stages import StageStore
from orchestrator.terminal.plan import plan_lines

DIGITS = (1, 8, 8)
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def inheriting(tiny_experiment: Experiment, tmp_path: Path) -> Experiment:
    """Return an experiment whose teacher's backbone is small_cnn, with three stages."""
    changes = {"student.backbone": {"kind": "inherited", "until": "stage2"}}
    return with_values(tiny_experiment, {**changes, "store.uri": str(tmp_path / "store")})


def _line(lines: list[str], begin: str) -> str:
    [line] = [line for line in lines if line.startswith(begin)]
    return line


def test_a_plan_shows_what_the_student_inherits_and_how_to_list_the_other_cuts(
    inheriting: Experiment,
) -> None:
    made = plan(inheriting)
    # by hand: 9*32 + 2*32 + 9*32*64 + 2*64 = 18,912 of 18,912 + 9*64*128 + 2*128 = 92,896
    # multiply-adds: 64*9*32 + 16*9*32*64 = 313,344 of 313,344 + 16*9*64*128 = 1,492,992
    assert _line(plan_lines(made), "student") == (
        "student    inherits until stage2: 18,912 parameters (20.4 % of the teacher's), 313.3 k"
        " multiply-adds per image (21.0 %); --cuts shows the other cuts"
    )


def test_both_passes_of_a_mirrored_backbone_are_counted(inheriting: Experiment) -> None:
    made = plan(with_values(inheriting, {"teacher.backbone.mirrored": True}))
    assert "626.7 k multiply-adds per image (21.0 %), in two passes;" in _line(
        plan_lines(made), "student"
    )


def test_a_student_with_its_own_layers_shows_no_cuts_unless_requested(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    experiment = with_values(tiny_experiment, {"store.uri": str(tmp_path)})
    assert plan(experiment).cuts is None
    asked = plan(experiment, with_cuts=True)
    assert asked.cuts is not None
    assert len(asked.cuts.cuts) == 3
    assert asked.chosen_cut is None
    assert not any(line.startswith("student") for line in plan_lines(asked))


def test_cuts_need_no_pretrained_weights(pretrained_experiment: Experiment) -> None:
    changes = {
        "teacher.backbone.weights": "/nowhere/network.safetensors",
        "student.backbone": {"kind": "inherited", "until": "stage2"},
    }
    found = cuts_summary(with_values(pretrained_experiment, changes), DIGITS)["cuts"]
    assert found["chosen"] == "stage2"
    assert found["cuts"][0]["stage"] == "stage1"
    shares = [cut["num_parameters"] / found["teacher"]["num_parameters"] for cut in found["cuts"]]
    assert shares == sorted(shares)


def test_the_command_lists_every_cut_with_its_latency_and_marks_the_chosen_one(
    inheriting: Experiment, tmp_path: Path, orchestrator_command: Command
) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(dump_experiment(inheriting))
    with patch.dict("os.environ", {"COLUMNS": "140"}):
        answer = orchestrator_command("plan", str(file), "--cuts")
    assert (answer.returncode, answer.stderr) == (0, "")
    said = re.sub(r" +", " ", answer.stdout)
    assert "--cuts shows" not in said
    latency = r"\d+\.\d ms"
    assert re.search(
        rf"│ stage1 │ 32 │ 8x8 │ 64 │ 352 │ 0\.4 % │ 18\.4 k │ 1\.2 % │ {latency} │", said
    )
    assert re.search(
        r"│ stage2 \(chosen\) │ 64 │ 4x4 │ 448 │ 18,912 │ 20\.4 % │ 313\.3 k │ 21\.0 % │ ",
        said,
    )
    assert re.search(r"│ teacher, whole │ │ │ │ 92,896 │ 100\.0 % │ 1\.5 M │ 100\.0 %", said)
    assert "on one thread of this machine" in said


def test_a_sweep_has_no_cuts(
    inheriting: Experiment, tmp_path: Path, orchestrator_command: Command
) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(dump_experiment(inheriting))
    answer = orchestrator_command("plan", str(file), "--search-space", str(file), "--cuts")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "--cuts is for one experiment" in answer.stderr


def test_a_backbone_without_stages_is_an_error_that_names_the_teacher(
    tiny_experiment: Experiment, tmp_path: Path
) -> None:
    changes = {
        "store.uri": str(tmp_path),
        "teacher.backbone": {"kind": "torchvision", "name": "swin_t", "input_size": 32},
    }
    with pytest.raises(ConfigError, match=r"^teacher\.backbone: .* has no stages"):
        plan(with_values(tiny_experiment, changes), with_cuts=True)


# --- tables of features ---------------------------------------------------------------------------


def test_tables_of_features_have_a_size_and_a_speed_once_measured(
    pretrained_experiment: Experiment,
) -> None:
    made = plan(pretrained_experiment)
    # mobilenet_v3_small has 1,024 features; two bytes each
    assert made.features_bytes == made.num_unseen_images * 1024 * 2
    assert _line(plan_lines(made), "features").endswith(
        f"{size(made.features_bytes)} of tables in half precision"
    )

    measured = {
        "features_of": "cat",
        "backbone": pretrained_experiment.teacher.backbone.model_dump(mode="json"),
        "num_images": 10,
        "seconds": 2.0,
        "num_train_workers": 2,
    }
    StageStore(pretrained_experiment.store.uri).save("1" * 64, Artifact({}, measured))
    known = plan(pretrained_experiment)
    assert known.images_per_second == pytest.approx(2.5)
    assert _line(plan_lines(known), "features").endswith(", 2.5 images/s per worker")
