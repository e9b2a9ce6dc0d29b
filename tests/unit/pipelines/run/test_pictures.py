"""Pictures of a run are drawn once, and again if they would look different."""

from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import pytest

from orchestrator.figures.chart_lines import Line, LineChart
from orchestrator.pipelines.run.pictures import charts_kept_in, write_pictures
from orchestrator.reporting.line_charts import draw_charts
from orchestrator.stages import StageStore


class Artist:
    """Artist that counts its drawings."""

    def __init__(self) -> None:
        self.num_drawn = 0

    def __call__(self) -> Mapping[str, bytes]:
        self.num_drawn += 1
        return {"one.png": b"\x89PNG", "two.png": b"\x00"}


Write = Callable[[object], None]


@pytest.fixture
def artist() -> Artist:
    return Artist()


@pytest.fixture
def write(tmp_path: Path, artist: Artist) -> Write:
    def write(shown: object) -> None:
        folder = tmp_path / f"figures {artist.num_drawn}"
        written = write_pictures(folder, StageStore(str(tmp_path / "store")), shown, artist)
        assert [path.read_bytes() for path in written] == [b"\x89PNG", b"\x00"]

    return write


def test_equal_pictures_are_drawn_once(write: Write, artist: Artist) -> None:
    write([0.5, "digits"])
    write([0.5, "digits"])
    assert artist.num_drawn == 1
    write([0.6, "digits"])
    assert artist.num_drawn == 2


def test_changed_drawing_code_draws_again(
    write: Write, artist: Artist, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("digits")
    monkeypatch.setattr(metadata, "version", lambda name: f"another {name}")
    write("digits")
    assert artist.num_drawn == 2


def test_names_that_need_system_fonts_are_drawn_each_time(write: Write, artist: Artist) -> None:
    write("猫")
    write("猫")
    assert artist.num_drawn == 2


def test_charts_are_drawn_once_and_look_the_same_from_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StageStore(str(tmp_path))
    lines = [Line("loss < 1", [(1, 0.5), (2, float("nan")), (3, 0.25)])]
    charts = [LineChart("Training", lines, "epoch"), LineChart("Empty", [], "epoch")]
    drawn = charts_kept_in(store)(charts)
    assert drawn == draw_charts(charts)
    assert [chart.title for chart in drawn] == ["Training"]
    monkeypatch.setattr("orchestrator.pipelines.run.pictures.draw_charts", lambda _: [])
    assert charts_kept_in(store)(charts) == drawn
    assert charts_kept_in(store)([LineChart("Training", lines, "step")]) == []
