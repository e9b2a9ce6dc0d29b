"""MLflow's own page in a real Chromium: `orchestrator ui` serves it, and the saved views draw the
charts that they define.
"""

import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from orchestrator.config import load_search_space
from orchestrator.config.roles import ROLES
from orchestrator.errors import TrackingUnavailableError
from orchestrator.tracking import names
from orchestrator.tracking.mlflow.saved_views import save_views, view_url
from orchestrator.tracking.views.comparisons import run_views, sweep_view, trial_views
from tests.integration.processes import start_orchestrator
from tests.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
NUM_TASKS, NUM_EPOCHS, NUM_TRIALS = 4, 12, 9
pytestmark = pytest.mark.slow

# Of each plotly chart: its titles, and the lines, points and bars that have a shape.
_PLOTS = """() => [...document.querySelectorAll('.js-plotly-plot')].map(plot => ({
    lines: [...plot.querySelectorAll('.scatterlayer .js-line')]
        .filter(line => line.getAttribute('d')).length,
    points: plot.querySelectorAll('.scatterlayer .point').length,
    bars: plot.querySelectorAll('.barlayer .point path').length,
    x: plot.querySelector('.xtitle')?.textContent ?? '',
    y: plot.querySelector('.ytitle')?.textContent ?? '',
}))"""
# Pixels with ink on the canvas of each parallel-coordinates chart, and the names of its axes.
_PARALLELS = """() => [...document.querySelectorAll('.parcoords')].map(chart => ({
    axes: [...chart.querySelectorAll('.dimension .label')].map(label => label.textContent),
    ink: Math.max(...[...chart.querySelectorAll('canvas')].map(canvas =>
        canvas.width ? canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
            .data.filter(Boolean).length : 0)),
}))"""


def run_metrics(goodness: float) -> list[Metric]:
    """Return every metric of a run over four tasks, as a run logs them: better runs forget less."""

    def at(name: str, value: float, step: int) -> Metric:
        return Metric(name, value, 0, step)

    points = [
        at(names.final_metric(role, m), goodness * 0.9, 0)
        for role in ROLES
        for m in names.FINAL_MEASURES
    ]
    points += [
        at(name, 1.0, 0)
        for name in (
            names.FINAL_WALL_SECONDS,
            names.FINAL_WORKER_SECONDS,
            names.FINAL_CACHED_STAGES,
        )
    ]
    for role in ROLES:
        for step in range(1, NUM_TASKS + 1):
            points += [
                at(names.summary_metric(role, m), goodness ** (step - 1), step)
                for m in names.SUMMARY_MEASURES
            ]
            for task in range(step):
                points += [
                    at(names.task_accuracy(role, task), goodness ** (step - task), step),
                    at(names.task_forgetting(role, task), 1 - goodness ** (step - 1 - task), step),
                ]
        for part in names.TRAINING_PARTS[role]:
            points += [
                at(names.training_metric(role, part), math.exp(-step * goodness / 4), step)
                for step in range(1, NUM_EPOCHS + 1)
            ]
    return points


def write_run(client: MlflowClient, experiment_id: str, number: int, sweep_id: str = "") -> None:
    """Write a finished run, or a trial if a sweep is given."""
    goodness = 0.6 + 0.3 * math.sin(number)
    tags = [RunTag(names.METHOD_TAG, "dual_teacher"), RunTag(names.SEED_TAG, str(number))]
    parameters: dict[str, object] = {"seed": number}
    points = run_metrics(goodness)
    if sweep_id:
        tags += [
            RunTag(names.SWEEP_TAG, sweep_id),
            RunTag(names.PARENT_RUN_TAG, sweep_id),
            RunTag(names.TRIAL_TAG, str(number)),
        ]
        parameters = {
            "student.temperature": 1 + number,
            "student.transfer.kind": "fixed" if number % 3 else "linear",
        }
        parameters |= {"student.transfer.ratio": number / 10} if number % 3 else {}
        points += [
            Metric(names.TRIAL_OBJECTIVE, goodness, 0, step) for step in range(1, NUM_TASKS + 1)
        ]
    run = client.create_run(
        experiment_id, run_name=f"trial {number}" if sweep_id else f"run {number}"
    )
    client.log_batch(
        run.info.run_id, points, [Param(key, str(value)) for key, value in parameters.items()], tags
    )
    client.set_terminated(run.info.run_id)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return a store with an experiment of three runs, and one of a sweep of nine trials, both with
    their views.
    """
    uri = f"sqlite:///{tmp_path_factory.mktemp('pages')}/mlflow.db"
    client = MlflowClient(uri)
    runs, sweeps = (
        str(client.create_experiment(name, tags=names.EXPERIMENT_TAGS))
        for name in ("runs", "sweeps")
    )
    for number in range(3):
        write_run(client, runs, number)
    sweep_id = client.create_run(
        sweeps, run_name="sweep smoke", tags={names.SWEEP_TAG: "self"}
    ).info.run_id
    for number in range(NUM_TRIALS):
        write_run(client, sweeps, number, sweep_id)
    swept = sweep_view(sweep_id, load_search_space(ROOT / "search_spaces" / "smoke.yaml"))
    save_views(client, runs, run_views(NUM_TASKS))
    save_views(client, sweeps, [*trial_views(NUM_TASKS), swept])
    storage = uri.replace("mlflow.db", "studies.db")
    study = optuna.create_study(study_name=sweep_id, storage=storage, direction="maximize")
    for number in range(NUM_TRIALS):
        finish_trial(study, 0.5 + number / 100)
    ids = {"runs": runs, "sweeps": sweeps, "sweep": sweep_id, "sweep_view": swept.id}
    return {"uri": uri, "storage": storage, **ids}


def finish_trial(study: optuna.Study, value: float) -> None:
    trial = study.ask()
    trial.suggest_float("student.temperature", 1, 8)
    study.tell(trial, value)


def start_ui(uri: str, folder: Path, *options: str) -> "subprocess.Popen[str]":
    return start_orchestrator(
        *("ui", "--tracking-uri", uri, "--port", "0", "--dashboard-port", "0", *options),
        folder=folder,
        settings={"orchestrator.tracking.local_server.START_SECONDS": PATIENCE_SECONDS},
    )


def lines_until(process: "subprocess.Popen[str]", last: str) -> list[str]:
    """Return the printed lines up to one that contains this text."""
    assert process.stdout is not None
    lines: list[str] = []
    while not (lines and last in lines[-1]):
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        lines.append(line)
    return lines


def group_members(group: int) -> list[str]:
    """Return the command lines of a process group's living members."""
    found = subprocess.run(
        ["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    fields = [line.split(maxsplit=2) for line in found]
    return [args for pgid, stat, args in fields if int(pgid) == group and not stat.startswith("Z")]


def children_of(process: "subprocess.Popen[str]") -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [int(pid) for pid in found.split()]


@pytest.fixture(scope="module")
def links(store: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Return the links that `orchestrator ui` prints, the sweep's last; Ctrl-C ends both
    servers.
    """
    options = ("--storage", store["storage"], "--sweep", store["sweep"][:6])
    process = start_ui(store["uri"], tmp_path_factory.mktemp("ui"), *options)
    try:
        yield re.findall(r"http://127\.0\.0\.1:\S+", "".join(lines_until(process, "Ctrl-C")))
    finally:
        servers = children_of(process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_SECONDS)
    assert len(servers) == 2
    assert (process.returncode, [group_members(server) for server in servers]) == (0, [[], []])


@pytest.fixture(scope="module")
def url(links: list[str]) -> str:
    """Return the address of MLflow's server."""
    return links[0].partition("/#")[0]


@pytest.fixture
def opened(page: "Page", url: str, store: dict[str, str]) -> Callable[[str, str], "Page"]:
    """Open a saved view of an experiment, and close the panel that MLflow shows to a new
    browser.
    """

    def open_view(experiment: str, view_id: str) -> "Page":
        page.goto(view_url(url, store[experiment], view_id))
        page.locator("button[data-component-id='mlflow.assistant.chat_panel.close']").click()
        return page

    return open_view


def drawn(
    page: "Page", script: str, condition: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """Return the drawn page once the condition holds; the charts appear one by one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition(found := page.evaluate(script)):
        assert time.monotonic() < deadline, found
        page.wait_for_timeout(200)
    return list(found)


def look(page: "Page", name: str) -> None:
    """Save a screenshot if SCREENSHOTS=FOLDER is set."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


# --- views ----------------------------------------------------------------------------------------


def test_forgetting_is_drawn_for_every_run_and_task(opened: Callable[[str, str], "Page"]) -> None:
    page = opened("runs", f"orchestrator-forgetting-{NUM_TASKS}-tasks")
    plots = drawn(
        page, _PLOTS, lambda found: len(found) >= 6 and all(plot["lines"] for plot in found[:6])
    )
    look(page, "forgetting")
    assert page.get_by_text("Student forgetting").is_visible()
    assert page.get_by_text("Forgetting of each task").count() == 2
    # MLflow draws each line twice: the raw values, and on top the smoothed ones with smoothing 0.
    assert [plot["lines"] for plot in plots[:6]] == [2 * 3, 2 * 3, 2 * 3 * (NUM_TASKS - 1)] * 2
    assert [plot["points"] for plot in plots[:2]] == [3 * NUM_TASKS, 3 * NUM_TASKS]


def test_student_is_drawn_against_teacher(opened: Callable[[str, str], "Page"]) -> None:
    page = opened("runs", "orchestrator-student-against-teacher")
    plots = drawn(
        page,
        _PLOTS,
        lambda found: (
            len(found) >= 6 and all(plot["lines"] or plot["points"] for plot in found[:6])
        ),
    )
    look(page, "student")
    assert (plots[0]["x"], plots[0]["y"]) == (
        "final/teacher_last_accuracy",
        "final/student_last_accuracy",
    )
    assert [plot["points"] for plot in plots[:2]] == [3, 3]
    assert [plot["lines"] for plot in plots[2:6]] == [2 * 3 * 2, 2 * 3, 2 * 3, 2 * 3]


def test_a_sweeps_view_draws_its_parameters_and_only_its_trials(
    opened: Callable[[str, str], "Page"], store: dict[str, str]
) -> None:
    page = opened("sweeps", store["sweep_view"])
    parallels = drawn(
        page,
        _PARALLELS,
        lambda found: len(found) == 2 and all(chart["ink"] > 1000 for chart in found),
    )
    plots = drawn(page, _PLOTS, lambda found: len(found) >= 3 and found[2]["bars"] == NUM_TRIALS)
    look(page, "sweep")
    assert parallels[0]["axes"] == [
        "student.transfer.kind",
        "student.temperature",
        "trial/objective",
    ]
    assert parallels[1]["axes"] == ["student.transfer.ratio", "trial/objective"]
    assert [plot["points"] for plot in plots[:2]] == [NUM_TRIALS, NUM_TRIALS]
    assert page.get_by_text(f"{NUM_TRIALS} matching runs").is_visible()
    best = max(range(NUM_TRIALS), key=math.sin)
    assert page.locator("[role=row] >> text=/^trial/").first.inner_text() == f"trial {best}"


def test_trials_are_comparable_like_runs(opened: Callable[[str, str], "Page"]) -> None:
    page = opened("sweeps", f"orchestrator-trials-forgetting-{NUM_TASKS}-tasks")
    plots = drawn(page, _PLOTS, lambda found: bool(found) and found[0]["lines"] == 2 * NUM_TRIALS)
    look(page, "trials")
    assert plots[0]["points"] == NUM_TRIALS * NUM_TASKS


def test_the_dashboard_shows_a_running_sweep(
    page: "Page", links: list[str], store: dict[str, str]
) -> None:
    page.goto(links[-1])
    page.get_by_text(store["sweep"]).first.wait_for()
    page.get_by_text(f"Best Trial (number={NUM_TRIALS - 1})").wait_for()
    finish_trial(optuna.load_study(study_name=store["sweep"], storage=store["storage"]), 0.875)
    page.get_by_text(f"Best Trial (number={NUM_TRIALS})").wait_for()
    look(page, "dashboard")
    assert page.get_by_text("0.875").first.is_visible()


@pytest.mark.reliability
def test_the_charts_of_200_runs_are_drawn_and_show_ten(
    opened: Callable[[str, str], "Page"], store: dict[str, str]
) -> None:
    client = MlflowClient(store["uri"])
    store["many"] = str(client.create_experiment("many", tags=names.EXPERIMENT_TAGS))
    for number in range(200):
        write_run(client, store["many"], number)
    save_views(client, store["many"], run_views(NUM_TASKS))
    started = time.monotonic()
    page = opened("many", f"orchestrator-forgetting-{NUM_TASKS}-tasks")
    plots = drawn(
        page, _PLOTS, lambda found: len(found) >= 3 and all(plot["lines"] for plot in found[:3])
    )
    seconds = time.monotonic() - started
    look(page, "many")
    print(f"200 runs: charts drawn after {seconds:.1f} s")  # noqa: T201 - shown with -s
    assert plots[0]["lines"] == 2 * 10


# --- the command ----------------------------------------------------------------------------------


def test_ui_prints_the_views_of_a_single_experiment_and_ends_with_its_terminal(
    tmp_path: Path,
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    experiment_id = str(client.create_experiment("digits"))
    save_views(client, experiment_id, run_views(2))
    process = start_ui(uri, tmp_path)
    printed = "".join(lines_until(process, "Ctrl-C"))
    assert re.search(
        rf"^digits +http://127\.0\.0\.1:\d+/#/experiments/{experiment_id}$", printed, re.MULTILINE
    )
    assert re.search(
        r"Student against teacher"
        r" +http://\S+viewStateShareKey=orchestrator-student-against-teacher",
        printed,
    )
    [server] = children_of(process)
    assert group_members(server)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, group_members(server)) == (0, [])


def test_ui_reports_the_death_of_the_server(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    MlflowClient(uri).create_experiment("digits")
    process = start_ui(uri, tmp_path)
    lines_until(process, "Ctrl-C")
    [server] = children_of(process)
    os.killpg(server, signal.SIGKILL)
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == TrackingUnavailableError.exit_code
    assert said.startswith("error: the MLflow server does not answer: ")


def test_ui_of_a_server_prints_the_servers_page(
    url: str, orchestrator_command: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    answer = orchestrator_command("ui", "--tracking-uri", url)
    shown, sweeps = answer.stdout.splitlines()
    assert (answer.returncode, shown) == (
        0,
        f"an MLflow server shows its own pages: {url}/#/experiments",
    )
    assert re.fullmatch(r"sweeps   none in sqlite:///\S+/studies.db yet", sweeps)


def test_a_port_in_use_is_reported_before_anything_starts(
    url: str,
    store: dict[str, str],
    orchestrator_command: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    port = url.rpartition(":")[2]
    answer = orchestrator_command("ui", "--tracking-uri", store["uri"], "--port", port)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith(
        f"error: port {port} cannot be used (Address already in use); end the program that"
        " uses the port, or choose"
    )


def test_a_sweep_missing_from_the_storage_is_reported(
    url: str, orchestrator_command: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    given = ("--storage", "sqlite:///none.db", "--sweep", "fedc")
    answer = orchestrator_command("ui", "--tracking-uri", url, *given)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "none.db: this storage has no sweeps yet; run a sweep first" in answer.stderr


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
def test_a_store_without_runs_is_reported(
    content: bytes | None,
    tmp_path: Path,
    orchestrator_command: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    if content is not None:
        (tmp_path / "mlflow.db").write_bytes(content)
    answer = orchestrator_command("ui", "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith(
        f"error: {tmp_path}/mlflow.db: no run was tracked here yet; run an experiment first"
    )
    assert len(list(tmp_path.iterdir())) == (content is not None)
