"""Shifts of known classes are detected, with real files and a network's embeddings of images."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.nn.modules.module import register_module_forward_pre_hook

from orchestrator.config import Experiment, Retraining
from orchestrator.config.roles import ROLES, Role
from orchestrator.methods.features.closed_form import MomentsModel
from orchestrator.methods.features.moments import no_moments
from orchestrator.methods.method import method_of
from orchestrator.models import (
    Backbone,
    LinearClassifier,
    Network,
    PowerNormalization,
    build_backbone,
)
from orchestrator.models.artifact import Artifact
from orchestrator.retraining.candidate import candidate_experiment, draft_lineage
from orchestrator.retraining.changes import ChangePlan, FindingKind
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.registration import Registered
from orchestrator.retraining.scan import scan
from orchestrator.retraining.shift import find_shifts, shift_p_value
from orchestrator.retraining.state import ModelPair
from orchestrator.stages.artifacts import to_artifact
from orchestrator.training.random_streams import seeded_initialisation

IMAGES_AT_ONCE = 15  # pixels of a side, of 160


def retraining_of(folder: Path, input_size: int | None = None) -> Retraining:
    backbone = {"kind": "small_cnn", "input_size": input_size}
    experiment = {"method": {"kind": "nearest_class_mean"}, "teacher": {"backbone": backbone}}
    source = {
        "path": str(folder),
        "settled_seconds": 0,
        "image_size": 8,
        "num_channels": 1,
        "held_out_fraction": 0.5,
    }
    return Retraining.model_validate({"experiment": experiment, "source": source})


def deliver(
    retraining: Retraining, name: str, digit: int, label: int, part: slice = slice(None)
) -> None:
    data = load_digits()
    images = []
    for image in data.images[data.target == digit][part]:
        stream = io.BytesIO()
        Image.fromarray(np.rint(image * (255 / 16)).astype(np.uint8)).save(stream, "PNG")
        images.append(stream.getvalue())
    pq.write_table(
        pa.table({"image": images, "label": [label] * len(images)}),
        Path(retraining.source.path) / f"{name}.parquet",
    )


def untrained(role: Role, experiment: Experiment) -> Artifact:
    with seeded_initialisation(0, role):
        extractor = build_backbone(experiment.backbone_of(role), (1, 8, 8))
    classifier = LinearClassifier(torch.zeros(extractor.num_features, 1), torch.zeros(1))
    network = Network(extractor, PowerNormalization(), classifier)
    model = MomentsModel(network, no_moments(extractor.num_features, torch.device("cpu")))
    return to_artifact(method_of(experiment), model)


def champion_of(retraining: Retraining) -> Registered:
    """Return a champion that has learned one class from the existing files."""
    plan = ChangePlan((), new_classes=(0,))
    draft = draft_lineage(
        retraining.experiment, Lineage(), scan(retraining.source, Lineage(), []), plan
    )
    experiment = candidate_experiment(retraining, None, draft, plan)
    return Registered(
        ModelPair("1", "1"),
        draft,
        experiment,
        {role: untrained(role, experiment) for role in ROLES},
    )


def test_a_class_with_different_new_images_has_shifted_and_an_unchanged_one_has_not(
    tmp_path: Path,
) -> None:
    retraining = retraining_of(tmp_path)
    deliver(retraining, "known", 0, label=0, part=slice(100))
    champion = champion_of(retraining)
    deliver(retraining, "new", 0, label=0, part=slice(100, 160))
    assert find_shifts(scan(retraining.source, champion.lineage, []), champion, retraining) == []
    deliver(retraining, "new", 7, label=0)
    [found] = find_shifts(scan(retraining.source, champion.lineage, []), champion, retraining)
    assert (found.kind, found.classes) == (FindingKind.SHIFT, ("0",))


def test_images_are_embedded_in_batches_no_larger_than_in_an_evaluation(tmp_path: Path) -> None:
    retraining = retraining_of(tmp_path, input_size=160)
    deliver(retraining, "known", 0, label=0, part=slice(60))
    champion = champion_of(retraining)
    deliver(retraining, "new", 0, label=0, part=slice(60, 80))
    at_once: list[int] = []

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, Backbone):
            at_once.append(len(inputs[0]))

    noting = register_module_forward_pre_hook(note)
    try:
        find_shifts(scan(retraining.source, champion.lineage, []), champion, retraining)
    finally:
        noting.remove()
    assert sum(at_once) > 20 + IMAGES_AT_ONCE, "of both sides"
    assert max(at_once) == IMAGES_AT_ONCE


def test_the_shift_test_accepts_equal_and_detects_different_distributions() -> None:
    """Of 100 pairs of equal distributions, at p = 0.01, a few are called different (binomial: 1
    expected, at most 5).
    """
    random = np.random.default_rng(0)
    false_alarms = sum(
        shift_p_value(random.normal(size=(200, 16)), random.normal(size=(50, 16))) < 0.01
        for _ in range(100)
    )
    assert false_alarms <= 5
    shifted = random.normal(size=(50, 32))
    shifted[:, 3] += 1.5
    assert shift_p_value(random.normal(size=(200, 32)), shifted) < 1e-4
