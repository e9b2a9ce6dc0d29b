"""A champion that knows six digits, and a camera folder whose images are monitored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn.datasets import load_digits

from orchestrator.config import Retraining
from orchestrator.config.roles import ROLES, Role
from orchestrator.data.growing_folder import Folder, read_content
from orchestrator.methods.features.closed_form import MomentsModel
from orchestrator.methods.features.moments import no_moments
from orchestrator.methods.method import method_of
from orchestrator.models import LinearClassifier, Network, PowerNormalization, build_backbone
from orchestrator.models.artifact import Artifact
from orchestrator.models.network import extract_features
from orchestrator.retraining.candidate import candidate_experiment, draft_lineage
from orchestrator.retraining.changes import ChangePlan, Finding
from orchestrator.retraining.lineage import Lineage
from orchestrator.retraining.monitoring.looking import Watch, standing_findings
from orchestrator.retraining.monitoring.records import Look, MonitoringRecord
from orchestrator.retraining.monitoring.samples import held_out_rows
from orchestrator.retraining.registration import Registered
from orchestrator.retraining.scan import Scan, list_unlabeled, scan
from orchestrator.retraining.state import ModelPair
from orchestrator.stages.artifacts import to_artifact
from orchestrator.training.random_streams import seeded_initialisation
from tests.unlabeled import png, write_unlabeled

KNOWN, UNSEEN = range(6), range(6, 10)
LABELLED, WITHOUT = slice(100), slice(100, None)  # images of each digit
RIDGE = 10.0
NOWHERE = Path("/nowhere")
Images = list[npt.NDArray[np.uint8]]


def digits(which: Iterable[int], part: slice) -> Images:
    data = load_digits()
    return [
        np.rint(data.images[row] * (255 / 16)).astype(np.uint8)[None]
        for digit in which
        for row in np.flatnonzero(data.target == digit)[part]
    ]


def retraining_of(arrivals: Path, camera: Path, **monitoring: Any) -> Retraining:  # noqa: ANN401
    experiment = {"method": {"kind": "nearest_class_mean"}}
    source = {
        "path": str(arrivals),
        "settled_seconds": 0,
        "image_size": 8,
        "num_channels": 1,
        "held_out_fraction": 0.5,
        "unlabeled": {"path": str(camera)},
    }
    values = {"experiment": experiment, "source": source, "monitoring": monitoring}
    return Retraining.model_validate(values)


def ridge_regression(role: Role, images: torch.Tensor, labels: torch.Tensor) -> Network[Any, Any]:
    """Return a network of random layers with the linear map that predicts the labels best."""
    backbone = retraining_of(NOWHERE, NOWHERE.with_name("camera")).experiment.backbone_of(role)
    with seeded_initialisation(0, role):
        extractor = build_backbone(backbone, (1, 8, 8))
    features = PowerNormalization()(extract_features(extractor, images)).double()
    inputs = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    gram = inputs.T @ inputs + RIDGE * torch.eye(inputs.shape[1])
    answers = torch.nn.functional.one_hot(labels, len(KNOWN)).double()
    solved = torch.linalg.solve(gram, inputs.T @ answers).float()
    return Network(extractor, PowerNormalization(), LinearClassifier(solved[:-1], solved[-1]))


@dataclass
class Known:
    """A champion of six digits, and the files that it was trained on."""

    arrivals: Path
    champion: Registered
    found: Scan


def champion_of_six(arrivals: Path) -> Known:
    """Deliver digits with labels, and return a champion trained on the half that is not held
    out.
    """
    for digit in KNOWN:
        cells = [png(image) for image in digits([digit], LABELLED)]
        table = pa.table({"image": cells, "label": [digit] * len(cells)})
        pq.write_table(table, arrivals / f"{digit}.parquet")
    retraining = retraining_of(arrivals, NOWHERE)
    plan = ChangePlan((), new_classes=tuple(KNOWN))
    first = scan(retraining.source, Lineage(), [])
    lineage = draft_lineage(retraining.experiment, Lineage(), first, plan)
    experiment = candidate_experiment(retraining, None, lineage, plan)
    images, labels = learned_from(arrivals)
    stages: dict[Role, Artifact] = {}
    for role in ROLES:
        network = ridge_regression(role, images, labels)
        moments = no_moments(network.extractor.num_features, torch.device("cpu"))
        stages[role] = to_artifact(method_of(experiment), MomentsModel(network, moments))
    champion = Registered(ModelPair("1", "1"), lineage, experiment, stages)
    return Known(arrivals, champion, scan(retraining.source, lineage, []))


def learned_from(arrivals: Path) -> tuple[torch.Tensor, torch.Tensor]:
    parts, labels = [], []
    for digit in KNOWN:
        content = read_content(Folder(str(arrivals)), f"{digit}.parquet")
        held_out = {*held_out_rows(content, 0.5)}
        rows = [row for row in range(len(content.digests)) if row not in held_out]
        parts.append(content.decode(rows, (1, 8, 8), 2**20))
        labels += [digit] * len(rows)
    return torch.from_numpy(np.concatenate(parts)), torch.tensor(labels)


class Camera:
    """A folder in which images without labels arrive, and the record of its monitoring."""

    def __init__(self, known: Known, folder: Path, **monitoring: Any) -> None:  # noqa: ANN401
        folder.mkdir(exist_ok=True)
        self.folder, self.champion, self.found = folder, known.champion, known.found
        self.retraining = retraining_of(known.arrivals, folder, **monitoring)
        self.record = MonitoringRecord()

    def deliver(self, images: Iterable[npt.NDArray[np.uint8]]) -> Path:
        number = len([*self.folder.iterdir()])
        return write_unlabeled(self.folder / f"{number}.parquet", images)

    def look(self) -> Look | None:
        """Monitor the folder as a tick does; return None if a tick would not."""
        before = self.record.looks
        files = list_unlabeled(self.retraining.source)
        watch = Watch(self.retraining, self.champion, self.found)
        self.record = watch.look(self.record, files, now=1_000_000.0)
        return self.record.looks[-1] if self.record.looks != before else None

    def judged(self) -> Look:
        look = self.look()
        assert look is not None
        return look

    def findings(self, student: str = "1") -> list[Finding]:
        return standing_findings(self.record, student, self.retraining.monitoring.min_images)
