"""Identify the Optuna study of a sweep, and write the study of an earlier sweep from the sweep's
ledger.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pydantic import ValidationError

from orchestrator.config.addresses import absolute_storage
from orchestrator.config.experiment import Experiment
from orchestrator.config.search_space import SearchSpace
from orchestrator.errors import ConfigError, StorageUnavailableError
from orchestrator.masking import hide, shown
from orchestrator.output_files import LEDGER_FILE
from orchestrator.pipelines.sweep.setting import SweepSetting
from orchestrator.tracking.uris import run_page
from orchestrator.tuning.ledger import Ledger
from orchestrator.tuning.space import Space
from orchestrator.tuning.studies import StudyIdentity
from orchestrator.tuning.study_writer import write_study


def study_of(setting: SweepSetting, sweep_id: str) -> StudyIdentity:
    """Return the identity of a sweep's Optuna study, which contains the study's storage and name.

    Args:
        setting: The settings of the sweep.
        sweep_id: Id of the sweep's run in MLflow.
    """
    experiment = setting.experiment
    page_of = partial(run_page, shown(experiment.tracking.uri))
    return StudyIdentity(experiment.study_storage, sweep_id, setting.space, page_of)


def import_sweep(folder: Path, storage: str | None = None) -> StudyIdentity:
    """Create or update a sweep's Optuna study from the sweep's ledger.

    Use this if an earlier version of this program ran the sweep without a study, or if the study's
    storage was unreachable.

    Args:
        folder: The sweep's output folder.
        storage: Address of the Optuna storage; None means the storage of the sweep's experiment.

    Returns:
        The identity of the study.

    Raises:
        ConfigError: The folder contains no sweep that this version can read, or the address is not
            that of an Optuna storage.
        StorageUnavailableError: Ledger or storage cannot be used.
    """
    ledger = Ledger(folder / LEDGER_FILE)
    if ledger.header is None:
        advice = "name the output folder of a sweep, such as out/sweeps/NAME"
        raise ConfigError("the folder contains no sweep", where=str(folder), next_step=advice)
    try:
        experiment = Experiment.model_validate(ledger.header.experiment)
        search_space = SearchSpace.model_validate(ledger.header.search_space)
        address = absolute_storage(storage) if storage else experiment.study_storage
    except (ValidationError, ValueError) as error:
        what = f"the sweep cannot be imported ({error})"
        raise ConfigError(what, where=str(folder)) from None
    page_of = partial(run_page, shown(experiment.tracking.uri))
    space = Space(search_space, experiment)
    identity = StudyIdentity(address, ledger.header.sweep_id, space, page_of)
    try:
        write_study(ledger.trials.values(), identity)
    except Exception as error:
        what = f"the study cannot be written ({hide(error, address)})"
        advice = "check tracking.storage or --storage, and that its database answers"
        raise StorageUnavailableError(what, where=shown(address), next_step=advice) from error
    return identity
