"""Predict the classes of images in batches; skip corrupt images and list them."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.data.decoding import Shape
from orchestrator.data.image_limits import ImageLimits
from orchestrator.data.loading import decode_sample
from orchestrator.data.samples import Progress, Sample, ignore_progress, in_batches, in_threads
from orchestrator.data.sources.unlabeled.named import NamedImages
from orchestrator.errors import DataError
from orchestrator.export.arrays import Logits
from orchestrator.pipelines.prediction.models import OpenModel, open_model

_BATCH = 64
_DECIMALS = 6
IMAGES_SHOWN_PER_CLASS = 10
Pixels: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """Image with its most probable class.

    Attributes:
        image: Path of the image, or the Parquet file and the row.
        label: The predicted class.
        probability: Softmax of the logits, in [0, 1]; not calibrated.
    """

    image: str
    label: str
    probability: float


@dataclass(frozen=True)
class Skipped:
    """Image that cannot be decoded.

    Attributes:
        image: Path of the image, or the Parquet file and the row.
        reason: Why the image cannot be decoded.
    """

    image: str
    reason: str


@dataclass(frozen=True)
class Predictions:
    """Predictions of one model.

    Attributes:
        model: The model, as the user named it.
        role: `teacher` or `student`.
        class_names: All classes that the model can predict.
        predictions: One prediction per image, in the order of the images.
        skipped: Images that cannot be decoded.
        shown: Some images of every predicted class, decoded as the model's input.
    """

    model: str
    role: str
    class_names: Sequence[str]
    predictions: list[Prediction] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    shown: dict[str, list[Pixels]] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[str]:
        """Return the number of images by predicted class."""
        return Counter(prediction.label for prediction in self.predictions)

    def as_csv(self) -> str:
        """Return the predictions as CSV, with a header and one line per image."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["image", "class", "probability"])
        for one in self.predictions:
            writer.writerow([one.image, one.label, f"{one.probability:.{_DECIMALS}f}"])
        return text.getvalue()

    def as_json(self) -> str:
        """Return predictions, counts and skipped images as one JSON document."""
        document: dict[str, Any] = {
            "model": self.model,
            "role": self.role,
            "class_names": list(self.class_names),
            "predictions": [
                {
                    "image": one.image,
                    "class": one.label,
                    "probability": round(one.probability, _DECIMALS),
                }
                for one in self.predictions
            ],
            "skipped": [asdict(one) for one in self.skipped],
        }
        return f"{json.dumps(document, indent=1, ensure_ascii=False)}\n"


def predict(
    reference: str, places: Sequence[str], uri: str, progress: Progress = ignore_progress
) -> Predictions:
    """Predict the classes of the images at the given paths with one model.

    Args:
        reference: The model; see `open_model`.
        places: Image files, folders and Parquet files; see `NamedImages`.
        uri: The tracking store of runs and registered models.
        progress: Receives the number of processed images.

    Raises:
        UserInputError: The model does not exist, a path is missing, or no image can be decoded.
        TransientError: MLflow, the stage store or object storage cannot be reached.
    """
    images = NamedImages(places)  # opened before the model, so that a wrong path fails at once
    model = open_model(reference, uri)
    found = Predictions(reference, model.role, model.class_names)
    total = images.num_images
    for batch in in_batches(_decoded(images, model.shape, found.skipped), _BATCH):
        _predict_batch(model, batch, found)
        progress(len(found.predictions) + len(found.skipped), total)
    if not found.predictions:
        raise _nothing_left(found.skipped)
    return found


def probabilities(logits: Logits) -> npt.NDArray[np.float64]:
    """Return the softmax of each row, computed in float64."""
    wide = logits.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _decoded(
    images: NamedImages, shape: Shape, skipped: list[Skipped]
) -> Iterator[tuple[str, Pixels]]:
    """Yield the name and the pixels of each image; append images that cannot be decoded to
    `skipped`.
    """
    work = partial(_decoded_or_skipped, shape=shape, limits=ImageLimits())
    for decoded in in_threads(work, images.samples()):
        if isinstance(decoded, Skipped):
            skipped.append(decoded)
        else:
            yield decoded


def _decoded_or_skipped(
    sample: Sample, shape: Shape, limits: ImageLimits
) -> tuple[str, Pixels] | Skipped:
    try:
        return sample.where, decode_sample(sample, shape, limits)[1]
    except DataError as error:
        return Skipped(sample.where, error.what)


def _predict_batch(
    model: OpenModel, batch: Sequence[tuple[str, Pixels]], found: Predictions
) -> None:
    shares = probabilities(model.predict(np.stack([pixels for _, pixels in batch])))
    for (image, pixels), row in zip(batch, shares, strict=True):
        best = int(row.argmax())
        label = model.class_names[best]
        found.predictions.append(Prediction(image, label, float(row[best])))
        shown = found.shown.setdefault(label, [])
        if len(shown) < IMAGES_SHOWN_PER_CLASS:
            shown.append(pixels)


def _nothing_left(skipped: Sequence[Skipped]) -> DataError:
    if not skipped:
        return DataError("there are no images", next_step="name files that contain images")
    first = skipped[0]
    what = f"none of the {len(skipped)} images can be used; the first: {first.reason}"
    return DataError(what, first.image, "name other images")


def check_output(path: Path) -> None:
    """Reject an invalid output file before any image is read.

    Raises:
        DataError: The path is a folder, or its suffix is neither .csv nor .json.
    """
    if path.is_dir():
        raise DataError("is a folder", str(path), "name a file with --output")
    if path.suffix.lower() not in (".csv", ".json"):
        raise DataError("is neither a .csv nor a .json file", str(path), "choose one of the two")
