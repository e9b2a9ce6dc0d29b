"""Names in other scripts cause no warnings and no boxes, use the font of the extra, and are real
text in pages.
"""

from pathlib import Path

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from orchestrator.figures import fonts
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


def families_of(figure: Figure, text: str) -> list[str]:
    [found, *_] = [it for it in figure.findobj(Text) if it.get_text() == text]
    return list(found.get_fontfamily())


def test_a_picture_of_chinese_names_uses_the_font_of_the_extra(tmp_path: Path) -> None:
    figure = figure_of(CHINESE)
    save_figure(figure, tmp_path / "names.png")
    own, noto = families_of(figure, CHINESE)
    assert (own, noto.startswith("Noto Sans CJK")) == ("DejaVu Sans", True)
    file = font_manager.findfont(noto, fallback_to_default=False)
    assert {ord(letter) for letter in CHINESE} <= set(font_manager.get_font(file).get_charmap())


def test_names_that_no_font_supports_are_escaped_and_stay_distinct(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "_PACKAGE", "nonesuch")
    only_own = [it for it in font_manager.fontManager.ttflist if it.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", only_own)
    figure = figure_of("猫と a")
    save_figure(figure, tmp_path / "names.png")
    assert figure.axes[0].get_title() == "\\u732b… a"
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert ticks == ["\\u732b… a", "dog"], "also after drawing, which writes them again"


def test_a_page_has_chinese_names_as_text_in_the_readers_fonts() -> None:
    drawing = inline_svg(figure_of(CHINESE), "names")
    assert drawing.count(CHINESE) >= 2
    assert "DejaVu" not in drawing


def test_an_installed_font_supplies_letters_that_the_default_font_lacks() -> None:
    # of Matplotlib's own fonts only STIXGeneral has this letter
    lacking, plain, missing = Text(text="\u1d81og"), Text(text="dög"), Text(text=CHINESE)
    choose_fonts([lacking, plain])
    assert lacking.get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]
    assert plain.get_fontfamily() == ["sans-serif"]
    choose_fonts([missing])
    assert missing.get_fontfamily()[0] == "DejaVu Sans"
