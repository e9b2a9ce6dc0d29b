"""Names in other scripts: no warning, an installed font where there is one, real text in pages."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text

from orchestrator.figures.fonts import choose_fonts
from orchestrator.figures.saving import save_figure
from orchestrator.figures.svg import inline_svg

# pytest turns every warning of these tests into an error
CHINESE = "猫と狗"


def figure_of(name: str) -> Figure:
    figure = Figure(layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(name)
    axes.set_xticks([0, 1], [name, "dog"])
    return figure


def test_a_picture_of_chinese_names_is_written_without_a_warning(tmp_path: Path) -> None:
    save_figure(figure_of(CHINESE), tmp_path / "names.png")
    assert (tmp_path / "names.png").stat().st_size > 0


def test_a_page_has_chinese_names_as_text_for_the_fonts_of_its_reader() -> None:
    drawing = inline_svg(figure_of(CHINESE), "names")
    assert drawing.count(CHINESE) >= 2
    assert "DejaVu" not in drawing


def test_an_installed_font_serves_what_the_usual_one_lacks() -> None:
    # of Matplotlib's own fonts only STIXGeneral has this letter
    lacking, plain, missing = Text(text="\u1d81og"), Text(text="dög"), Text(text=CHINESE)
    choose_fonts([lacking, plain])
    assert lacking.get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]
    assert plain.get_fontfamily() == ["sans-serif"]
    choose_fonts([missing])
    assert missing.get_fontfamily()[0] == "DejaVu Sans"
