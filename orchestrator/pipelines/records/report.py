"""Write a report of a run or a sweep, or a comparison of several runs, as an HTML file. All content
is read from MLflow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from orchestrator import output_files
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES
from orchestrator.config.search_space import SearchSpace
from orchestrator.config.yaml_files import BY_PROGRAM, YamlError, parse_yaml
from orchestrator.errors import ConfigError, UserInputError
from orchestrator.tracking import names
from orchestrator.tracking.reading import open_reader
from orchestrator.tracking.tracked_run import TrackedRun

if TYPE_CHECKING:
    from orchestrator.figures.trials import Importance, TrialRow
    from orchestrator.reporting.sweep_facts import SweepFacts
    from orchestrator.tracking.run_reader import RunReader
    from orchestrator.tuning.ledger import Ledger

REPORTS_FOLDER = Path("out") / "reports"
_ID_LETTERS = 8
_MOST_NAMED_IDS = 20


def report(run_id: str, uri: str, output: Path | None = None) -> Path:
    """Write the report of a run or a sweep, finished or not, and return its path.

    Args:
        run_id: The id in MLflow, or its first characters.
        uri: The tracking store.
        output: The HTML file; None means `out/reports/NAME-RUN_ID.html`.

    Raises:
        UserInputError: There is no such run, or no such store.
        TrackingUnavailableError: The store does not answer.
        StorageUnavailableError: The file cannot be written.
    """
    reader = open_reader(uri)
    run = reader.find(run_id)
    from orchestrator.reporting.pages import write_page  # noqa: PLC0415 - report a wrong id before importing matplotlib

    html = _sweep_html(reader, run) if run.is_sweep else _run_html(reader, run)
    path = output or REPORTS_FOLDER / f"{_file_name(run.name)}-{run.run_id[:_ID_LETTERS]}.html"
    write_page(path, html)
    return path


def compare(run_ids: Sequence[str], uri: str, output: Path | None = None) -> Path:
    """Write a page that compares runs with the first of them, and return its path.

    Args:
        run_ids: The ids in MLflow, or their first characters; at least two.
        uri: The tracking store.
        output: The HTML file; None means `out/reports/compare-RUN_ID-….html`.

    Raises:
        UserInputError: The store does not exist, a run is missing or is a sweep, or only one run is
            given.
        TrackingUnavailableError: The store does not answer.
        StorageUnavailableError: The file cannot be written.
    """
    reader = open_reader(uri)
    runs = list({run.run_id: run for run in map(reader.find, run_ids)}.values())
    _check_comparable(runs)
    from orchestrator.reporting.comparison import comparison, needed_histories  # noqa: PLC0415 - see above
    from orchestrator.reporting.pages import write_page  # noqa: PLC0415

    whole = [reader.with_files(run) for run in runs]
    html = comparison([reader.with_histories(run, needed_histories(run)) for run in whole])
    ids = "-".join(run.run_id[:_ID_LETTERS] for run in runs[:_MOST_NAMED_IDS])
    path = output or REPORTS_FOLDER / f"compare-{ids}.html"
    write_page(path, html)
    return path


def _check_comparable(runs: Sequence[TrackedRun]) -> None:
    sweeps = [run.run_id for run in runs if run.is_sweep]
    if sweeps:
        advice = (
            f"compare the sweep's trials; orchestrator report {sweeps[0][:_ID_LETTERS]} names"
            " these runs"
        )
        raise UserInputError(
            f"{sweeps[0]} is a sweep, which has no accuracies of its own", next_step=advice
        )
    if len(runs) < 2:
        raise UserInputError(
            "only one run was given",
            next_step="name two or more to compare, or use: orchestrator report RUN_ID",
        )


def _run_html(reader: RunReader, run: TrackedRun) -> str:
    from orchestrator.reporting.run_report import needed_histories, run_report  # noqa: PLC0415 - see above

    run = reader.with_files(run)
    if output_files.SUSPICIOUS_LABELS_FILE in run.files:
        run = reader.with_picture(run, output_files.SUSPICIOUS_LABELS_SHEET_FILE)
    return run_report(
        reader.with_histories(run, needed_histories(run)), reader.finished_on_same_data(run)
    )


def _sweep_html(reader: RunReader, sweep: TrackedRun) -> str:
    from orchestrator.reporting.sweep_report import sweep_report  # noqa: PLC0415 - see above

    return sweep_report(_sweep_facts(reader, reader.with_files(sweep)))


def _sweep_facts(reader: RunReader, sweep: TrackedRun) -> SweepFacts:
    from orchestrator.reporting.sweep_facts import (  # noqa: PLC0415
        NUM_CURVES,
        SweepFacts,
        best_trials,
        summary_of_trials,
    )

    trials = reader.trials_of(sweep)
    try:
        text = sweep.files.get(output_files.SEARCH_SPACE_FILE, "")
        search_space = parse_yaml(text, BY_PROGRAM) or {}
    except YamlError as error:
        raise ConfigError(f"the sweep's search space is corrupt ({error})", sweep.run_id) from None
    summary = sweep.summary or summary_of_trials(sweep, trials, search_space)
    best = {trial["run_id"] for trial in best_trials(summary)[:NUM_CURVES]}
    curves = {
        trial.run_id: _accuracy_curves(reader, trial) for trial in trials if trial.run_id in best
    }
    front = summary.get("front", [])
    rows = [
        _trial_row(trial, curves.get(trial["run_id"], {}), front) for trial in summary["trials"]
    ]
    return SweepFacts(
        sweep,
        summary,
        search_space,
        rows,
        _importances(sweep),
        sweep.files.get(output_files.BEST_FILE, ""),
    )


def _accuracy_curves(reader: RunReader, trial: TrackedRun) -> dict[str, list[float]]:
    metrics = {f"{role}_curve": names.summary_metric(role, "accuracy") for role in ROLES}
    histories = reader.with_histories(trial, metrics.values()).histories
    return {
        curve: [value for _, value in histories.get(metric, ())]
        for curve, metric in metrics.items()
    }


def _trial_row(
    trial: dict[str, Any], curves: dict[str, list[float]], front: Sequence[int]
) -> TrialRow:
    from orchestrator.figures.trials import TrialRow  # noqa: PLC0415 - see above

    return TrialRow(
        trial["trial"],
        trial["status"],
        trial["value"],
        trial["parameters"],
        trial["curve"],
        **curves,
        values=trial.get("values", {}),
        in_front=trial["trial"] in front,
    )


def _importances(sweep: TrackedRun) -> dict[str, Importance]:
    """Return the importance of each swept parameter, computed from the sweep's ledger. The result
    is empty if no ledger is logged (yet), or if another version of this program has written the
    ledger.
    """
    from orchestrator.pipelines.sweep.sampling import sampler_of  # noqa: PLC0415 - optuna is slow to import
    from orchestrator.tuning.space import Space  # noqa: PLC0415

    try:
        ledger = _ledger(sweep.files.get(output_files.LEDGER_FILE, ""))
        if ledger.header is None:
            return {}
        search_space = SearchSpace.model_validate(ledger.header.search_space).model_copy(
            update={"warm_start": None}
        )
        space = Space(search_space, Experiment.model_validate(ledger.header.experiment))
        return sampler_of(space, ledger.trials.values()).importances()
    except (ConfigError, ValidationError):
        return {}


def _ledger(text: str) -> Ledger:
    from orchestrator.tuning.ledger import Ledger  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / output_files.LEDGER_FILE
        path.write_text(text, encoding="utf-8")
        return Ledger(path)


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)[:80]
