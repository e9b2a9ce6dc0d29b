"""Provide the handwritten digits bundled with scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from orchestrator.config.data import DigitsConfig
from orchestrator.data.image_cache import FORMAT, cache_file
from orchestrator.data.image_table import ImageTable, open_image_table, write_image_table
from orchestrator.data.table_source import TableSource
from orchestrator.errors import DataError


class DigitsSource:
    """Source of all digits as one table. scikit-learn returns all digits together, without a split
    into training and test images.
    """

    @staticmethod
    def open(config: DigitsConfig) -> TableSource:
        """Return the source. The table of an earlier call is reused if it exists; otherwise, the
        digits are loaded and split.

        Raises:
            DataError: A class would have no training images or no test images.
            StorageUnavailableError: `cache_dir` cannot be written.
        """
        path = cache_file(config, f"{FORMAT}-{config.test_fraction}-{config.split_seed}")
        return TableSource(open_image_table(path) or _write(config, path))


def _write(config: DigitsConfig, path: Path) -> ImageTable:
    # these imports take seconds, and a cached table does not need them
    from sklearn.datasets import load_digits  # noqa: PLC0415
    from sklearn.model_selection import train_test_split  # noqa: PLC0415

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, np.newaxis]
    labels = digits.target.tolist()
    try:
        _, test = train_test_split(
            np.arange(len(labels)),
            test_size=config.test_fraction,
            stratify=labels,
            random_state=config.split_seed,
        )
    except ValueError as error:
        what = (
            f"{config.test_fraction} leaves classes of the digits without training or test images"
            f" ({error})"
        )
        raise DataError(what, where="data.test_fraction", next_step="the default is 0.3") from None
    is_test = np.zeros(len(labels), dtype=np.bool_)
    is_test[test] = True
    return write_image_table(path, "digits", images, labels, is_test)


SOURCE = DigitsSource
