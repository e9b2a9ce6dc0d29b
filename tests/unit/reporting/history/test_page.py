"""The whole history page."""

from collections.abc import Callable
from dataclasses import replace

from orchestrator.figures.chart_lines import Line, LineChart
from orchestrator.figures.charts import line_chart
from orchestrator.reporting.history.charts import ChartGroup
from orchestrator.reporting.history.facts import Delivery, History, Version
from orchestrator.reporting.history.page import ShownTick, history_page
from orchestrator.retraining.tick_record import FindingRecord, TickRecord
from orchestrator.retraining.version_events import VersionEvent
from tests.made_up_history import NOW, OLD_ACCURACY, days_ago
from tests.page_text import EVIL, text_of


def test_the_page_begins_with_the_champion_and_what_needs_attention(history: History) -> None:
    text = text_of(history_page(history, NOW))
    places = [
        text.index(words)
        for words in (
            "digits",
            "Version 3 of the student",
            "Action needed None.",
            "The last 30 days 2 versions were trained",
            "Timeline",
            "Versions",
            "Verdicts",
            "Arrivals",
            "Accuracy by class, in percent",
        )
    ]
    assert places == sorted(places)


def test_every_version_shows_its_numbers_its_decision_and_its_verdicts(history: History) -> None:
    text = text_of(history_page(history, NOW))
    assert (
        "4 24 Nov 2026 rejected 8 95.0 93.0 the gate student: forgetting 31.0 %, at most 20.0 %"
        in text
    )
    assert "97.6 % (95.0 to 99.1) at least 96.0 % ✓ met 160" in text
    assert "3 9 Nov 2026 1 60 class 4, class 5 class 4: 30, class 5: 30" in text


def test_verdicts_of_earlier_releases_are_shown_as_they_are(
    new_version: Callable[..., Version],
) -> None:
    old = new_version(
        1,
        50,
        events=(),
        conditions=(),
        old_conditions={"student_old_accuracy": "0.98 ≥ 0.95: met"},
        delivery=None,
        class_accuracies=None,
    )
    text = text_of(history_page(History("digits", old, [old]), NOW))
    assert "student old accuracy 0.98 ≥ 0.95: met" in text
    assert "has been the champion since 10 Oct 2026, 12:00 UTC" in text
    assert "Arrivals" not in text
    assert "Accuracy by class" not in text


def test_texts_of_users_and_others_are_escaped(new_version: Callable[..., Version]) -> None:
    version = new_version(
        1,
        1,
        EVIL,
        reason=EVIL,
        decided_by=EVIL,
        events=[VersionEvent(days_ago(1), EVIL, EVIL, EVIL)],
        conditions=[replace(OLD_ACCURACY, name=EVIL, verdict=EVIL)],
        old_conditions={EVIL: EVIL},
        classes=[EVIL, "b"],
        delivery=Delivery(1, {EVIL: 3}, 0, [EVIL], [EVIL]),
        tick=TickRecord(days_ago(1), EVIL, EVIL, [FindingRecord(EVIL, EVIL, EVIL)]),
    )
    tick = TickRecord(days_ago(1), EVIL, EVIL, [FindingRecord("x", "refuse", f"`{EVIL}`")])
    html = history_page(
        History(EVIL, version, [version], last_tick=tick, file=EVIL),
        NOW,
        ShownTick(tick, conditions=version.conditions),
    )
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 10
    text_of(html)


def test_a_retraining_without_a_version_has_a_page(history: History) -> None:
    text = text_of(history_page(History("digits"), NOW))
    assert "There is no champion" in text
    assert "No version was trained in the last 30 days." in text


def test_the_tick_that_writes_the_page_is_shown_with_its_verdicts(history: History) -> None:
    findings, moves = (
        [FindingRecord("shift", "warn", "3 moved")],
        ["2 of 9 images of ant go to cat"],
    )
    record = TickRecord(NOW, "promoted", "all met", findings, moves=moves)
    tick = ShownTick(record, is_dry=True, conditions=[replace(OLD_ACCURACY, value=0.5)])
    text = text_of(history_page(history, NOW, tick))
    assert "promoted (dry run: nothing was changed), 29 Nov 2026, 12:00 UTC. all met" in text
    assert "50.0 % (95.0 to 99.1)" in text
    assert "are now classified as new ones, most first: 2 of 9 images of ant go to cat" in text
    assert "warn 3 moved" in text


def test_links_lead_to_mlflow(new_version: Callable[..., Version]) -> None:
    address = "http://mlflow:5000/#/runs/3f2a"
    version = new_version(1, 1, links={"run in MLflow": address}, run_id="3f2a")
    html = history_page(History("digits", version, [version]), NOW)
    assert f'<a href="{address}">run in MLflow</a>' in html
    assert "run in MLflow" in text_of(html, links=["http://mlflow:5000/"])


def test_additional_charts_have_their_own_section(history: History) -> None:
    chart = line_chart(LineChart("Agreement", [Line("Agreement", [(1, 0.9), (2, 0.8)])], "tick"))
    assert chart is not None
    group = ChartGroup("Between ticks", "Of images without labels.", [chart])
    plain, more = history_page(history, NOW), history_page(history, NOW, more_charts=[group])
    assert more.count('<figure class="chart') == plain.count('<figure class="chart') + 1
    assert "Between ticks Of images without labels. Agreement" in text_of(more)


def test_many_versions_are_folded(new_version: Callable[..., Version]) -> None:
    versions = [new_version(number, 300 - number) for number in range(1, 100)]
    text = text_of(history_page(History("digits", versions[-1], versions), NOW))
    assert "The 87 older versions" in text
    assert "The verdicts of older versions are in the registry" in text
