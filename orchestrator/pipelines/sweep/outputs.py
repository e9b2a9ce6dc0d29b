"""Write the files of a sweep: summary, best experiment, leaderboard and figures, on disk and in
MLflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from orchestrator import output_files
from orchestrator.config import dump_experiment
from orchestrator.config.experiment import Experiment
from orchestrator.config.roles import ROLES, Role
from orchestrator.config.search_space import SearchSpace
from orchestrator.data import Split
from orchestrator.errors import StorageUnavailableError
from orchestrator.evaluation import accuracy_after
from orchestrator.pipelines.run.outputs import write_json
from orchestrator.pipelines.sweep.front_files import (
    front_figures,
    front_paths,
    values_text,
    write_front,
)
from orchestrator.pipelines.sweep.sampling import sampler_of
from orchestrator.pipelines.sweep.setting import SweepSetting
from orchestrator.stages import Work
from orchestrator.tracking import RunStatus, Tracker, names
from orchestrator.tracking.tracked_run import TrackedRun
from orchestrator.tuning.ledger import Ledger, LedgerTrial
from orchestrator.tuning.ranking import ranked
from orchestrator.whole_files import write_whole


def log_search_space(setting: SweepSetting, tracker: Tracker) -> None:
    """Write search_space.yaml before the first trial, so that the file exists even if the sweep
    ends early.

    Raises:
        StorageUnavailableError: The folder cannot be written.
    """
    path = setting.output_dir / output_files.SEARCH_SPACE_FILE
    try:
        write_whole(path, dump_search_space(setting.search_space))
    except OSError as error:
        what = f"the search space cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(
            what, where=str(path), next_step="free some space, or choose another --output"
        ) from None
    tracker.log_file(path)


def write_sweep_outputs(
    setting: SweepSetting, summary: dict[str, Any], ledger: Ledger, tracker: Tracker
) -> None:
    """Write every file of a finished sweep, and log the files with the tracker.

    Raises:
        StorageUnavailableError: The folder is no longer writable.
    """
    try:
        files = _write_files(setting, summary, ledger)
    except OSError as error:
        what = f"the results cannot be written ({error.strerror or error})"
        raise StorageUnavailableError(
            what,
            where=str(setting.output_dir),
            next_step="free some space; --resume writes the results again",
        ) from None
    for path in files:
        parent = path.parent.name
        is_in_folder = parent in (output_files.FIGURES_FOLDER, output_files.FRONT_FOLDER)
        tracker.log_file(path, parent if is_in_folder else "")


def _write_files(setting: SweepSetting, summary: dict[str, Any], ledger: Ledger) -> list[Path]:
    # imported here because importing Matplotlib is slow
    from orchestrator.figures.best_curves import best_curves_figure  # noqa: PLC0415
    from orchestrator.figures.importances import importance_figure  # noqa: PLC0415
    from orchestrator.figures.parallel_coordinates import (  # noqa: PLC0415
        parallel_coordinates_figure,
    )
    from orchestrator.figures.saving import save_figure  # noqa: PLC0415
    from orchestrator.figures.trials import importance_caveat, num_finished  # noqa: PLC0415
    from orchestrator.reporting.leaderboard import leaderboard_csv  # noqa: PLC0415
    from orchestrator.reporting.pages import write_page  # noqa: PLC0415
    from orchestrator.reporting.sweep_facts import NUM_BEST, SweepFacts  # noqa: PLC0415
    from orchestrator.reporting.sweep_report import sweep_report  # noqa: PLC0415

    folder, rows = setting.output_dir, _rows(setting, summary, ledger)
    metric, mode = summary["metric"], summary["mode"]
    importances = sampler_of(setting.space, ledger.trials.values()).importances()
    figures = front_figures(rows, summary) | {
        output_files.PARALLEL_COORDINATES_FILE: parallel_coordinates_figure(rows, metric, mode),
        output_files.PARAMETER_IMPORTANCE_FILE: importance_figure(
            importances, importance_caveat(num_finished(rows), len(importances))
        ),
        output_files.BEST_CURVES_FILE: best_curves_figure(rows, mode, NUM_BEST),
    }
    for name, figure in figures.items():
        save_figure(figure, folder / output_files.FIGURES_FOLDER / name)
    write_json(folder / output_files.SUMMARY_FILE, summary)
    write_whole(folder / output_files.LEADERBOARD_FILE, leaderboard_csv(rows, mode))
    files = [
        output_files.SUMMARY_FILE,
        output_files.LEADERBOARD_FILE,
        output_files.LEDGER_FILE,
        output_files.REPORT_FILE,
    ]
    best_text = ""
    write_front(setting, summary, ledger)
    # remove an earlier best.yaml, which would be mistaken for a result of this sweep
    if summary["best"] is None:
        (folder / output_files.BEST_FILE).unlink(missing_ok=True)
    else:
        best = ledger.trials[summary["best"]["trial"]]
        best_text = _best_text(summary, setting.space.experiments_of(best.parameters))
        write_whole(folder / output_files.BEST_FILE, best_text)
        files.append(output_files.BEST_FILE)
    run, search_space = _tracked_run(setting, summary), setting.search_space.model_dump(mode="json")
    write_page(
        folder / output_files.REPORT_FILE,
        sweep_report(SweepFacts(run, summary, search_space, rows, importances, best_text)),
    )
    return [
        *(folder / name for name in files),
        *front_paths(folder, summary),
        *(folder / output_files.FIGURES_FOLDER / name for name in figures),
    ]


def _tracked_run(setting: SweepSetting, summary: dict[str, Any]) -> TrackedRun:
    """Return the data of the sweep's run for its report, without reading MLflow."""
    experiment, ended = setting.experiment, datetime.now(UTC)
    return TrackedRun(
        run_id=summary["sweep_id"],
        name=sweep_name(setting.search_space),
        experiment=experiment.tracking.experiment or experiment.name,
        experiment_id="",
        status=RunStatus.FINISHED.value,
        started=ended - timedelta(seconds=summary["wall_seconds"]),
        ended=ended,
        tags={names.METHOD_TAG: experiment.method.kind, names.SWEEP_TAG: summary["sweep_id"]},
        summary=summary,
    )


def sweep_name(search_space: SearchSpace) -> str:
    """Return the name of a sweep's run in MLflow."""
    return f"sweep {search_space.name}"


def _rows(setting: SweepSetting, summary: dict[str, Any], ledger: Ledger) -> list[Any]:
    """Return one row per trial for the figures. Only the rows of the best trials contain test
    accuracies.
    """
    from orchestrator.figures.trials import TrialRow  # noqa: PLC0415
    from orchestrator.reporting.sweep_facts import (  # noqa: PLC0415 - matplotlib is slow to import
        NUM_CURVES,
    )

    best = {trial.number for trial in ranked(ledger.trials.values(), summary["mode"])[:NUM_CURVES]}
    rows = []
    for row in summary["trials"]:
        trial = ledger.trials[row["trial"]]
        curves = (
            _accuracy_curves(setting, trial)
            if trial.number in best
            else {role: [] for role in ROLES}
        )
        rows.append(
            TrialRow(
                trial.number,
                row["status"],
                row["value"],
                row["parameters"],
                row["curve"],
                teacher_curve=curves["teacher"],
                student_curve=curves["student"],
                values=row.get("values", {}),
                in_front=trial.number in summary.get("front", ()),
            )
        )
    return rows


def _accuracy_curves(setting: SweepSetting, trial: LedgerTrial) -> dict[Role, list[float]]:
    """Return the test accuracy after each task by role, as the mean over the seeds. The lists are
    empty if stages of the trial are no longer stored.
    """
    try:
        works = setting.works_of(trial.parameters)
        of_seeds = [_curves_of(work) for work in works]
    except StorageUnavailableError:
        return {role: [] for role in ROLES}
    return {
        role: [fmean(values) for values in zip(*(curves[role] for curves in of_seeds), strict=True)]
        for role in ROLES
    }


def _curves_of(work: Work) -> dict[Role, list[float]]:
    rows = {
        role: [
            work.evaluation_of(stage).rows[Split.TEST]
            for stage in work.stages
            if stage.role == role
        ]
        for role in ROLES
    }
    return {
        role: [accuracy_after(matrix, task) for task in range(len(matrix))]
        for role, matrix in rows.items()
    }


def _best_text(summary: dict[str, Any], experiments: Sequence[Experiment]) -> str:
    """Return the text of best.yaml, a complete experiment file that reproduces the best trial with
    the first seed.
    """
    best, seeds = summary["best"], ", ".join(str(experiment.seed) for experiment in experiments)
    comment = (
        f"# Trial {best['trial']} of the sweep {summary['name']} (run {summary['sweep_id']}):"
        f" {values_text(summary, best)}\n# on {summary['split']} data, the mean"
        f" over {'these seeds' if len(experiments) > 1 else 'the seed'}: {seeds}.\n"
    )
    return comment + dump_experiment(experiments[0])


def dump_search_space(search_space: SearchSpace) -> str:
    """Return the search space as YAML text, including all defaults."""
    return yaml.safe_dump(search_space.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
