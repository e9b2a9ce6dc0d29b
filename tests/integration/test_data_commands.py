"""`orchestrator data import` and `data describe`, and the output of a run on the same data."""

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.config import Experiment, dump_experiment
from orchestrator.config.data import DigitsConfig, ImageFolderConfig, ParquetConfig
from orchestrator.config.image_source import Half
from orchestrator.data import ImageTable, importing, load_images
from orchestrator.data.decoding import Shape
from orchestrator.data.image_limits import ImageLimits
from orchestrator.data.samples import HALVES, Sample
from orchestrator.data.survey import examine
from orchestrator.errors import DataError, LockedError
from orchestrator.pipelines.data.importing import ImportReport, import_data
from orchestrator.pipelines.data.sources import named_source
from tests.extensions.distribution import install_npz

Command = Callable[..., "subprocess.CompletedProcess[str]"]
LABELS = ("ant", "bee", "cat")
NUM_TRAIN, NUM_TEST = 8, 2
PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "cifar10"


def picture(number: int, size: tuple[int, int] = (10, 10)) -> Image.Image:
    return Image.fromarray(
        np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), np.uint8)
    )


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return three classes in two halves; all images differ."""
    monkeypatch.chdir(tmp_path)
    number = 0
    for half, num in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        for label in LABELS:
            for _ in range(num):
                number += 1
                file = tmp_path / "photos" / half / label / f"{number}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                picture(number).save(file)
    return tmp_path / "photos"


def config(photos: Path) -> ImageFolderConfig:
    return ImageFolderConfig(
        train=photos / "train",
        test=photos / "test",
        image_size=8,
        cache_dir=photos.parent / "cache",
    )


def imported(photos: Path, image_size: int | None = None, strict: bool = False) -> ImportReport:
    return import_data(
        config(photos), photos.parent / "out", image_size, strict, lambda done, total: None
    )


def bad_files(photos: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO((photos.parent / "out" / "bad_files.csv").read_text())))


# --- import ---------------------------------------------------------------------------------------


def test_files_are_stored_unchanged_in_the_order_of_their_labels(
    photos: Path, orchestrator_command: Command
) -> None:
    answer = orchestrator_command("data", "import", "photos", "--output", "out")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[:2] == [
        "train         24 images  out/train.parquet",
        "test           6 images  out/test.parquet",
    ]
    for half in HALVES:
        files = sorted(
            (photos / half).rglob("*.jpg"), key=lambda file: (file.parent.name, str(file))
        )
        table = pq.read_table(f"out/{half}.parquet")
        assert table.column_names == ["image", "label"]
        assert table["label"].to_pylist() == [file.parent.name for file in files]
        assert table["image"].to_pylist() == [file.read_bytes() for file in files]
    assert sorted(path.name for path in Path("out").iterdir()) == [
        ".import.lock",
        "test.parquet",
        "train.parquet",
    ]


def test_imported_data_give_the_same_images_as_their_source(photos: Path) -> None:
    imported(photos)
    train, test = (photos.parent / "out" / f"{half}.parquet" for half in HALVES)
    table = load_images(
        ParquetConfig(
            train=str(train), test=str(test), image_size=8, cache_dir=photos.parent / "cache"
        )
    )
    assert table.fingerprint == load_images(config(photos)).fingerprint


def test_a_row_group_has_one_label_in_its_statistics(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_GROUP_IMAGES", 3)
    imported(photos)
    metadata = pq.read_metadata(photos.parent / "out" / "train.parquet")
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [3, 3, 2] * 3
    ranges = [(group.column(1).statistics.min, group.column(1).statistics.max) for group in groups]
    assert ranges == [(label, label) for label in LABELS for _ in range(3)]


def test_row_groups_are_limited_in_bytes(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_GROUP_BYTES", 1)
    imported(photos)
    assert pq.read_metadata(photos.parent / "out" / "train.parquet").num_row_groups == 24


def test_a_second_import_does_nothing_until_something_changes(
    photos: Path, orchestrator_command: Command
) -> None:
    imported(photos)
    file = photos.parent / "out" / "train.parquet"
    inode = file.stat().st_ino
    answer = orchestrator_command("data", "import", "photos", "--output", "out")
    assert answer.stdout.startswith(
        "nothing new: everything was imported earlier\ntrain         24 images"
    )
    assert file.stat().st_ino == inode
    picture(99).save(photos / "train" / "ant" / "99.jpg")
    assert imported(photos).num_images == {"train": 25, "test": 6}
    assert pq.read_metadata(file).num_rows == 25


def test_an_interrupted_import_resumes_where_it_stopped(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_CHUNK_IMAGES", 4)
    examined: list[str] = []

    def interrupted(sample: Sample, half: Half, shape: Shape, limits: ImageLimits) -> object:
        examined.append(sample.where)
        if len(examined) == 15:
            raise KeyboardInterrupt
        return examine(sample, half, shape, limits)

    monkeypatch.setattr(importing, "examine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        imported(photos)
    assert not (photos.parent / "out" / "train.parquet").exists()
    first = set(examined[:12])
    examined[:] = [""] * 20  # images after the interruption
    assert imported(photos).num_images == {"train": 24, "test": 6}
    assert len(examined) - 20 == 30 - 12
    assert not first & set(examined), "three chunks were done before"


def test_bad_files_are_skipped_and_listed(photos: Path, orchestrator_command: Command) -> None:
    zero, text = photos / "train" / "ant" / "zero.png", photos / "test" / "bee" / "text.jpg"
    zero.touch()
    text.write_text("no image")
    answer = orchestrator_command("data", "import", "photos", "--output", "out")
    assert answer.returncode == 0
    assert "skipped        2 images  out/bad_files.csv" in answer.stdout
    reason = "cannot be decoded (not an image of a known format)"
    assert bad_files(photos) == [
        ["split", "path", "reason"],
        ["train", str(zero), reason],
        ["test", str(text), reason],
    ]
    again = orchestrator_command("data", "import", "photos", "--output", "out")
    assert "skipped        2 images  out/bad_files.csv" in again.stdout
    zero.unlink()
    text.unlink()
    assert imported(photos).num_bad == 0
    assert not (photos.parent / "out" / "bad_files.csv").exists()


def test_strict_fails_instead_of_skipping_files(
    photos: Path, orchestrator_command: Command
) -> None:
    (photos / "train" / "ant" / "zero.png").touch()
    answer = orchestrator_command("data", "import", "photos", "--output", "out", "--strict")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: out/bad_files.csv: 1 images cannot be used: ")
    assert "Traceback" not in answer.stderr
    assert not Path("out/train.parquet").exists()
    imported(photos)
    with pytest.raises(DataError, match="1 images cannot be used"):
        imported(photos, strict=True)  # fails again although nothing is new


def test_larger_images_are_resized_and_others_unchanged(photos: Path) -> None:
    large = photos / "train" / "ant" / "0 large.jpg"
    picture(1, (400, 200)).save(large)
    picture(2, (60, 90)).save(photos / "train" / "ant" / "1 large.png")
    imported(photos, image_size=32)
    stored = pq.read_table(photos.parent / "out" / "train.parquet")["image"].to_pylist()
    images = [Image.open(io.BytesIO(content)) for content in stored[:3]]
    assert [(image.size, image.format) for image in images] == [
        ((64, 32), "JPEG"),
        ((32, 48), "PNG"),
        ((10, 10), "JPEG"),
    ]
    assert stored[2:] == [
        file.read_bytes() for file in sorted((photos / "train").rglob("*.jpg"))[1:]
    ]


def test_a_folder_without_halves_is_split_by_content(
    photos: Path, orchestrator_command: Command
) -> None:
    answer = orchestrator_command(
        "data", "import", "photos/train", "--output", "out", "--test-fraction", "0.25"
    )
    assert answer.returncode == 0, answer.stderr
    train, test = (pq.read_table(f"out/{half}.parquet") for half in HALVES)
    assert sorted(test["label"].to_pylist()) == sorted(LABELS * 2)
    assert len(train) == 18
    assert not {*train["image"].to_pylist()} & {*test["image"].to_pylist()}


def test_digits_are_split_with_the_configured_fraction(tmp_path: Path, digits_cache: Path) -> None:
    source = named_source("digits", None, False, 0.5)
    assert isinstance(source, DigitsConfig)
    report = import_data(
        source.model_copy(update={"cache_dir": digits_cache}),
        tmp_path / "out",
        None,
        False,
        lambda done, total: None,
    )
    assert report.num_images == {"train": 898, "test": 899}
    with pytest.raises(
        DataError,
        match=r"data\.test_fraction: 0\.001 leaves classes of the digits without training",
    ):
        load_images(DigitsConfig(test_fraction=0.001, cache_dir=tmp_path))


def test_digits_are_imported_pixel_by_pixel(
    tmp_path: Path, digits_cache: Path, digits_table: ImageTable
) -> None:
    report = import_data(
        DigitsConfig(cache_dir=digits_cache), tmp_path, None, False, lambda done, total: None
    )
    train, test = (report.files[half] for half in HALVES)
    copied = load_images(
        ParquetConfig(
            train=str(train),
            test=str(test),
            image_size=8,
            num_channels=1,
            cache_dir=tmp_path / "cache",
        )
    )
    assert copied.integer_labels
    for label in range(10):
        for is_test in (False, True):
            original, copy = (
                t.images[(t.labels == str(label)) & (t.is_test == is_test)]
                for t in (digits_table, copied)
            )
            assert np.array_equal(original, copy)


def test_files_that_no_import_wrote_are_not_overwritten(
    photos: Path, orchestrator_command: Command
) -> None:
    Path("out").mkdir()
    pq.write_table(
        pq.read_table(imported(photos).files["train"]).replace_schema_metadata(None),
        "out/train.parquet",
    )
    answer = orchestrator_command("data", "import", "photos", "--output", "out")
    assert answer.returncode == 2
    assert (
        "out/train.parquet: exists already and was not written by an import; choose another"
        in answer.stderr
    )


def test_two_concurrent_imports_do_not_interfere(photos: Path) -> None:
    def second(done: int, total: int) -> None:
        with pytest.raises(LockedError, match="another import is writing there"):
            imported(photos)

    import_data(config(photos), photos.parent / "out", None, False, second)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["nonesuch"],
            "nonesuch: no such file or folder; give a folder with one sub-folder per class",
        ),
        (["photos/train/ant/1.jpg"], "1.jpg: is neither a folder nor a Parquet file"),
        (["photos/train/ant"], "photos/train/ant: holds no class folders"),
        (["torchvision:CIFAR10"], "torchvision:CIFAR10 needs --root"),
        (["torchvision:CIFAR10", "--root", "none"], "CIFAR10 is missing"),
        (["torchvision:", "--root", "none"], "torchvision: names no data set"),
        (
            ["torchvision:VisionDataset", "--root", "none"],
            "torchvision has no data set 'VisionDataset'; names are CIFAR10",
        ),
        ([""], "the source is empty"),
        (["~nobody-of-this-name/x"], "~nobody-of-this-name/x: no such home directory"),
        (["x" * 300], "the name is too long for a file"),
        (["digits", "--root", "."], "digits: --root and --download are for torchvision:NAME"),
        (["photos", "--output", "photos/out"], "photos/out: is within the folder of the images"),
    ],
)
def test_an_invalid_source_is_one_error(
    photos: Path, orchestrator_command: Command, arguments: list[str], said: str
) -> None:
    answer = orchestrator_command("data", "import", "--output", "out", *arguments)
    assert answer.returncode == 2
    [line] = answer.stderr.splitlines()
    assert said in line


def test_real_photographs_from_parquet(tmp_path: Path) -> None:
    if not PHOTOS.exists():
        pytest.skip(f"{PHOTOS} is not there")
    photographs = pq.read_table(PHOTOS / "test.parquet").slice(0, 600)
    pq.write_table(photographs, tmp_path / "photographs.parquet")
    source = ParquetConfig(
        train=str(tmp_path / "photographs.parquet"), cache_dir=tmp_path / "cache"
    )
    report = import_data(source, tmp_path / "out", None, False, lambda done, total: None)
    assert report.num_bad == 0
    stored = {half: pq.read_table(report.files[half])["image"].to_pylist() for half in HALVES}
    assert {*stored["train"], *stored["test"]} == {*photographs["image"].to_pylist()}
    assert 110 <= len(stored["test"]) <= 130


# --- describe -------------------------------------------------------------------------------------


def test_describe_summarises_and_draws_the_data(
    photos: Path, orchestrator_command: Command
) -> None:
    answer = orchestrator_command(
        "data", "describe", "photos", "--image-size", "8", "--sheet", "sheet.png"
    )
    assert answer.returncode == 0, answer.stderr
    lines = [" ".join(line.split()) for line in answer.stdout.splitlines()]
    assert "sizes 10x10 (30)" in lines
    assert "modes RGB (30)" in lines
    assert f"fingerprint {load_images(config(photos)).fingerprint}" in lines
    assert any("decoded 0.000 GiB as 3x8x8" in line for line in lines)
    assert not any(line.startswith("note") for line in lines)
    with Image.open("sheet.png") as sheet:
        assert sheet.width > sheet.height > 100
        assert len(np.unique(np.asarray(sheet.convert("L")))) > 100


@pytest.mark.parametrize("name", ["sheet", "sheet.exe"])
def test_a_sheet_path_that_is_no_picture_is_rejected_before_images_are_read(
    name: str, photos: Path, orchestrator_command: Command
) -> None:
    answer = orchestrator_command("data", "describe", str(photos), "--sheet", name)
    assert answer.returncode == 2
    assert f"{name}: unknown picture format" in answer.stderr
    assert "reading" not in answer.stderr


def test_describe_accepts_an_experiment(photos: Path, orchestrator_command: Command) -> None:
    text = (
        f"data: {{kind: image_folder, train: {photos}/train, test: {photos}/test, image_size: 8,"
        f" cache_dir: {photos.parent}/cache}}\n"
    )
    Path("experiment.yaml").write_text(text)
    answer = orchestrator_command(
        "data", "describe", "experiment.yaml", "--set", "data.num_channels=1"
    )
    assert answer.returncode == 0, answer.stderr
    assert "as 1x8x8" in answer.stdout


@pytest.fixture
def npz_experiment(
    tiny_experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return an experiment on images that an installed extension reads, in its own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    install_npz(tmp_path / "site")
    labels = [label for label in LABELS for _ in range(NUM_TRAIN)]
    images = np.stack([np.asarray(picture(number)) for number in range(len(labels))])
    np.savez(tmp_path / "pets.npz", images=images, labels=labels)
    data = {"kind": "npz", "train": str(tmp_path / "pets.npz"), "image_size": 8}
    scenario = {"num_base_classes": 2, "classes_per_task": 1}
    values = tiny_experiment.model_dump(mode="json") | {"data": data, "scenario": scenario}
    file = tmp_path / "experiment.yaml"
    file.write_text(dump_experiment(Experiment.model_validate(values)))
    return file


def test_an_extensions_images_are_described(
    npz_experiment: Path, orchestrator_command: Command
) -> None:
    answer = orchestrator_command("data", "describe", str(npz_experiment))
    assert answer.returncode == 0, answer.stderr
    lines = [" ".join(line.split()) for line in answer.stdout.splitlines()]
    assert "pets: 3 classes" in lines
    assert "modes pixels (24)" in lines


def test_a_run_on_an_extensions_images_reuses_its_stages_after_an_update(
    npz_experiment: Path, orchestrator_command: Command
) -> None:
    """The images are decoded again; stage keys depend on their content."""

    def stages() -> list[bool]:
        answer = orchestrator_command("run", str(npz_experiment), "--output", "out")
        assert answer.returncode == 0, answer.stderr
        summary = json.loads(Path("out/summary.json").read_text())
        return [stage["cached"] for stage in summary["stages"]]

    assert not any(stages())
    install_npz(npz_experiment.parent / "site", version="1.1")
    assert all(stages())
    assert len([*Path(".orchestrator/data").glob("npz-*.arrow")]) == 2


def test_names_are_not_parsed_as_markup(photos: Path, orchestrator_command: Command) -> None:
    for label, name in zip(LABELS, ("[red]dog", ":cat:", "$_$"), strict=True):
        for half in HALVES:
            (photos / half / label).rename(photos / half / name)
    answer = orchestrator_command("data", "describe", "photos", "--sheet", "sheet.png")
    assert answer.returncode == 0, answer.stderr
    assert all(f"│ {name} " in answer.stdout for name in ("[red]dog", ":cat:", "$_$"))
    Path("experiment.yaml").write_text(
        f"data: {{kind: image_folder, train: {photos}/train, test: {photos}/test, image_size: 8}}"
    )
    planned = orchestrator_command(
        "plan",
        "experiment.yaml",
        "--set",
        "scenario.class_order=['[red]dog', ':cat:', '$_$']",
        "--set",
        "scenario.classes_per_task=1",
    )
    assert planned.returncode == 0, planned.stderr
    assert "[red]dog, :cat:" in planned.stdout


def test_odd_data_are_reported_by_import_and_describe_and_rejected_by_a_run(
    photos: Path, orchestrator_command: Command
) -> None:
    (photos / "train" / "yak").mkdir()
    picture(50).save(photos / "test" / "ant" / "x.jpg")
    (photos / "test" / "owl").mkdir()
    picture(50).save(photos / "test" / "owl" / "x.jpg")
    expected = [
        f"note: class folder without images: {photos}/train/yak",
        "note: class 'owl' is in test but not in training",
        (
            f"note: 1 image with the same content under several classes: {photos}/test/ant/x.jpg ="
            f" {photos}/test/owl/x.jpg"
        ),
    ]
    described = orchestrator_command("data", "describe", "photos")
    assert [line for line in described.stdout.splitlines() if line.startswith("note")] == expected
    assert "a run would fail: " in described.stdout
    for beginning in ("train", "nothing new: everything was imported earlier"):
        told = orchestrator_command("data", "import", "photos", "--output", "out").stdout
        assert told.startswith(beginning)
        assert [line for line in told.splitlines() if line.startswith("note")] == expected

    def said_by_a_run() -> str:
        data = f"{{kind: image_folder, train: {photos}/train, test: {photos}/test, image_size: 8}}"
        Path("experiment.yaml").write_text(f"data: {data}\nexecution: {{kind: in_process}}\n")
        answer = orchestrator_command("run", "experiment.yaml")
        assert answer.returncode == 2
        assert answer.stdout == ""
        assert not Path("mlflow.db").exists()
        [line] = answer.stderr.splitlines()
        return line

    assert "train/yak: a class folder without images" in said_by_a_run()
    (photos / "train" / "yak").rmdir()
    assert "class 'owl' has no training images" in said_by_a_run()
    (photos / "train" / "ant" / "1.jpg").write_bytes(b"")
    assert "train/ant/1.jpg: cannot be decoded" in said_by_a_run()
