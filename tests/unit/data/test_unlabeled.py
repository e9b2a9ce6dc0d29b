"""Images without labels: which of a source may be used, and their fingerprints."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.config.data import DigitsConfig
from orchestrator.config.unlabeled import (
    UnlabeledConfig,
    UnlabeledFolderConfig,
    UnlabeledOfLabeledConfig,
    UnlabeledParquetConfig,
)
from orchestrator.data import ImageTable, Scenario, Split
from orchestrator.data import unlabeled as module
from orchestrator.data.unlabeled import LeftOut, UnlabeledPool
from orchestrator.data.unlabeled_loading import load_unlabeled, pool_beside
from orchestrator.errors import DataError
from tests.unit.data.scenarios import build, is_in_a_file
from tests.unlabeled import noise, png, write_unlabeled


@pytest.fixture
def scenario(digits_table: ImageTable) -> Scenario:
    """Return digits whose later tasks have five training images a class."""
    return build(digits_table, class_order=[0, 1, 2, 3], max_images_per_class=5)


def loaded(config: UnlabeledConfig, cache: Path) -> ImageTable:
    return load_unlabeled(DigitsConfig(cache_dir=cache), config)


def pool_of(images: np.ndarray, scenario: Scenario, folder: Path) -> UnlabeledPool:
    file = write_unlabeled(folder / "images.parquet", images)
    table = loaded(UnlabeledParquetConfig(path=str(file)), folder / "cache")
    return pool_beside(scenario, table)


# --- sources --------------------------------------------------------------------------------------


def test_parquet_files_need_no_label_column(tmp_path: Path) -> None:
    images = noise(5)
    for number, part in enumerate((images[:3], images[3:])):
        write_unlabeled(tmp_path / "camera" / f"{number}.parquet", part)
    config = UnlabeledParquetConfig(path=str(tmp_path / "camera"))
    table = loaded(config, tmp_path / "cache")
    assert np.array_equal(table.images, images)
    assert table.name == "camera"


def test_a_folder_is_read_recursively_and_its_names_are_ignored(tmp_path: Path) -> None:
    images = noise(3)
    for name, image in zip(("a.png", "deep/er/b.png", "deep/c.png"), images, strict=True):
        (tmp_path / "camera" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "camera" / name).write_bytes(png(image))
    (tmp_path / "camera" / "notes.txt").write_text("no image")
    table = loaded(UnlabeledFolderConfig(path=tmp_path / "camera"), tmp_path / "cache")
    assert np.array_equal(table.images, images[[0, 2, 1]]), "in the order of their paths"


def test_images_of_any_size_and_mode_are_converted_to_those_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "camera").mkdir()
    Image.new("RGBA", (40, 20), (255, 0, 0, 255)).save(tmp_path / "camera" / "large.png")
    table = loaded(UnlabeledFolderConfig(path=tmp_path / "camera"), tmp_path / "cache")
    assert table.images.shape == (1, 1, 8, 8)
    assert (table.images == 76).all(), "the grey of red"


def test_a_labeled_source_gives_its_training_images(
    digits_table: ImageTable, tmp_path: Path
) -> None:
    config = UnlabeledOfLabeledConfig(source={"kind": "digits", "split_seed": 0})
    table = loaded(config, tmp_path / "cache")
    assert np.array_equal(table.images, digits_table.images[~digits_table.is_test])
    assert set(table.labels.tolist()) == {""}


def test_a_labeled_source_without_test_images_gives_all_its_images(tmp_path: Path) -> None:
    for number, image in enumerate(noise(6)):
        file = tmp_path / "animals" / ("ant", "bee")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(image))
    source = {"kind": "image_folder", "train": str(tmp_path / "animals")}
    table = loaded(UnlabeledOfLabeledConfig(source=source), tmp_path / "cache")
    assert np.array_equal(table.images, noise(6)[[0, 2, 4, 1, 3, 5]])


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (UnlabeledParquetConfig(path="/nowhere.parquet"), "/nowhere.parquet: no such file"),
        (UnlabeledFolderConfig(path=Path("/nowhere")), "/nowhere: no such folder"),
    ],
)
def test_a_nonexistent_path_is_named(config: UnlabeledConfig, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        loaded(config, tmp_path)
    assert said in str(error.value)
    assert "correct data.unlabeled.path" in str(error.value)


def test_a_source_without_images_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        loaded(UnlabeledFolderConfig(path=tmp_path / "empty"), tmp_path / "cache")
    write_unlabeled(tmp_path / "empty.parquet", [])
    with pytest.raises(DataError, match="holds no images"):
        loaded(UnlabeledParquetConfig(path=str(tmp_path / "empty.parquet")), tmp_path / "cache")


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "camera").mkdir()
    (tmp_path / "camera" / "torn.png").write_bytes(png(noise(1)[0])[:40])
    with pytest.raises(DataError, match=r"torn\.png: cannot be decoded"):
        loaded(UnlabeledFolderConfig(path=tmp_path / "camera"), tmp_path / "cache")


def test_at_most_max_images_are_read_and_a_seed_selects_them(tmp_path: Path) -> None:
    file = write_unlabeled(tmp_path / "many.parquet", noise(40))

    def chosen(seed: int, max_images: int = 10) -> list[bytes]:
        config = UnlabeledParquetConfig(path=str(file), max_images=max_images, choice_seed=seed)
        return [image.tobytes() for image in loaded(config, tmp_path / "cache").images]

    assert len(chosen(0)) == 10
    assert chosen(0) == chosen(0)
    assert set(chosen(0)) != set(chosen(1))
    assert chosen(0, 1000) == [image.tobytes() for image in noise(40)]


def test_images_are_decoded_once(tmp_path: Path) -> None:
    file = write_unlabeled(tmp_path / "camera.parquet", noise(4))
    config, told = UnlabeledParquetConfig(path=str(file)), list[int]()
    for _ in range(2):
        load_unlabeled(
            DigitsConfig(cache_dir=tmp_path / "cache"), config, lambda done, _: told.append(done)
        )
    assert told == [1, 2, 3, 4]


# --- usable images --------------------------------------------------------------------------------


def test_images_of_the_data_set_are_excluded_and_counted_by_the_first_reason(
    scenario: Scenario, tmp_path: Path
) -> None:
    rows = {split: scenario.indices[split][2] for split in Split}
    of_data = scenario.table.images
    new = noise(6)
    given = [
        *of_data[rows[Split.TEST][:4]],
        *new,
        *of_data[rows[Split.VALIDATION][:3]],
        *of_data[rows[Split.TRAIN][:2]],
        *new[:1],
    ]
    pool = pool_of(np.stack(given), scenario, tmp_path)
    assert pool.left_out == LeftOut(in_test=4, in_validation=3, in_training=2, repeated=1)
    assert np.array_equal(pool.images(None).images.numpy(), new)
    assert len(pool) + pool.left_out.total == len(given)


def test_test_images_of_unused_classes_are_excluded_too(scenario: Scenario, tmp_path: Path) -> None:
    table = scenario.table
    nine = np.flatnonzero((table.labels == "9") & table.is_test)[:2]
    spare = np.flatnonzero((table.labels == "9") & ~table.is_test)[:5]
    pool = pool_of(table.images[[*nine, *spare]], scenario, tmp_path)
    assert pool.left_out.in_test == 2
    assert len(pool) == 5, "a training image that nobody learns with its label may stay"


def test_a_source_without_usable_images_is_rejected(scenario: Scenario, tmp_path: Path) -> None:
    known = scenario.table.images[scenario.indices[Split.TEST][0][:3]]
    with pytest.raises(DataError, match="each of the 3 unlabelled images is a test, validation"):
        pool_of(known, scenario, tmp_path)


# --- parts and fingerprints -----------------------------------------------------------------------


def test_parts_are_consecutive_and_each_has_its_own_fingerprint(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IMAGES_PER_PART", 4)
    pool = pool_of(noise(10), scenario, tmp_path)
    assert [len(part.rows) for part in pool.parts] == [4, 4, 2]
    assert [len(part.kept) for part in pool.parts] == [4, 4, 2]
    assert np.array_equal(pool.rows, np.concatenate([part.rows for part in pool.parts]))
    assert len({part.fingerprint for part in pool.parts}) == 3


def test_later_images_do_not_change_earlier_parts(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IMAGES_PER_PART", 4)
    before, after = (pool_of(noise(10)[:num], scenario, tmp_path / str(num)) for num in (8, 10))
    assert before.fingerprint != after.fingerprint
    assert [part.fingerprint for part in before.parts] == [
        part.fingerprint for part in after.parts[:2]
    ]


def test_a_part_keeps_excluded_images_if_they_are_the_minority(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IMAGES_PER_PART", 4)
    known, new = scenario.table.images[scenario.indices[Split.TEST][0]], noise(8)
    images = [*known[:1], *new[:3], *known[1:4], new[3], *known[4:8], *new[4:8]]
    pool = pool_of(np.stack(images), scenario, tmp_path)
    assert [part.rows.tolist() for part in pool.parts] == [[0, 1, 2, 3], [7], [12, 13, 14, 15]]
    assert [part.kept.tolist() for part in pool.parts] == [[1, 2, 3], [0], [0, 1, 2, 3]]
    kept = np.concatenate([part.rows[part.kept] for part in pool.parts])
    assert np.array_equal(pool.table.images[kept], new)
    assert np.array_equal(pool.copy_of(kept).numpy(), pool.images(None).images.numpy())


def test_a_part_is_identical_whatever_small_share_is_excluded(
    digits_table: ImageTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All seeds and all numbers of labels then share the part's derived artifacts."""
    monkeypatch.setattr(module, "IMAGES_PER_PART", 100)
    training = digits_table.images[~digits_table.is_test]
    pools = [
        pool_of(training, build(digits_table, seed=seed, **few), tmp_path / f"{seed} {num}")
        for seed in (0, 1)
        for num, few in enumerate(
            {"max_images_per_base_class": num, "max_images_per_class": num} for num in (3, 5)
        )
    ]
    assert len({pool.fingerprint for pool in pools}) == len(pools)
    assert len({tuple(part.fingerprint for part in pool.parts) for pool in pools}) == 1


def test_a_fingerprint_depends_only_on_the_used_images_and_their_order(
    scenario: Scenario, tmp_path: Path
) -> None:
    test_image = scenario.table.images[scenario.indices[Split.TEST][0][:1]]
    plain = pool_of(noise(3), scenario, tmp_path / "plain")
    with_test_image = pool_of(np.concatenate([test_image, noise(3)]), scenario, tmp_path / "more")
    other_order = pool_of(noise(3)[::-1], scenario, tmp_path / "order")
    assert plain.fingerprint == with_test_image.fingerprint
    assert plain.fingerprint != other_order.fingerprint


# --- memory ---------------------------------------------------------------------------------------


def test_too_many_images_are_on_disk_also_after_resizing(
    scenario: Scenario, tmp_path: Path
) -> None:
    pool = pool_of(noise(20), scenario, tmp_path)
    in_memory, on_disk = pool.images(20 * 64), pool.images(20 * 64 - 1)
    assert not is_in_a_file(in_memory.images)
    assert is_in_a_file(on_disk.images)
    assert (in_memory.images == on_disk.images).all()
    assert is_in_a_file(on_disk.resized(4).images)
    assert (on_disk.resized(4).images == in_memory.resized(4).images).all()


def test_images_without_labels_share_the_memory_limit_with_the_labelled_ones(
    scenario: Scenario, tmp_path: Path
) -> None:
    pool = pool_of(noise(20), scenario, tmp_path)
    data = scenario.images_of(Split.TRAIN, [2])
    room = data.images.nbytes + 20 * 64
    for max_bytes, lies_on_disk in ((room, False), (room - 1, True), (None, False)):
        bounded = Scenario(
            scenario.table,
            scenario.class_names,
            scenario.tasks,
            scenario.indices,
            max_bytes=max_bytes,
            unlabeled=pool,
        )
        found = bounded.unlabeled_images(data)
        assert found is not None
        assert is_in_a_file(found.images) == lies_on_disk
        assert len(found) == 20
