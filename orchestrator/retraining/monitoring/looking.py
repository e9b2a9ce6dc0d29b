"""Compare new images without labels with held-out images, by the predictions of the champion.

Images are read only if a file has arrived, or if a new champion may judge waiting images. Networks
are built only if there are enough new images.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import torch
from jaxtyping import Float
from torch import Tensor

from orchestrator.config.retraining import Retraining
from orchestrator.config.roles import Role
from orchestrator.data.growing_folder import Folder, SourceFile, read_content
from orchestrator.errors import DataError
from orchestrator.models import AnyNetwork
from orchestrator.models.network import predict
from orchestrator.retraining.changes import Finding, FindingKind
from orchestrator.retraining.monitoring.records import (
    MAX_LOOKS,
    Answers,
    HeldOut,
    Look,
    MonitoringRecord,
    stamp_of,
)
from orchestrator.retraining.monitoring.samples import (
    Pixels,
    Sample,
    held_out_images,
    held_out_rows,
)
from orchestrator.retraining.monitoring.signals import compare, crossed_bounds
from orchestrator.retraining.registration import Registered
from orchestrator.retraining.scan import Scan

_MOST_NAMES = 3


class Watch:
    """Compares new unlabelled images with held-out images, at most once in each retraining run."""

    def __init__(self, retraining: Retraining, champion: Registered, found: Scan) -> None:
        """Keep the arguments without reading any file.

        Args:
            retraining: Configuration of the retraining, including its folders and the bounds of
                monitoring.
            champion: The model whose predictions are compared.
            found: Scan of the labelled source, which lists the files with held-out images.
        """
        self._retraining = retraining
        self._champion = champion
        self._found = found
        self._networks: dict[Role, AnyNetwork] = {}

    def look(
        self, record: MonitoringRecord, files: Sequence[SourceFile], now: float | None = None
    ) -> MonitoringRecord:
        """Compare new images with held-out images if there are enough new images, and return the
        updated record.

        Args:
            record: The record of earlier comparisons.
            files: Present files without labels, except files that may still be growing.
            now: Time in seconds since 1970; None means now.

        Raises:
            UserInputError: The champion's networks cannot be built, or its files cannot be read.
            StorageUnavailableError: A folder does not answer.
        """
        config = self._retraining.monitoring
        there = {stamp_of(file): file for file in files}
        record = record.of_files(there)
        if not self._is_due(record, [*there]):
            return record
        wanted = [*record.unknown([*there]), *record.waiting]
        max_pixels = self._retraining.experiment.data.max_image_pixels
        sample = Sample(config.max_images, self._champion.experiment.data.shape, max_pixels)
        record = self._read(record, {stamp: there[stamp] for stamp in sorted(wanted)}, sample)
        if len(sample) < config.min_images:
            return record
        record = record.model_copy(update={"held_out": self._held_out(record)})
        held_out = record.held_out.answers if record.held_out else None
        if held_out is None:
            return record
        new = self._answers(sample.images())
        look = self._compared(record, new, held_out, time.time() if now is None else now)
        return record.model_copy(
            update={
                "looked_at": record.looked_at.union(record.waiting),
                "waiting": {},
                "looks": (*record.looks, look)[-MAX_LOOKS:],
            }
        )

    def _is_due(self, record: MonitoringRecord, stamps: Sequence[str]) -> bool:
        """Return whether to read images now.

        Images are read if a file was never read before. They are also read if the champion has
        changed and enough images are waiting: the new champion may have enough held-out images.
        """
        seen_by = record.held_out.student if record.held_out else self._champion.pair.student
        enough = sum(record.waiting.values()) >= self._retraining.monitoring.min_images
        return bool(record.unknown(stamps)) or (enough and seen_by != self._champion.pair.student)

    def _read(
        self, record: MonitoringRecord, files: Mapping[str, SourceFile], sample: Sample
    ) -> MonitoringRecord:
        """Add images of files to a sample, and return a record that lists the files as waiting for
        a comparison.

        Files are read in the order of their stamps (identifiers that are digests), until they have
        `monitoring.max_images` images. The order of digests is arbitrary, so the read files are a
        random choice. Files that are not read are also listed.
        """
        limit, num_images = self._retraining.monitoring.max_images, 0
        waiting, damaged = dict.fromkeys(files, 0), dict(record.damaged)
        for stamp, file in files.items():
            if num_images >= limit:
                break
            known_damages = len(sample.damaged)
            try:
                waiting[stamp] = self._offer(file, sample)
            except DataError as error:
                del waiting[stamp]
                damaged[stamp] = str(error)
                continue
            num_images += waiting[stamp]
            if len(sample.damaged) > known_damages:
                damaged[stamp] = sample.damaged[known_damages]
        return record.model_copy(update={"waiting": waiting, "damaged": damaged})

    def _offer(self, file: SourceFile, sample: Sample) -> int:
        """Offer a file's images to a sample, which keeps some, and return the number offered.

        If the champion learned from the file, only the file's held-out images are offered. Images
        that the champion learned from would bias the comparison, because student and teacher agree
        on them more often than on new images.
        """
        source = self._retraining.source
        assert source.unlabeled is not None  # noqa: S101 - else there would be no file
        content = read_content(Folder(source.unlabeled.path), file.name, has_labels=False)
        rows: Sequence[int] = range(len(content.digests))
        if any(content.sha256 == taken.sha256 for taken in self._champion.lineage.unlabeled):
            rows = held_out_rows(content, source.held_out_fraction)
        sample.offer(content, rows)
        return len(rows)

    def _held_out(self, record: MonitoringRecord) -> HeldOut:
        """Return a summary of the champion's predictions for held-out images, computed once for
        each champion.
        """
        config, known = self._retraining.monitoring, record.held_out
        student, fraction = self._champion.pair.student, self._retraining.source.held_out_fraction
        if known is not None and known.serves(student, config.max_images, fraction):
            return known
        images = held_out_images(self._retraining, self._champion, self._found.kept)
        return HeldOut(
            student=student,
            max_images=config.max_images,
            held_out_fraction=fraction,
            num_images=len(images),
            answers=self._answers(images) if len(images) >= config.min_images else None,
        )

    def _answers(self, images: Pixels) -> Answers:
        if not self._networks:
            self._networks = self._champion.networks()
        return answers_of(self._networks, images, self._champion.lineage.classes)

    def _compared(
        self, record: MonitoringRecord, new: Answers, held_out: Answers, now: float
    ) -> Look:
        config = self._retraining.monitoring
        signals = compare(new, held_out, config)
        return Look(
            number=record.looks[-1].number + 1 if record.looks else 1,
            time=now,
            student=self._champion.pair.student,
            num_images=new.num_images,
            num_held_out=held_out.num_images,
            agreement=new.agreement,
            held_out_agreement=held_out.agreement,
            far_share=signals.far_share,
            expected_far_share=signals.expected_far_share,
            class_distance=signals.class_distance,
            findings=tuple(crossed_bounds(signals, new, held_out, config)),
        )


def answers_of(
    networks: Mapping[Role, AnyNetwork], images: Pixels, classes: Sequence[str]
) -> Answers:
    """Classify images with a champion, and return a summary of the predictions.

    Args:
        networks: Networks of both roles.
        images: uint8 (images, channels, height, width).
        classes: Labels in the order of the logits.
    """
    logits = {
        role: predict(network, torch.from_numpy(images)) for role, network in networks.items()
    }
    predicted = {role: of_role.argmax(dim=1) for role, of_role in logits.items()}
    counts = Counter(predicted["student"].tolist())
    return Answers(
        num_images=len(images),
        num_agreeing=int((predicted["student"] == predicted["teacher"]).sum()),
        closeness=tuple(closeness(logits["teacher"]).sort().values.tolist()),
        classes={classes[at]: num for at, num in sorted(counts.items())},
    )


def closeness(logits: Float[Tensor, "n classes"]) -> Float[Tensor, " n"]:
    """Return for each image the highest logit minus the mean logit.

    The value measures how much closer an image is to its nearest class than to the average class.
    The mean is subtracted because, in most methods, the logits of an image are determined only up
    to a constant that all classes share.
    """
    return logits.max(dim=1).values - logits.mean(dim=1)


def standing_findings(record: MonitoringRecord, student: str, min_images: int) -> list[Finding]:
    """Return the findings that remain valid until the next comparison of images.

    They are the findings of the last comparison, if the present champion made it, and findings
    about images that cannot be judged.

    Args:
        record: The monitoring record at the end of this tick.
        student: Version of the champion's student.
        min_images: Number of images that a comparison needs.
    """
    found = []
    if record.looks and record.looks[-1].student == student:
        look = record.looks[-1]
        when = datetime.fromtimestamp(look.time, UTC).strftime("%Y-%m-%d %H:%M UTC")
        found += [
            Finding(it.kind, "warn", f"{it.message}; seen {when}", it.classes)
            for it in look.findings
        ]
    if record.damaged:
        reasons = "; ".join([*record.damaged.values()][:_MOST_NAMES])
        what = (
            f"{len(record.damaged)} file{'s' if len(record.damaged) > 1 else ''} without labels"
            f" cannot be read completely: {reasons}"
        )
        found.append(Finding(FindingKind.NOT_MONITORED, "warn", what))
    held_out = record.held_out
    if held_out is not None and held_out.student == student and held_out.answers is None:
        what = (
            "images without labels are not judged: the champion's classes have"
            f" {held_out.num_images} held-out images, {min_images} are needed"
            " (monitoring.min_images)"
        )
        found.append(Finding(FindingKind.NOT_MONITORED, "warn", what))
    return found
