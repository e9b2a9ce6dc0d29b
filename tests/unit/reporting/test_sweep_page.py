"""The sweep page as one file: its data, its scripts, its size."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from orchestrator.figures.trials import TrialRow
from orchestrator.reporting.scripts import chart_scripts
from orchestrator.reporting.sweep_facts import SweepFacts
from orchestrator.reporting.sweep_report import sweep_report
from orchestrator.tracking import names
from orchestrator.tracking.tracked_run import TrackedRun

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "orchestrator" / "reporting" / "browser_scripts"
EVIL = '</script><script>window.broken = 1</script><img src=x onerror="window.broken = 1">'
KIND, RATE = "student.transfer.kind", "student.training.learning_rate"


@pytest.fixture
def facts(new_run: Callable[..., TrackedRun]) -> Callable[[list[TrialRow]], SweepFacts]:
    def made(rows: list[TrialRow]) -> SweepFacts:
        trials = [
            {
                "trial": row.trial,
                "run_id": f"{row.trial:032x}",
                "status": row.status,
                "value": row.value,
                "parameters": row.parameters,
                "stages_computed": 5,
                "stages_cached": 5,
                "seconds": 61.25,
                "worker_seconds": 50.0,
                "curve": row.curve,
                "reason": EVIL,
            }
            for row in rows
        ]
        best = {"trial": 0, "value": 0.9, "parameters": {KIND: EVIL}}
        summary: dict[str, Any] = {"metric": "student/last_accuracy", "mode": "max"}
        summary |= {
            "split": "validation",
            "best": best,
            "trials": trials,
            "wall_seconds": 9.0,
            "worker_seconds": 9.0,
        }
        run = new_run("a", name="sweep", summary=summary, tags={names.SWEEP_TAG: "a" * 32})
        return SweepFacts(run, summary, {}, rows)

    return made


def row(number: int, value: float | None, **parameters: Any) -> TrialRow:  # noqa: ANN401
    status = "finished" if value is not None else "failed"
    return TrialRow(number, status, value, parameters, [0.5, float("nan")])


def data_of(html: str) -> dict[str, Any]:
    [text] = re.findall(r'<script type="application/json" id="page-data">(.*?)</script>', html)
    data: dict[str, Any] = json.loads(text)
    return data


ROWS = [
    row(0, 0.5, **{KIND: EVIL, RATE: 0.1}),
    row(1, 0.9, **{KIND: "fixed", RATE: 0.25}),
    row(2, None, **{KIND: None}),
    row(3, 0.7, **{KIND: "fixed", RATE: float("inf")}),
]


def test_texts_of_users_cannot_break_out_of_the_data(
    facts: Callable[[list[TrialRow]], SweepFacts],
) -> None:
    html = sweep_report(facts(ROWS))
    assert EVIL not in html
    assert html.count("<script") == 3, "the data, the library, and the page's own"
    assert data_of(html)["parameters"][0]["values"] == ["fixed", "fixed", EVIL, "null"]


def test_the_data_are_plain_json_with_the_best_trial_first(
    facts: Callable[[list[TrialRow]], SweepFacts],
) -> None:
    data = data_of(sweep_report(facts(ROWS)))
    assert data["trials"]["number"] == [1, 3, 0, 2]
    assert data["numFinished"] == 3
    assert data["objectives"][0]["values"] == [0.9, 0.7, 0.5, None]
    assert data["objectives"][0]["texts"] == ["90.0 %", "70.0 %", "50.0 %", "–"]
    # JSON has neither missing values nor infinity
    assert data["parameters"][1]["values"] == [0.25, None, 0.1, None]
    assert data["trials"]["curve"][0] == [0.5, None]
    assert [axis["unset"] for axis in data["axes"]][-1] == "unfinished"


def test_with_several_objectives_the_front_comes_first_each_value_in_its_unit(
    facts: Callable[[list[TrialRow]], SweepFacts],
) -> None:
    metrics = {"student/last_accuracy": "max", "student/bytes": "min"}
    values = [(0.9, 9000.0), (0.8, 20000.0), (0.7, 1000.0)]
    rows = [
        replace(
            row(number, value[0]),
            values=dict(zip(metrics, value, strict=True)),
            in_front=number != 1,
        )
        for number, value in enumerate(values)
    ]
    made = facts(rows)
    summary = {**made.summary, "metrics": metrics, "front": [0, 2], "best": None}
    trials = [
        {**trial, "values": each.values}
        for trial, each in zip(summary["trials"], rows, strict=True)
    ]
    html = sweep_report(replace(made, summary=summary | {"trials": trials}))
    data = data_of(html)
    assert data["trials"]["number"] == [0, 2, 1]
    assert re.findall(r'<tr data-trial="(\d)"', html) == ["0", "2", "1"]
    assert data["trials"]["front"] == [True, True, False]
    accuracy, size = data["objectives"]
    assert (accuracy["name"], accuracy["unit"]) == ("student/last_accuracy", "%")
    assert (size["unit"], size["factor"], size["values"]) == (
        "kB",
        0.001,
        [9000.0, 1000.0, 20000.0],
    )
    assert size["texts"] == ["9.0 kB", "1.0 kB", "20.0 kB"]
    assert [axis["name"] for axis in data["axes"]][-2:] == ["last_accuracy in %", "bytes in kB"]
    assert 'data-chart="front"' in html


def test_a_page_runs_only_its_own_scripts_and_loads_nothing(
    facts: Callable[[list[TrialRow]], SweepFacts],
) -> None:
    html = sweep_report(facts(ROWS))
    [policy] = map(
        unescape, re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    )
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"script-src {allowed};" in policy
    for text in scripts:
        assert "<!--" not in text, "it would change how the page is read"
    page = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href)=.?(?:https?:|//)|url\((?!#)|@import", page)


def test_a_thousand_trials_fit_into_one_and_a_half_megabytes(
    facts: Callable[[list[TrialRow]], SweepFacts],
) -> None:
    rows = [
        row(i, 0.5 + i / 3000, **{f"part_{j}.rate": 1 / (3 + i + j) for j in range(8)})
        for i in range(1200)
    ]
    html = sweep_report(facts(rows))
    assert len(html.encode()) <= 1_500_000
    num_listed = html.count("<tr data-trial=")
    assert num_listed == len(data_of(html)["trials"]["number"]) > 800
    assert f"{1200 - num_listed} more are in <code>leaderboard.csv</code>" in html
    assert "300 of 1200 trials" in html


def test_the_library_matches_its_build_recipe_and_ships_its_licenses() -> None:
    library = SCRIPTS / "echarts" / "echarts.min.js"
    # rebuilding the library (entry.js there) changes this digest
    digest = "8e8000dd049cf696867dfebe16df5884115698e0abc7fd3a173e08ae1fb93b2d"
    assert hashlib.sha256(library.read_bytes()).hexdigest() == digest
    notice = (ROOT / "NOTICE").read_text()
    assert "Apache ECharts 6.1.0" in notice
    assert str(library.relative_to(ROOT)) in notice
    licenses = (library.parent / "LICENSE").read_text()
    for owner in ("Apache License", "Baidu Inc.", "Mike Bostock", "Microsoft Corporation"):
        assert owner in licenses


def test_every_script_of_the_folder_is_used_and_short() -> None:
    scripts = sorted(SCRIPTS.glob("*.js"))
    text = chart_scripts(*(path.stem for path in scripts)).texts[1]
    page = (ROOT / "orchestrator" / "reporting" / "sweep_report.py").read_text()
    for path in scripts:
        lines = path.read_text().splitlines()
        assert f'"{path.stem}"' in page
        assert lines[0].startswith("// ")
        assert len(lines) <= 300
        assert max(map(len, lines)) <= 100, path.name
    assert "innerHTML" not in text, "names of users would become elements"
