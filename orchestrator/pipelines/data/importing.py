"""Import: any source becomes two Parquet files that every run reads fast, and a list of what could
not be used.
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
    """What an import has done.

    Attributes:
        files: The Parquet file of each half.
        num_images: Images in each.
        num_bad: Images that were left out.
        notes: What a person should look at, in the survey's words.
        survey: What there was; None where all had been imported before.
    """

    files: Mapping[Half, Path]
    num_images: Mapping[Half, int]
    num_bad: int
    notes: Sequence[str]
    survey: Survey | None

    @property
    def bad_files(self) -> Path:
        """The list of what was left out."""
        return self.files["train"].with_name(BAD_FILES)


def import_data(
    config: DataConfig, output: Path, image_size: int | None, strict: bool, progress: Progress
) -> ImportReport:
    """Writes train.parquet, test.parquet and, if something cannot be used, bad_files.csv.

    An interrupted import goes on where it was; one of what has been imported already does nothing.

    Args:
        config: Where the images come from.
        output: The folder; it is made.
        image_size: Larger images are shrunk until their shorter side has this many pixels; None
            leaves all as they are.
        strict: Refuse to leave anything out.
        progress: Receives how many images are done.

    Raises:
        UserInputError: There are no images, files that no import has written are in the way, or, if
            strict, something cannot be used.
        StorageUnavailableError: The folder cannot be written.
        LockedError: Another import is writing there.
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
    """Parquet files between the images would be taken for the images next time, and their folder
    for a class.
    """
    if folder in (output, *output.parents):
        raise DataError(
            "lies in the folder of the images",
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
            raise DataError(
                "has no image that can be used", where=source.place(half), next_step=advice
            )
    values = json.dumps({"key": key, "num_bad": len(survey.bad), "notes": report.notes}).encode()
    for half in HALVES:
        merge(chunks[half], files[half], survey.labels_are_integers, {_METADATA_KEY: values})
    shutil.rmtree(output / _CHUNKS)
    return report


def _imported(file: Path) -> dict[str, Any] | None:
    """What an earlier import noted in its file; None where there is no file."""
    if not file.exists():
        return None
    try:
        values: dict[str, Any] = json.loads((pq.read_schema(file).metadata or {})[_METADATA_KEY])
    except (pa.ArrowInvalid, OSError, KeyError):
        advice = "choose another --output, or move it away"
        raise DataError(
            "is in the way: no import has written it", where=str(file), next_step=advice
        ) from None
    return values


def _counted(
    files: Mapping[Half, Path], found: Mapping[Half, Mapping[str, Any] | None]
) -> tuple[dict[Half, int], int, list[str]]:
    num_images = {half: pq.read_metadata(file).num_rows for half, file in files.items()}
    before = found["train"]
    # imports of earlier versions kept no notes
    return num_images, *((before["num_bad"], before.get("notes", [])) if before else (0, []))


def _refused(report: ImportReport) -> DataError:
    first = f": {report.survey.bad[0].where} {report.survey.bad[0].reason}" if report.survey else ""
    what = f"{report.num_bad:,} images cannot be used{first}"
    return DataError(
        what, where=str(report.bad_files), next_step="mend or remove them, or leave --strict out"
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
            next_step="wait until it has ended",
        ) from None
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(
            what, where=str(output), next_step="choose another --output"
        ) from None
