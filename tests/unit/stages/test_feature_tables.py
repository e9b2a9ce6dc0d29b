"""Tables of features: computed once per class, equal to the extractor's own output, and read by
every role that can use them.
"""

import os
import shutil
from pathlib import Path

import pytest
import torch
from torchvision import models

from orchestrator.config import Experiment
from orchestrator.config.overrides import with_values
from orchestrator.data.scenario import Split
from orchestrator.errors import ConfigError
from orchestrator.models import build_backbone
from orchestrator.models.network import extract_features, predict
from orchestrator.stages import StageRunner, Work, prepare_work
from orchestrator.stages.evaluation import Evaluation
from orchestrator.stages.events import FeaturesComputed, StageEvent
from orchestrator.stages.feature_tables import FeatureTables, views_generator
from orchestrator.training.context import LearningContext
from tests.every_method import METHODS, small

NETWORK = "mobilenet_v3_small"
NUM_VIEWS = 2


@pytest.fixture
def experiment(pretrained_experiment: Experiment) -> Experiment:
    """Return an experiment on digits whose teacher has a pre-trained extractor."""
    return pretrained_experiment


def computed(
    experiment: Experiment, roles: tuple[str, ...] = ("teacher", "student")
) -> tuple[Work, list[FeaturesComputed]]:
    """Compute an experiment's stages; return the work and the events of its features."""
    work, events = prepare_work(experiment), list[StageEvent]()
    runner = StageRunner(work, torch.device("cpu"), events.append)
    for stage in work.stages:
        if stage.role in roles:
            runner.obtain(stage)
    return work, [event for event in events if isinstance(event, FeaturesComputed)]


@pytest.fixture(scope="module")
def founded(shared_pretrained_experiment: Experiment) -> Work:
    """Return an experiment's work after training its teacher."""
    return computed(shared_pretrained_experiment, ("teacher",))[0]


def tables_of(work: Work) -> FeatureTables:
    context = LearningContext(
        work.experiment.seed, "features", image_augmentation=work.experiment.data.augmentation
    )
    return FeatureTables(work.experiment, work.scenario, work.store, context)


def test_features_of_each_class_are_computed_once_for_all_tasks_and_roles(
    experiment: Experiment,
) -> None:
    work, events = computed(experiment)
    images = {split: sum(len(rows) for rows in work.scenario.indices[split]) for split in Split}
    finished = [event for event in events if event.num_done == event.num_images]
    assert len(finished) == 4, "training images first, then those that a task is judged by"
    expected = (1 + NUM_VIEWS) * images[Split.TRAIN] + images[Split.VALIDATION] + images[Split.TEST]
    assert sum(event.num_images for event in finished) == expected
    assert {event.stage for event in finished} == {"teacher[0]", "teacher[1]"}


@pytest.mark.parametrize(
    "changes",
    [
        {"teacher.joint_embedding.pull_margin": 0.4},
        {"scenario.class_order": [1, 0, 3, 2]},
        {"method.kind": "analytic"},
    ],
    ids=["another margin", "another class order", "another method"],
)
def test_experiments_that_need_the_same_features_share_them(
    founded: Work, changes: dict[str, object]
) -> None:
    work, events = computed(with_values(founded.experiment, changes), ("teacher",))
    assert not {stage.key for stage in work.stages} & {stage.key for stage in founded.stages}
    assert events == []


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"data.augmentation.noise": 0.2}, {"teacher.backbone.input_size": 48}],
    ids=str,
)
def test_other_views_images_or_extractors_give_other_feature_keys(
    experiment: Experiment, changes: dict[str, object]
) -> None:
    one, other = (
        tables_of(prepare_work(changed))
        for changed in (experiment, with_values(experiment, changes))
    )
    assert one.key_of(Split.TRAIN, 0) != other.key_of(Split.TRAIN, 0)


def test_other_weights_in_the_same_file_give_other_keys(
    experiment: Experiment, tmp_path: Path
) -> None:
    file = tmp_path / "weights.pth"
    state = models.get_model(NETWORK).state_dict()
    keys = []
    for value in (0.0, 1.0):
        state["classifier.3.bias"].fill_(value)
        torch.save(state, file)
        work = prepare_work(with_values(experiment, {"teacher.backbone.weights": str(file)}))
        keys.append((work.stages[0].key, tables_of(work).key_of(Split.TRAIN, 0)))
    assert not set(keys[0]) & set(keys[1])


def test_the_location_of_the_weights_is_in_no_key(
    experiment: Experiment, pretrained_weights: Path, tmp_path: Path
) -> None:
    """Machines that share a store may keep the weights in different places."""
    elsewhere = with_values(
        experiment,
        {
            "teacher.backbone.weights": str(
                shutil.copy(pretrained_weights, tmp_path / "copy.safetensors")
            )
        },
    )
    one, other = prepare_work(experiment), prepare_work(elsewhere)
    assert [stage.key for stage in one.stages] == [stage.key for stage in other.stages]
    assert tables_of(one).key_of(Split.TRAIN, 0) == tables_of(other).key_of(Split.TRAIN, 0)


def test_a_table_holds_the_features_of_images_and_of_their_views(founded: Work) -> None:
    work, experiment, tables = founded, founded.experiment, tables_of(founded)
    tables.obtain(
        [(split, c) for c in range(4) for split in Split],
        lambda done, total: pytest.fail("they were there"),
    )
    extractor = build_backbone(experiment.teacher.backbone, work.scenario.shape)
    context = LearningContext(
        experiment.seed, "any", image_augmentation=experiment.data.augmentation
    )
    for c, views in enumerate(tables.views(range(4))):
        images = work.scenario.images_of(Split.TRAIN, [c]).images
        generator = views_generator(experiment.seed, work.scenario.class_names[c])
        seen = [
            images,
            *(context.vary(images, generator) for _ in range(experiment.teacher.num_views)),
        ]
        for features, view in zip(views.all_views(), seen, strict=True):
            expected = extract_features(extractor, view).half()  # at the precision of a table
            torch.testing.assert_close(features, expected, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_an_evaluation_by_features_equals_that_by_images(founded: Work, method: str) -> None:
    chosen = {f"method.{name}": value for name, value in small(method).items()}
    work, _ = computed(with_values(founded.experiment, chosen), ("teacher",))
    last = [stage for stage in work.stages if stage.role == "teacher"][-1]
    model = work.model_from(work.artifact_of(last), last, torch.device("cpu"))
    predictions = predict(
        model.network, work.scenario.images_of(Split.TEST, range(4)).images
    ).argmax(dim=1)
    evaluation: Evaluation = work.evaluation_of(last)
    assert (
        evaluation.predictions == predictions
    ).double().mean() > 0.99  # a tie may be broken either way


def test_a_stage_does_not_store_pre_trained_weights(founded: Work) -> None:
    work, artifact = founded, founded.artifact_of(founded.stages[0])
    assert not [name for name in artifact.tensors if "extractor" in name]
    model = work.model_from(artifact, work.stages[0], torch.device("cpu"))
    fresh = build_backbone(work.experiment.teacher.backbone, work.scenario.shape)
    assert all(
        torch.equal(tensor, fresh.state_dict()[name])
        for name, tensor in model.network.extractor.state_dict().items()
    )


def test_images_on_disk_give_the_same_stages(experiment: Experiment, tmp_path: Path) -> None:
    in_memory, _ = computed(experiment)
    on_disk, _ = computed(
        with_values(
            experiment, {"data.max_memory_gib": 1e-9, "store.uri": str(tmp_path / "another")}
        )
    )
    for stage in in_memory.stages:
        expected, found = (work.artifact_of(stage).tensors for work in (in_memory, on_disk))
        assert [
            name for name, tensor in expected.items() if not torch.equal(found[name], tensor)
        ] == []


def test_a_damaged_table_is_computed_again(
    experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    work, _ = computed(experiment, ("teacher",))
    tables = tables_of(work)
    file = next((Path(experiment.store.uri) / tables.key_of(Split.TRAIN, 0)).glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-8] + b"\xff" * 8)
    done: list[int] = []
    tables.obtain(
        [(split, c) for c in (0, 1) for split in Split], lambda num_done, _: done.append(num_done)
    )
    assert done, "it was taken as it is"
    assert "corrupt" in caplog.text
    assert tables.views([0])[0].clean.isfinite().all()


def test_a_run_that_finds_all_its_stages_refreshes_the_age_of_their_tables(
    experiment: Experiment,
) -> None:
    work, _ = computed(experiment)
    manifests = list(Path(experiment.store.uri).glob("*/manifest.json"))
    for path in manifests:
        os.utime(path, (0, 0))
    computed(experiment)
    assert all(path.stat().st_mtime > 0 for path in manifests)
    assert len(manifests) == 2 * len(work.stages) + 3 * 4


def test_a_pre_trained_extractor_needs_weights(experiment: Experiment) -> None:
    with pytest.raises(ConfigError, match=r"no pre-trained weights; give backbone\.weights"):
        with_values(experiment, {"teacher.backbone.weights": None})


def test_a_misspelt_network_is_reported_even_if_it_has_weights(
    experiment: Experiment,
) -> None:
    with pytest.raises(
        ConfigError, match=r"no classification model 'resnet81'; did you mean resnet18\?"
    ):
        prepare_work(
            with_values(
                experiment,
                {"teacher.backbone.name": "resnet81", "teacher.backbone.weights": "DEFAULT"},
            )
        )


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"", "cannot be loaded"),
        (b"no weights", "cannot be loaded"),
        (b"\x80\x02.", "cannot be loaded"),
    ],
    ids=["missing", "empty", "text", "binary"],
)
def test_unavailable_weights_are_one_clear_error(
    experiment: Experiment, tmp_path: Path, suffix: str, content: bytes | None, why: str
) -> None:
    file = tmp_path / f"nonesuch.{suffix}"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=why) as caught:
        build_backbone(
            with_values(experiment, {"teacher.backbone.weights": str(file)}).teacher.backbone,
            (1, 8, 8),
        )
    assert caught.value.where == "backbone.weights"
