"""Draw a sample sheet of a data set: some images of every class, as the models see the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from orchestrator.errors import DataError, StorageUnavailableError, UserInputError
from orchestrator.figures.saving import save_figure

IMAGES_PER_CLASS = 10
_MAX_CLASSES = 40
_SIDE_INCHES = 0.7
_NAME_INCHES = 1.8
_MARGIN_INCHES = 0.12
_MAX_NAME = 22

SheetRows: TypeAlias = dict[str, list[npt.NDArray[np.uint8]]]


def check_sheet(path: Path) -> None:
    """Reject the file name of a sample sheet if the suffix is not a picture format. Callers check
    the name before they read any image.

    Raises:
        UserInputError: The suffix is not a picture format.
    """
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in kinds:
        raise UserInputError(
            f"unknown picture format (choose one of: {', '.join(sorted(kinds))})",
            where=str(path),
            next_step="name it FILE.png",
        )


def write_sample_sheet(
    rows: Mapping[str, list[npt.NDArray[np.uint8]]], title: str, path: Path
) -> None:
    """Write a sample sheet: one row of images per class, with the class's name on the left. If
    there are more than 40 classes, the sheet shows 40 evenly spaced classes.

    Args:
        rows: Images (channels, height, width) by class.
        title: Title of the sheet.
        path: The picture file to write. The suffix determines the format, and must be one that
            `check_sheet` accepts.

    Raises:
        DataError: There are no images.
        StorageUnavailableError: The file cannot be written.
    """
    if not rows:
        raise DataError(
            "has no usable image", where=title, next_step="a sample sheet needs at least one"
        )
    figure = _sheet(rows, title)
    try:
        save_figure(figure, path)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(
            what, where=str(path), next_step="choose another --sheet"
        ) from None


def _sheet(rows: Mapping[str, list[npt.NDArray[np.uint8]]], title: str) -> Figure:
    shown = _spread([*rows])
    height = len(shown) * _SIDE_INCHES + 0.5 + _MARGIN_INCHES
    width = IMAGES_PER_CLASS * _SIDE_INCHES + _NAME_INCHES + _MARGIN_INCHES
    figure = Figure(figsize=(width, height), dpi=150)
    for row, label in enumerate(shown):
        bottom_inches = _MARGIN_INCHES + (len(shown) - 1 - row) * _SIDE_INCHES
        _draw_row(figure, label, rows[label], bottom_inches)
    left_out = f", {len(shown)} of {len(rows)} classes" if len(shown) < len(rows) else ""
    figure.text(
        _MARGIN_INCHES / width,
        1 - 0.25 / height,
        f"{title}{left_out}",
        va="center",
        fontsize=11,
        parse_math=False,
    )
    return figure


def _draw_row(
    figure: Figure, label: str, images: Sequence[npt.NDArray[np.uint8]], bottom_inches: float
) -> None:
    width, height = figure.get_size_inches()
    figure.text(
        (_NAME_INCHES - _MARGIN_INCHES) / width,
        (bottom_inches + _SIDE_INCHES / 2) / height,
        label if len(label) <= _MAX_NAME else f"{label[: _MAX_NAME - 1]}…",
        ha="right",
        va="center",
        fontsize=9,
        parse_math=False,
    )
    for column, image in enumerate(images):
        left = (_NAME_INCHES + column * _SIDE_INCHES) / width
        side_inches = 0.94 * _SIDE_INCHES
        axes = figure.add_axes(
            (left, bottom_inches / height, side_inches / width, side_inches / height)
        )
        axes.imshow(
            np.moveaxis(image, 0, 2), cmap="gray", vmin=0, vmax=255, interpolation="nearest"
        )
        axes.set_axis_off()


def _spread(labels: list[str]) -> list[str]:
    if len(labels) <= _MAX_CLASSES:
        return labels
    return [labels[round(place)] for place in np.linspace(0, len(labels) - 1, _MAX_CLASSES)]
