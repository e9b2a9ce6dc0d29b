"""What the benchmarks compose and compute themselves."""

import importlib
import io
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def many_classes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("many_classes")


def places_in(file: Path) -> list[tuple[bytes, str]]:
    """Return the pixels of every place of every image, with the digit of its label."""
    found = []
    for row in pq.read_table(file).to_pylist():
        pixels = np.asarray(Image.open(io.BytesIO(row["image"])))
        assert pixels.shape == (16, 16)
        for place, digit in enumerate(row["label"]):
            found.append((pixels[4:12, 8 * place : 8 * place + 8].tobytes(), digit))
    return found


def test_composed_numbers_show_the_digits_of_their_label_and_no_digit_is_in_two_parts(
    many_classes: ModuleType, tmp_path: Path
) -> None:
    images, digits = load_digits(return_X_y=True)
    truth = {
        np.round(image / 16 * 255).astype(np.uint8).tobytes(): str(digit)
        for image, digit in zip(images, digits, strict=True)
    }
    numbers = many_classes.Numbers(2, 10, num_train=4, num_test=3, size=16, num_channels=1)
    parts = {}
    for validation in (False, True):
        folder = tmp_path / str(validation)
        folder.mkdir()
        numbers.write(folder, 0, validation=validation)
        for part, num in (("train", 4), ("test", 3)):
            places = parts[part, validation] = places_in(folder / f"{part}.parquet")
            assert len(places) == 10 * num * 2
            assert all(truth[pixels] == digit for pixels, digit in places)
    seen = {part: {pixels for pixels, _ in places} for part, places in parts.items()}
    assert not seen["train", False] & seen["test", False]
    assert not seen["train", True] & seen["test", True]
    # settings are chosen without any digit of a test image
    assert not seen["test", False] & (seen["train", True] | seen["test", True])


@pytest.mark.parametrize(("power", "ratio"), [(0, 1), (1, 100), (2, 10_000)])
def test_growth_is_the_ratio_and_the_power_from_fewest_to_most_classes(
    many_classes: ModuleType, power: int, ratio: int
) -> None:
    growth = many_classes.Growth("memory", {size: 3.0 * size**power for size in (10, 100, 1000)})
    assert growth.ratio == pytest.approx(ratio)
    assert growth.exponent == pytest.approx(power)
