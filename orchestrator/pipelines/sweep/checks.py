"""Reject a sweep that cannot start or cannot be resumed, and a sweep whose trials have all
failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.config import flatten, flatten_tree
from orchestrator.config.experiment import Experiment
from orchestrator.config.places import is_place
from orchestrator.errors import ConfigError, OrchestratorError, UserInputError
from orchestrator.pipelines.sweep.sampling import sampler_of
from orchestrator.pipelines.sweep.setting import SweepSetting
from orchestrator.tuning.ledger import Ledger, ledger_of
from orchestrator.tuning.trial_status import TrialStatus

# Settings that determine the values of the objectives. All sweeps whose trials are compared must
# agree on these settings.
_MUST_AGREE = ("metric", "metrics", "split", "seeds")


def check_ledger(ledger: Ledger, experiment: Experiment, output_dir: Path) -> None:
    """Reject an output folder that contains a sweep of another experiment.

    Args:
        ledger: The ledger of the output folder.
        experiment: The experiment that every trial modifies.
        output_dir: The output folder.

    Raises:
        ConfigError: The experiments differ.
    """
    if ledger.header is None:
        return
    before, now = flatten_tree(ledger.header.experiment), flatten(experiment)
    differ = [
        name
        for name in sorted({*before, *now})
        if not is_place(name) and before.get(name) != now.get(name)
    ]
    if differ:
        raise ConfigError(
            f"the sweep was started with another experiment ({', '.join(differ)} differ), so its"
            " trials are not comparable",
            where=str(output_dir),
            next_step="give the same experiment and --set values, or choose another --output",
        )


def check_search(setting: SweepSetting, ledger: Ledger) -> None:
    """Reject a search space in which no valid configuration (set of parameter values) is found.
    Also reject a search space whose objectives are not comparable with the objectives in the
    sweep's ledger, or in the earlier sweep of a warm start. Call this function before a run is
    opened.

    Raises:
        ConfigError: The search space has no valid configuration, or its objectives are not
            comparable.
    """
    folder, now = setting.search_space.warm_start, setting.search_space.model_dump(mode="json")
    headers = [
        (ledger.header, setting.output_dir),
        (ledger_of(folder).header if folder else None, folder),
    ]
    for header, where in headers:
        differ = [key for key in _MUST_AGREE if header and header.search_space.get(key) != now[key]]
        if differ:
            raise ConfigError(
                f"the sweep there was started with another search space ({', '.join(differ)}"
                " differ), so its objectives are not comparable",
                where=str(where),
                next_step="give the same values, or another folder",
            )
    if ledger.header is None:
        sampler_of(setting.space).ask()


def check_not_all_failed(ledger: Ledger, errors: Sequence[OrchestratorError]) -> None:
    """Raise an error if all trials of the sweep have failed, in this start or in an earlier start.

    Args:
        ledger: The ledger with all trials.
        errors: Errors of the trials that failed in this start.

    Raises:
        OrchestratorError: All trials failed, some of them in this start. The error has the class of
            the first of `errors`.
        UserInputError: All trials failed in earlier starts.
    """
    if any(trial.status is TrialStatus.FINISHED for trial in ledger.trials.values()):
        return
    if errors:
        raise type(errors[0])(
            f"all trials failed, the first with: {errors[0].what}",
            errors[0].where,
            errors[0].next_step,
        )
    if ledger.trials and all(
        trial.status is TrialStatus.FAILED for trial in ledger.trials.values()
    ):
        advice = "change the search space, or start again with another --output"
        raise UserInputError(
            f"all trials failed, the first with: {ledger.trials[min(ledger.trials)].reason}",
            next_step=advice,
        )
