"""Test whether known classes look different now, by a two-sample test on embeddings.

Each dimension of the embeddings is tested with a Kolmogorov-Smirnov test. The result is the
smallest p-value times the number of dimensions (Bonferroni). Among the tests that Rabanser et al.
("Failing Loudly", NeurIPS 2019) compare, this test needs the fewest samples. The test cannot
distinguish good changes from bad ones, so a person should look at a detected shift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from orchestrator.config.retraining import Retraining
from orchestrator.data.growing_folder import Folder, is_held_out, read_content
from orchestrator.models import AnyNetwork
from orchestrator.models.network import extract_features
from orchestrator.retraining.changes import Finding, FindingKind
from orchestrator.retraining.registration import Registered
from orchestrator.retraining.scan import Scan

Embeddings = npt.NDArray[np.floating]


def shift_p_value(known: Embeddings, new: Embeddings) -> float:
    """Return the p-value of the hypothesis that known and new images have the same distribution of
    embeddings.

    Args:
        known: Embeddings of learned images, (images, dimensions).
        new: Embeddings of images that have arrived, (images, dimensions).

    Returns:
        A p-value in [0, 1]; a small value indicates a shift.
    """
    from scipy.stats import (  # noqa: PLC0415
        ks_2samp,
    )

    p_values = ks_2samp(known, new, axis=0, method="asymp").pvalue
    return float(min(1.0, np.min(p_values) * known.shape[1]))


def find_shifts(found: Scan, champion: Registered, retraining: Retraining) -> list[Finding]:
    """Find classes whose new images differ from the held-out images; return a finding for each.

    Only known classes with enough new images are tested.

    Raises:
        DataError: An image cannot be decoded.
        StorageUnavailableError: The source does not answer.
    """
    test, lineage = retraining.shift_test, champion.lineage
    arrived = found.new_images()
    classes = [label for label in lineage.classes if arrived.get(label, 0) >= test.min_images]
    if not classes:
        return []
    new = _images(
        retraining,
        {file.name: 1 for file in found.new},
        dict.fromkeys(classes, 1),
        held_out_only=False,
    )
    deliveries = {file.name: file.delivery for file in found.kept}
    # use only held-out images: the embeddings of images that the network learned from would differ
    known = _images(
        retraining,
        deliveries,
        {label: lineage.deliveries[label] for label in classes},
        held_out_only=True,
    )
    network = champion.networks()["teacher"]
    findings = []
    for label in classes:
        if len(known[label]) < test.min_images:
            continue
        p_value = shift_p_value(
            *(_embeddings(network, images) for images in (known[label], new[label]))
        )
        if p_value < test.p_value:
            what = (
                f"class {label}: {len(new[label])} new images differ from {len(known[label])}"
                f" held-out ones (p = {p_value:.1e})"
            )
            findings.append(Finding(FindingKind.SHIFT, retraining.reactions.shift, what, (label,)))
    return findings


def _images(
    retraining: Retraining,
    deliveries: Mapping[str, int],
    last_delivery: Mapping[str, int],
    held_out_only: bool,
) -> dict[str, npt.NDArray[np.uint8]]:
    """Return images of some classes, at most `shift_test.max_images` for each class.

    Args:
        retraining: Configuration of the retraining, including the source.
        deliveries: Files to read. Each file name is mapped to the file's delivery. Deliveries
            (groups of files that arrived together) are numbered from 1, in the order of arrival.
        last_delivery: Classes whose images are returned. Each class is mapped to a delivery; files
            of later deliveries are skipped for this class.
        held_out_only: Whether to use only held-out images, which no model learned from.
    """
    source, limit = retraining.source, retraining.shift_test.max_images
    shape, max_pixels = source.shape, retraining.experiment.data.max_image_pixels
    parts: dict[str, list[npt.NDArray[np.uint8]]] = {
        label: [np.empty((0, *shape), dtype=np.uint8)] for label in last_delivery
    }
    folder = Folder(source.path)
    for name, delivery in deliveries.items():
        wanted = {
            label
            for label, last in last_delivery.items()
            if delivery <= last and _num(parts[label]) < limit
        }
        if not wanted:
            continue
        content = read_content(folder, name)
        for label in wanted:
            rows = [row for row, found in enumerate(content.labels) if str(found) == label]
            if held_out_only:
                rows = [
                    row
                    for row in rows
                    if is_held_out(content.digests[row], source.held_out_fraction)
                ]
            chosen = rows[: limit - _num(parts[label])]
            parts[label].append(content.decode(chosen, shape, max_pixels))
    return {label: np.concatenate(found) for label, found in parts.items()}


def _num(parts: Sequence[npt.NDArray[np.uint8]]) -> int:
    return sum(len(part) for part in parts)


def _embeddings(network: AnyNetwork, images: npt.NDArray[np.uint8]) -> Embeddings:
    with torch.inference_mode():
        embedded: Tensor = network.embedding(
            extract_features(network.extractor, torch.from_numpy(images))
        )
    return embedded.numpy()
