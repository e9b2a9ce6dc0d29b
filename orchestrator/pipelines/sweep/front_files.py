"""Write the files of a Pareto front: a table, a chart, and each trial as an experiment file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import output_files
from orchestrator.config import dump_experiment
from orchestrator.csv_text import csv_text
from orchestrator.figures.texts import as_text
from orchestrator.pipelines.sweep.setting import SweepSetting
from orchestrator.reporting.quantities import objective_text
from orchestrator.tuning.ledger import Ledger
from orchestrator.whole_files import write_whole

if TYPE_CHECKING:
    from orchestrator.figures.trials import TrialRow


def front_figures(rows: Sequence[TrialRow], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chart of the Pareto front, by file name; empty if the sweep has a single
    objective.
    """
    if "metrics" not in summary:
        return {}
    from orchestrator.figures.pareto_front import pareto_front_figure  # noqa: PLC0415 - Matplotlib is slow to import

    chosen = summary["best"] and summary["best"]["trial"]
    figure = pareto_front_figure(rows, summary["metrics"], chosen)
    return {output_files.PARETO_FRONT_FILE: figure}


def front_paths(folder: Path, summary: Mapping[str, Any]) -> list[Path]:
    """Return the paths of the files that `write_front` writes; empty if the sweep has a single
    objective.
    """
    if "metrics" not in summary:
        return []
    names = map(output_files.front_file, summary["front"])
    return [
        folder / output_files.FRONT_FILE,
        *(folder / output_files.FRONT_FOLDER / name for name in names),
    ]


def write_front(setting: SweepSetting, summary: Mapping[str, Any], ledger: Ledger) -> None:
    """Write the Pareto front of a sweep: front.csv, and front/*.yaml with one experiment per trial.
    Remove the files of trials that are no longer on the front. Do nothing for a single objective.

    Raises:
        OSError: The folder cannot be written.
    """
    if "metrics" not in summary:
        return
    table, *files = front_paths(setting.output_dir, summary)
    folder = setting.output_dir / output_files.FRONT_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for stale in {*folder.glob("trial-*.yaml")} - {*files}:
        stale.unlink()
    for number, path in zip(summary["front"], files, strict=True):
        trial = ledger.trials[number]
        experiment = setting.space.experiments_of(trial.parameters)[0]
        shown = {"trial": number, "value": trial.value, "values": trial.values}
        comment = (
            f"# Trial {number} of the front of the sweep {summary['name']}"
            f" (run {summary['sweep_id']}):\n# {values_text(summary, shown)}"
            f" on {summary['split']} data.\n"
        )
        write_whole(path, comment + dump_experiment(experiment))
    write_whole(table, _front_csv(summary, ledger))


def values_text(summary: Mapping[str, Any], trial: Mapping[str, Any]) -> str:
    """Return the value of each objective of a trial as text, such as `NAME = VALUE`."""
    values = trial["values"] if "metrics" in summary else {summary["metric"]: trial["value"]}
    return ", ".join(f"{name} = {objective_text(value, name)}" for name, value in values.items())


def _front_csv(summary: Mapping[str, Any], ledger: Ledger) -> str:
    trials = [ledger.trials[number] for number in summary["front"]]
    paths = list(dict.fromkeys(path for trial in trials for path in trial.parameters))
    names = list(summary["metrics"])
    rows: list[Sequence[object]] = [["trial", "run_id", *names, "file", *paths]]
    for trial in trials:
        file = f"{output_files.FRONT_FOLDER}/{output_files.front_file(trial.number)}"
        values = [trial.values[name] for name in names]
        cells = [_cell(trial.parameters.get(path)) for path in paths]
        rows.append([trial.number, trial.run_id, *values, file, *cells])
    return csv_text(rows, line_end="\r\n")


def _cell(value: object) -> str:
    return "" if value is None else as_text(value)
