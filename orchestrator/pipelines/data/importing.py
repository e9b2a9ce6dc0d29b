"""Import images: convert any source to two Parquet files that load fast, and list the unusable
images.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from orchestrator.config.data import DataConfig
from orchestrator.config.image_source import Half
from orchestrator.csv_text import csv_text
from orchestrator.data.importing import Chunk, import_chunks, import_key, merge
from orchestrator.data.samples import HALVES, ImageSource, Progress, Sample
from orchestrator.data.sources.source import open_source
from orchestrator.data.survey import BadImage, Survey, new_survey
from orchestrator.errors import DataError, LockedError, StorageUnavailableError
from orchestrator.whole_files import write_whole

BAD_FILES = "bad_files.csv"
_METADATA_KEY = b"continual_orchestrator_import"
_CHUNKS = ".import"


@dataclass(frozen=True)
class ImportReport:
    """Result of an import.

    Attributes:
        files: The Parquet file of each half of the data: `train` and `test`.
        num_images: Number of imported images in each half.
        num_bad: Number of skipped images.
        notes: Problems that a person should look at.
        survey: The survey of the source; None if an earlier import was complete, so that this
            import read no images.
    """

    files: Mapping[Half, Path]
    num_images: Mapping[Half, int]
    num_bad: int
    notes: Sequence[str]
    survey: Survey | None

    @property
    def bad_files(self) -> Path:
        """Return the path of the list of skipped images."""
        return self.files["train"].with_name(BAD_FILES)


def import_data(
    config: DataConfig, output: Path, image_size: int | None, strict: bool, progress: Progress
) -> ImportReport:
    """Write train.parquet, test.parquet and, if images are unusable, bad_files.csv.

    Resume an interrupted import. If the folder has a complete import of the same source with the
    same settings, write nothing.

    Args:
        config: The source of the images.
        output: The output folder, created if missing.
        image_size: Larger images are shrunk until their shorter side has this many pixels; None
            stores all images unchanged.
        strict: Whether to reject unusable images instead of skipping them.
        progress: Receives the number of processed images.

    Raises:
        UserInputError: There are no images, train.parquet or test.parquet was not written by an
            import, or `strict` is set and an image is unusable.
        StorageUnavailableError: The folder cannot be written.
        LockedError: Another import is writing to the folder.
    """
    _check_outside(config.reserved_folder, output.absolute())
    source = open_source(config)
    files: dict[Half, Path] = {half: output / f"{half}.parquet" for half in HALVES}
    with _locked(output):
        found = {half: _imported(file) for half, file in files.items()}
        key = import_key(source.stamp, image_size, config.max_image_pixels)
        if all(before is not None and before["key"] == key for before in found.values()):
            report = ImportReport(files, *_counted(files, found), None)
        else:
            chunks = partial(
                import_chunks,
                image_size=image_size,
                max_pixels=config.max_image_pixels,
                folder=output / _CHUNKS,
            )
            report = _import(source, files, key, chunks, progress, strict)
    if strict and report.num_bad:
        raise _refused(report)
    return report


def _check_outside(folder: Path | None, output: Path) -> None:
    """Reject an output folder that is the folder of the images, or is inside that folder. The next
    import would mistake the output folder for a class, or its Parquet files for images.
    """
    if folder in (output, *output.parents):
        raise DataError(
            "is within the folder of the images",
            where=str(output),
            next_step="choose another --output",
        )


def _import(
    source: ImageSource,
    files: Mapping[Half, Path],
    key: str,
    import_half: Callable[[Iterator[Sample], Half], Iterator[tuple[Chunk, int]]],
    progress: Progress,
    strict: bool,
) -> ImportReport:
    output = files["train"].parent
    (output / _CHUNKS).mkdir(exist_ok=True)
    chunks: dict[Half, list[Chunk]] = {half: [] for half in HALVES}
    survey = new_survey(source)
    done, total = 0, sum(source.num_images(half) for half in HALVES)
    for half in HALVES:
        for chunk, num_samples in import_half(source.samples(half), half):
            chunks[half].append(chunk)
            for image in chunk.images():
                survey.add(image)
            done += num_samples
            progress(done, total)
    _write_bad_files(survey.bad, output / BAD_FILES)
    report = ImportReport(
        files,
        {half: survey.counts[half].total() for half in HALVES},
        len(survey.bad),
        survey.findings(),
        survey,
    )
    if strict and survey.bad:
        return report
    for half in HALVES:
        if not survey.counts[half]:
            advice = f"look at {output / BAD_FILES}" if survey.bad else "add images"
            raise DataError("has no usable image", where=source.place(half), next_step=advice)
    values = json.dumps({"key": key, "num_bad": len(survey.bad), "notes": report.notes}).encode()
    for half in HALVES:
        merge(chunks[half], files[half], survey.labels_are_integers, {_METADATA_KEY: values})
    shutil.rmtree(output / _CHUNKS)
    return report


def _imported(file: Path) -> dict[str, Any] | None:
    """Return the metadata that an earlier import wrote into a file; None if the file does not
    exist.

    Raises:
        DataError: The file was not written by an import.
    """
    if not file.exists():
        return None
    try:
        values: dict[str, Any] = json.loads((pq.read_schema(file).metadata or {})[_METADATA_KEY])
    except (pa.ArrowInvalid, OSError, KeyError):
        advice = "choose another --output, or move the file away"
        raise DataError(
            "exists already and was not written by an import", where=str(file), next_step=advice
        ) from None
    return values


def _counted(
    files: Mapping[Half, Path], found: Mapping[Half, Mapping[str, Any] | None]
) -> tuple[dict[Half, int], int, list[str]]:
    num_images = {half: pq.read_metadata(file).num_rows for half, file in files.items()}
    before = found["train"]
    # earlier versions of this program wrote files without `notes`
    return num_images, *((before["num_bad"], before.get("notes", [])) if before else (0, []))


def _refused(report: ImportReport) -> DataError:
    first = f": {report.survey.bad[0].where} {report.survey.bad[0].reason}" if report.survey else ""
    what = f"{report.num_bad:,} images cannot be used{first}"
    return DataError(
        what, where=str(report.bad_files), next_step="fix or remove these images, or omit --strict"
    )


def _write_bad_files(bad: list[BadImage], path: Path) -> None:
    if not bad:
        path.unlink(missing_ok=True)
        return
    write_whole(path, csv_text([("split", "path", "reason"), *bad]))


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = FileLock(output / f"{_CHUNKS}.lock", timeout=0)
        with lock:
            yield
    except Timeout:
        raise LockedError(
            "another import is writing there",
            where=str(output),
            next_step="wait until that import has ended",
        ) from None
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(
            what, where=str(output), next_step="choose another --output"
        ) from None
