"""Reports and comparisons of real runs in a real MLflow store, made by the command and viewed in a
real Chromium.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from orchestrator import output_files
from orchestrator.config import Experiment, SearchSpace, load_experiment
from orchestrator.config.roles import ROLES
from orchestrator.figures.palette import PAGE
from orchestrator.pipelines.records.report import compare, report
from orchestrator.pipelines.run.run import run
from orchestrator.reporting.history.page import history_page
from orchestrator.stages import prepare_work
from orchestrator.stages.extractors import store_extractors
from orchestrator.tracking import RunStatus, names, open_run
from orchestrator.tuning.configuration import Configuration
from orchestrator.tuning.ledger import Ledger, LedgerTrial, SweepHeader
from orchestrator.tuning.trial_status import TrialStatus
from tests.made_up_history import NOW, made_up_history
from tests.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Command = Callable[..., "subprocess.CompletedProcess[str]"]
RATE = "student.training.learning_rate"
RATES = {"kind": "log_uniform", "low": 1e-4, "high": 0.1}
KIND = "student.transfer.kind"
EVIL = '</script><img src=x onerror="window.broken = 1">'
NUM_TRIALS = 25
# Of every chart: its width on the page, its texts, and its lines or bars (coloured, and larger than
# a marker).
CHARTS = """[...document.querySelectorAll('.chart svg')].filter(svg => svg.clientWidth).map(svg => [
    svg.getBoundingClientRect().width,
    [...svg.querySelectorAll('text')].filter(text => text.textContent.trim()).length,
    [...svg.querySelectorAll('path')].filter(path => {
        const {width, height} = path.getBBox(), style = getComputedStyle(path);
        return !path.closest('defs') && width + height > 40
            && (style.stroke !== 'none' || style.fill !== 'none');
    }).length,
])"""


class Recorded(NamedTuple):
    """A tracking store with runs."""

    uri: str
    folder: Path
    runs: list[str]
    failed: str
    killed_sweep: str
    sweep: str


def changed(experiment: Experiment, **values: Any) -> Experiment:  # noqa: ANN401 - plain values of YAML
    return Experiment.model_validate({**experiment.model_dump(), **values})


@pytest.fixture(scope="module")
def recorded(tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("reports")
    uri = f"sqlite:///{folder}/mlflow.db"
    experiment = changed(
        tiny_experiment, tracking={"uri": uri, "spool": str(folder / "spool"), "models": "log"}
    )
    variants = [
        experiment,
        changed(experiment, seed=1),
        changed(experiment, method={"kind": "finetuning"}),
    ]
    ids = [
        run(variant, folder / f"out {place}").summary["run_id"]
        for place, variant in enumerate(variants)
    ]
    failed = open_run(experiment.tracking, "tiny", "broken", {})
    failed.log_parameters({"teacher.training.epochs": "3"})
    failed.close(RunStatus.FAILED, "the disk is full")
    killed = record_sweep(folder, experiment, num_trials=3, whole=False)
    whole = record_sweep(folder, experiment, NUM_TRIALS, whole=True)
    return Recorded(uri, folder, ids, failed.run_id, killed, whole)


def record_sweep(folder: Path, experiment: Experiment, num_trials: int, *, whole: bool) -> str:
    """Record a sweep in MLflow without the minutes of computing one; a killed sweep has only its
    trials.
    """
    tracker = open_run(experiment.tracking, "tiny", "sweep rates", {})
    tracker.set_tags({names.SWEEP_TAG: tracker.run_id})
    space = SearchSpace.model_validate(
        {"name": "rates", "num_trials": num_trials, "parameters": {RATE: RATES}}
    )
    ledger = Ledger(folder / f"{tracker.run_id}" / output_files.LEDGER_FILE)
    with ledger.writing():
        ledger.begin(
            SweepHeader(
                tracker.run_id, experiment.model_dump(mode="json"), space.model_dump(mode="json")
            )
        )
        for number in range(num_trials):
            rate, value = 10 ** (-4 + 3 * number / num_trials), 0.5 + 0.4 * number / num_trials
            child = tracker.open_child(f"rates trial {number}", {names.TRIAL_TAG: str(number)})
            child.log_parameters({RATE: str(rate)})
            for task in range(3):
                values = {
                    names.summary_metric(role, "accuracy"): value - 0.1 * task for role in ROLES
                }
                child.log_metrics({**values, names.TRIAL_OBJECTIVE: value}, step=task + 1)
            child.close(RunStatus.FINISHED)
            trial = LedgerTrial(
                number,
                Configuration({RATE: rate}, {RATE: rate}),
                child.run_id,
                TrialStatus.FINISHED,
                value,
                [value],
            )
            ledger.write(trial)
    if whole:
        summary = sweep_summary(tracker.run_id, ledger)
        (folder / output_files.SUMMARY_FILE).write_text(json.dumps(summary))
        (folder / output_files.SEARCH_SPACE_FILE).write_text(
            yaml.safe_dump(space.model_dump(mode="json"))
        )
        for path in (
            folder / output_files.SUMMARY_FILE,
            folder / output_files.SEARCH_SPACE_FILE,
            folder / tracker.run_id / output_files.LEDGER_FILE,
        ):
            tracker.log_file(path)
    tracker.close(RunStatus.FINISHED if whole else RunStatus.KILLED, "" if whole else "interrupted")
    return tracker.run_id


def sweep_summary(sweep_id: str, ledger: Ledger) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {
            "trial": trial.number,
            "run_id": trial.run_id,
            "status": "finished",
            "value": trial.value,
            "parameters": {
                **trial.configuration.parameters,
                KIND: "fixed" if trial.number % 2 else EVIL,
            },
            "stages_computed": 3,
            "stages_cached": 3,
            "seconds": 2.0,
            "worker_seconds": 3.0,
            "curve": trial.curve,
            "reason": "",
        }
        for trial in ledger.trials.values()
    ]
    best = max(rows, key=lambda row: row["value"])
    return {
        "sweep_id": sweep_id,
        "metric": "student/last_accuracy",
        "mode": "max",
        "split": "validation",
        "best": {key: best[key] for key in ("trial", "value", "parameters")},
        "trials": rows,
        "wall_seconds": 80.0,
        "worker_seconds": 120.0,
    }


def text_of(path: Path) -> str:
    html = path.read_text(encoding="utf-8")
    return re.sub(
        r"\s+", " ", re.sub(r"<[^>]+>", " ", html[html.index("<body") :].replace("<wbr>", ""))
    )


# --- outputs of the commands ----------------------------------------------------------------------


def test_the_report_of_a_run_has_the_numbers_of_its_summary(
    recorded: Recorded, orchestrator_command: Command
) -> None:
    output = recorded.folder / "first.html"
    answer = orchestrator_command(
        "report", recorded.runs[0][:10], "--tracking-uri", recorded.uri, "--output", str(output)
    )
    assert (answer.returncode, answer.stdout.strip()) == (0, str(output)), answer.stderr
    summary, text = (
        json.loads((recorded.folder / "out 0" / "summary.json").read_text()),
        text_of(output),
    )
    last = " ".join(
        f"{100 * summary[role]['last_accuracy']:.1f}" for role in ("teacher", "student")
    )
    assert f"Last accuracy mean accuracy over all tasks, at the end {last}" in text
    assert "Transfer ratios" in text
    assert "this configuration (dual_teacher) 0, 1" in text
    assert "finetuning 0" in text
    assert "teacher.training.epochs 1" in text
    assert recorded.runs[0] in text


def test_the_run_left_the_same_report(recorded: Recorded) -> None:
    left, read_back = (
        recorded.folder / "out 0" / output_files.REPORT_FILE,
        report(recorded.runs[0], recorded.uri, recorded.folder / "again.html"),
    )
    summaries = [
        re.findall(r'<td style="background[^>]*>([\d.]+)</td>', path.read_text())
        for path in (left, read_back)
    ]
    assert summaries[0] == summaries[1] != []
    assert left.read_text().count("<svg") == read_back.read_text().count("<svg") == 5


def test_a_failed_run_has_a_report_with_its_reason(recorded: Recorded) -> None:
    text = text_of(report(recorded.failed, recorded.uri, recorded.folder / "failed.html"))
    assert "✕ failed" in text
    assert "the disk is full" in text


def test_a_sweeps_report_has_leaderboard_importances_and_curves(recorded: Recorded) -> None:
    path = report(recorded.sweep, recorded.uri, recorded.folder / "sweep.html")
    text = text_of(path)
    assert f"The best trial is trial {NUM_TRIALS - 1}" in text
    assert "The other 5 finished trials" in text
    assert "Importance of the parameters" in text, "by the ledger"
    assert "Accuracy after each task" in text
    assert path.read_text().count('<svg role="img"') == 3


def test_the_report_of_a_killed_sweep_is_made_from_its_trials(recorded: Recorded) -> None:
    text = text_of(report(recorded.killed_sweep, recorded.uri, recorded.folder / "killed.html"))
    assert "This sweep ended before its search space was stored" in text
    assert "The best trial is trial 2" in text
    assert "■ stopped" in text


def test_compared_runs_show_settings_numbers_and_differences(
    recorded: Recorded, orchestrator_command: Command
) -> None:
    output = recorded.folder / "comparison.html"
    ids = [recorded.runs[0], recorded.runs[1][:8], recorded.runs[2]]
    answer = orchestrator_command(
        "compare", *ids, "--tracking-uri", recorded.uri, "--output", str(output)
    )
    assert answer.returncode == 0, answer.stderr
    summaries, text = (
        [
            json.loads((recorded.folder / f"out {place}" / "summary.json").read_text())
            for place in range(3)
        ],
        text_of(output),
    )
    assert "method.kind dual_teacher dual_teacher finetuning" in text
    assert "seed 0 1 0" in text
    first, *others = [summary["student"]["last_accuracy"] for summary in summaries]
    shown = [
        f"{100 * value:.1f} {100 * (value - first):+.1f}".replace("-", "−").replace("+0.0", "0.0")
        for value in others
    ]
    assert f"Student {100 * first:.1f} {' '.join(shown)}" in text


LOADED = """
import json, sys
from orchestrator.cli import main
heavy = {"matplotlib", "mlflow", "optuna", "pandas", "pyarrow", "ray", "scipy", "sklearn"}
heavy |= {"sqlalchemy", "torch", "torchvision"}
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["orchestrator", *arguments]
    try:
        main()
    except SystemExit as end:
        print("ENDED", end.code or 0, *sorted(heavy & {*sys.modules}))
"""


def test_each_command_imports_no_more_than_it_needs(recorded: Recorded, tmp_path: Path) -> None:
    (tmp_path / "arrivals").mkdir()
    retraining = {
        "experiment": {
            "name": "nobody",
            "execution": {"kind": "in_process"},
            "tracking": {"uri": recorded.uri},
        },
        "source": {"path": "arrivals", "image_size": 8, "num_channels": 1},
    }
    (tmp_path / "retraining.yaml").write_text(yaml.safe_dump(retraining))
    root = Path(__file__).parents[2]
    search = [str(root / "search_spaces/smoke.yaml"), "--experiment"]
    search += [str(root / "experiments/digits.yaml"), "--output"]
    store, read = ["--tracking-uri", recorded.uri], "sqlalchemy"
    planned = [f"store.uri={tmp_path}/plans", f"data.cache_dir={tmp_path}/data"]
    work = prepare_work(load_experiment(root / "experiments/digits.yaml", planned))
    store_extractors(work.experiment, work.scenario, work.store)  # as a run does
    again = [part for setting in planned for part in ("--set", setting)]
    # all in one process, where imports accumulate: the lightest command comes first
    cases: list[tuple[list[str], int, set[str]]] = [
        (["sweep", *search, str(recorded.folder / recorded.sweep)], 2, set()),
        (["report", "0" * 32, *store], 2, {read}),
        (["compare", recorded.runs[0], *store], 2, {read}),
        (["list", *store], 0, {read}),
        (["gc", "--dry-run", "--store", str(tmp_path)], 0, {read, "pyarrow"}),
        (["plan", str(root / "experiments/digits.yaml"), *again], 0, {read, "pyarrow"}),
        (["report", recorded.runs[0], *store], 0, {read, "pyarrow", "matplotlib"}),
        (["compare", *recorded.runs[:2], *store], 0, {read, "pyarrow", "matplotlib"}),
    ]
    tick = {read, "pyarrow", "matplotlib", "torch"}
    importances = {"optuna", "pandas", "scipy", "sklearn"}
    cases += [
        (["retrain", "retraining.yaml"], 0, tick),
        (["report", recorded.sweep, *store], 0, tick | importances),
    ]
    arguments = json.dumps([case[0] for case in cases])
    done = subprocess.run(
        [sys.executable, "-c", LOADED, arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    ended = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("ENDED")]
    expected = [[str(code), *sorted(modules)] for _, code, modules in cases]
    assert ended == expected, done.stdout + done.stderr
    assert "\nnothing_to_do: " in done.stdout


def test_without_an_output_the_file_has_a_generated_name(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    written = [
        report(recorded.runs[0], recorded.uri),
        compare([recorded.runs[0], recorded.runs[1]], recorded.uri),
    ]
    assert (
        written[1]
        == Path("out/reports") / f"compare-{recorded.runs[0][:8]}-{recorded.runs[1][:8]}.html"
    )
    assert written[0].name.endswith(f"-{recorded.runs[0][:8]}.html")
    assert sorted(path.name for path in (tmp_path / "out" / "reports").iterdir()) == sorted(
        path.name for path in written
    )


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report", "0" * 32], "there is no run 00000000"),
        (["report", "ab"], "'ab' is not a run id"),
        (["report", "x' OR 'a' = 'a"], "is not a run id"),
        (["report", "FIRST", "--set", "gate.margin=0"], "--set changes a retraining file"),
        (["report", "nonesuch.yaml"], "nonesuch.yaml"),
        (["compare", "FIRST", "FIRST"], "only one run was given"),
        (["compare", "FIRST", "SWEEP"], "is a sweep"),
    ],
)
def test_an_invalid_id_is_a_user_error(
    recorded: Recorded, orchestrator_command: Command, arguments: list[str], said: str
) -> None:
    meant = {"FIRST": recorded.runs[0], "SWEEP": recorded.sweep}
    answer = orchestrator_command(
        *(meant.get(word, word) for word in arguments), "--tracking-uri", recorded.uri
    )
    assert answer.returncode == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_missing_store_is_not_created(orchestrator_command: Command, tmp_path: Path) -> None:
    answer = orchestrator_command(
        "report", "a" * 32, "--tracking-uri", f"sqlite:///{tmp_path}/none.db"
    )
    assert (answer.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "there is no tracking database" in answer.stderr


def test_an_unreachable_server_is_a_retryable_error(orchestrator_command: Command) -> None:
    assert (
        orchestrator_command("report", "a" * 32, "--tracking-uri", "http://127.0.0.1:9").returncode
        == 3
    )


def test_an_unwritable_file_is_a_retryable_error(
    recorded: Recorded, orchestrator_command: Command
) -> None:
    (recorded.folder / "a file").touch()
    answer = orchestrator_command(
        "report",
        recorded.runs[0],
        "--tracking-uri",
        recorded.uri,
        "--output",
        str(recorded.folder / "a file" / "x.html"),
    )
    assert answer.returncode == 3
    assert "cannot be written" in answer.stderr


# --- in the browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages(recorded: Recorded) -> dict[str, Path]:
    history = recorded.folder / "history page.html"
    history.write_text(history_page(made_up_history(), NOW), encoding="utf-8")
    return {
        "run": report(recorded.runs[0], recorded.uri, recorded.folder / "run page.html"),
        "sweep": report(recorded.sweep, recorded.uri, recorded.folder / "sweep page.html"),
        "comparison": compare(
            recorded.runs, recorded.uri, recorded.folder / "comparison page.html"
        ),
        "history": history,
    }


@pytest.fixture(params=["run", "sweep", "comparison", "history"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_the_window_and_its_charts_are_drawn(
    browser: "Browser",
    pages: dict[str, Path],
    kind: str,
    width: int,
    scheme: Any,  # noqa: ANN401
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    try:
        page, problems = context.new_page(), []
        page.on("console", lambda message: problems.append(message.text))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(("file:", "data:")) else problems.append(request.url)
            ),
        )
        page.goto(pages[kind].as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width, (
            "the page itself does not scroll sideways"
        )
        drawn = page.evaluate(CHARTS)
        assert len(drawn) >= 3
        assert all(
            shown > 200 and num_texts >= 2 and num_shapes >= 1
            for shown, num_texts, num_shapes in drawn
        ), drawn
        panel = page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
        colour = PAGE["panel"].light if scheme == "light" else PAGE["panel"].dark
        assert panel == f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"
        assert problems == []
    finally:
        context.close()


def test_ink_follows_the_page_in_dark_mode_and_is_black_on_paper(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    context = browser.new_context(color_scheme="dark")
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    try:
        page = context.new_page()
        page.goto(pages["run"].as_uri())
        ink = "getComputedStyle(document.querySelector('.chart text')).fill"
        in_dark = page.evaluate(ink)
        page.emulate_media(media="print")
        assert in_dark != page.evaluate(ink)
        assert page.evaluate(ink) in {
            f"rgb({r}, {g}, {b})" for r, g, b in [(31, 41, 51), (91, 103, 115)]
        }
        assert len(page.pdf(format="A4")) > 20_000
    finally:
        context.close()


def test_the_report_of_a_sweep_is_interactive(browser: "Browser", pages: dict[str, Path]) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 2400}, offline=True)
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    try:
        page, problems = context.new_page(), []
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(pages["sweep"].as_uri())
        rows, note = page.locator("#leaderboard tbody tr:visible"), page.get_by_role("status")
        trials = rows.locator("th button")

        # sorted: 0.5 + 0.4 · number / 25 is the objective, so the last trial is the best
        assert (trials.first.inner_text(), rows.count()) == ("24", 20)
        page.get_by_role("button", name="learning_rate").click()
        assert trials.first.inner_text() == "0"
        page.get_by_role("button", name="Show all 25").click()
        assert trials.all_inner_texts() == [str(number) for number in range(25)]

        # filtered: 24 · 0.4 / 25 = 0.384, so 5 trials are above 0.5 + 0.4 · 19 / 25
        page.get_by_role("searchbox").fill("objective > 80.5, kind = fixed")
        assert trials.all_inner_texts() == ["21", "23"]
        page.get_by_role("searchbox").fill("objectve > 80.5, 24")
        assert "no column “objectve”" in page.get_by_role("alert").inner_text()
        page.get_by_role("button", name="Show all trials").click()
        assert note.inner_text() == "25 of 25 finished trials"

        # brushed: the upper half of the last of three axes, the objective; cleared by a click
        box = page.locator("[data-chart=parallel] svg:visible").bounding_box()
        assert box is not None
        x, top, height = box["x"] + box["width"] - 70, box["y"] + 66, box["height"] - 66 - 16
        page.mouse.move(x, top + height / 2)
        page.mouse.down()
        page.mouse.move(x, top + height / 4, steps=4)
        page.mouse.move(x, top, steps=4)
        page.mouse.up()
        assert re.match(r"1[123] of 25 finished trials", note.inner_text())
        page.mouse.click(x, top + 3 * height / 4)
        assert note.inner_text() == "25 of 25 finished trials"

        # hovered: halfway from the lower of two kinds (height 1/4) to the best objective (1)
        x -= (box["width"] - 50 - 70) / 4
        page.mouse.move(x, top + (1 - 5 / 8) * height)
        assert "trial 24: objective 88.4 %" in page.locator(".tip:visible").inner_text()
        page.mouse.click(x, top + (1 - 5 / 8) * height)

        # chosen: the curves are those of the two clicked trials
        trials.nth(7).click()
        chosen = page.locator(".chosen li b")
        assert [text.split(":")[0] for text in chosen.all_inner_texts()] == ["trial 24", "trial 7"]
        page.locator("[data-chart=curves] svg:visible").hover()
        tip = page.locator("[data-chart=curves] .tip")
        # by hand: 0.5 + 0.4 · 7 / 25 after task 1, then 0.1 less after each task
        assert "51.2 % trial 7, student, test" in tip.inner_text()
        assert page.evaluate("window.broken") is None, "a name became an element"
        assert problems == []
    finally:
        context.close()


def test_without_scripts_a_report_shows_its_static_pictures(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    try:
        page = context.new_page()
        page.goto(pages["sweep"].as_uri())
        assert page.locator(".static svg:visible").count() == 3
        assert page.locator(".drawn:visible, .hint:visible").count() == 0
        assert page.locator("#leaderboard tbody tr:visible").count() == 20
    finally:
        context.close()
