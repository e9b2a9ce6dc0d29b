"""Write a sweep as a study of an Optuna storage, from the trials of its ledger.

The ledger is the source of truth: a study is only updated from the ledger. A study is rewritten if
the search space has changed in a way that Optuna's storages do not allow.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from orchestrator.config.addresses import sqlite_path
from orchestrator.config.search_space import SearchSpace
from orchestrator.masking import hide, shown_values
from orchestrator.tuning.dimensions import Dimension
from orchestrator.tuning.ledger import LedgerTrial
from orchestrator.tuning.optuna_samplers import directions_of
from orchestrator.tuning.space import Space
from orchestrator.tuning.trial_status import TrialStatus

logger = logging.getLogger(__name__)

TRIAL_ATTRIBUTE = "trial"
_IDENTITY = "orchestrator:search_space"
# Optuna reads the names of a study's metrics from this key. The method `set_metric_names`, which
# writes the key, is experimental.
_METRIC_NAMES = "study:metric_names"
_TIMEOUT_SECONDS = 10
_STATES = {
    TrialStatus.RUNNING: TrialState.RUNNING,
    TrialStatus.FINISHED: TrialState.COMPLETE,
    TrialStatus.STOPPED: TrialState.PRUNED,
    TrialStatus.FAILED: TrialState.FAIL,
}


@dataclass(frozen=True)
class StudyIdentity:
    """The identity of a sweep's study, and its storage.

    Attributes:
        storage: Address of the storage, including secrets.
        sweep_id: Id of the sweep's run in MLflow.
        space: Space of the sweep, whose search space names the objectives.
        page_of: Returns the address of a run's page in MLflow.
    """

    storage: str
    sweep_id: str
    space: Space
    page_of: Callable[[str], str]

    @property
    def name(self) -> str:
        """Return the study's name, made of the search space's name and the sweep's id."""
        return study_name(self.space.search_space, self.sweep_id)


def study_name(search_space: SearchSpace, sweep_id: str) -> str:
    """Return the name of a sweep's study."""
    return f"{search_space.name} {sweep_id}"


def open_storage(address: str) -> RDBStorage:
    """Open an Optuna storage, and create its tables if they are missing.

    Raises:
        Exception: From Optuna or the database's library: the storage cannot be reached or used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = sqlite_path(address)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    is_sqlite = address.startswith("sqlite")
    seconds = {"timeout" if is_sqlite else "connect_timeout": _TIMEOUT_SECONDS}
    return RDBStorage(address, engine_kwargs={"connect_args": seconds})


def close_storage(storage: RDBStorage) -> None:
    """Close the connections of a storage."""
    storage.remove_session()
    storage.engine.dispose()


class StoredStudy:
    """One sweep's study in an open storage."""

    def __init__(self, storage: BaseStorage, identity: StudyIdentity) -> None:
        """Find the study in the storage, or create it.

        Args:
            storage: Storage of the study.
            identity: Identity of the study.
        """
        self._storage = storage
        self._space = identity.space
        self._page_of = identity.page_of
        self._is_single = identity.space.search_space.metrics is None
        self._study = self._opened(identity)
        self._known: dict[int, FrozenTrial] = {
            trial.user_attrs[TRIAL_ATTRIBUTE]: trial
            for trial in storage.get_all_trials(self._study, deepcopy=False)
            if TRIAL_ATTRIBUTE in trial.user_attrs
        }

    def put(self, trial: LedgerTrial) -> None:
        """Add a trial to the study, or update the study's trial unless that trial is finished."""
        known = self._known.get(trial.number)
        if known is None:
            template = self._frozen(trial)
            created = self._storage.create_new_trial(self._study, template)
            self._known[trial.number] = self._storage.get_trial(created)
            return
        if known.state.is_finished():
            return
        wanted, identifier = self._frozen(trial), known._trial_id  # noqa: SLF001 - storages require it
        for step, value in wanted.intermediate_values.items():
            if known.intermediate_values.get(step) != value:
                self._storage.set_trial_intermediate_value(identifier, step, value)
        for key, attribute in wanted.user_attrs.items():
            if known.user_attrs.get(key) != attribute:
                self._storage.set_trial_user_attr(identifier, key, attribute)
        if wanted.state is not known.state:
            self._storage.set_trial_state_values(identifier, wanted.state, wanted.values)
        self._known[trial.number] = self._storage.get_trial(identifier)

    def _opened(self, identity: StudyIdentity) -> int:
        """Find or create the study of a sweep, and return the study's id. A study that was written
        for another search space of the sweep is replaced.
        """
        search_space = identity.space.search_space
        digest = _digest(search_space)
        for study in self._storage.get_all_studies():
            if not study.study_name.endswith(f" {identity.sweep_id}"):
                continue
            if study.user_attrs.get(_IDENTITY) == digest:
                return study._study_id  # noqa: SLF001 - as above
            self._storage.delete_study(study._study_id)  # noqa: SLF001 - as above
        created = self._storage.create_new_study(directions_of(search_space), identity.name)
        self._storage.set_study_system_attr(created, _METRIC_NAMES, [*search_space.objectives])
        attributes = {
            "sweep_id": identity.sweep_id,
            "split": search_space.split,
            "mlflow": identity.page_of(identity.sweep_id),
            "search_space": shown_values(search_space.model_dump(mode="json")),
            _IDENTITY: digest,
        }
        for key, value in attributes.items():
            self._storage.set_study_user_attr(created, key, value)
        return created

    def _frozen(self, trial: LedgerTrial) -> FrozenTrial:
        """Return a trial of the ledger as an Optuna trial."""
        state = _state_of(trial)
        values = list(trial.values.values())
        if not values and trial.value is not None:
            values = [trial.value]
        dimensions = self._dimensions(trial)
        frozen = create_trial(
            state=state,
            values=values if state is TrialState.COMPLETE else None,
            params={name: trial.configuration.draws[name] for name in dimensions},
            distributions=dict(dimensions),
            user_attrs=self._attributes(trial),
            # Optuna supports intermediate values only for a single objective.
            intermediate_values=dict(enumerate(trial.curve, 1)) if self._is_single else {},
        )
        if state is not TrialState.WAITING:
            frozen.datetime_start = datetime.now() - timedelta(seconds=trial.seconds)  # noqa: DTZ005 - Optuna's times are local
        return frozen

    def _dimensions(self, trial: LedgerTrial) -> dict[str, Dimension]:
        """Return the dimension of each drawn value of a trial, by the dimension's name; an empty
        dictionary if the values were drawn from another search space than the study's.
        """
        draws = trial.configuration.draws
        return self._space.dimensions(draws) if self._space.contains(draws) else {}

    def _attributes(self, trial: LedgerTrial) -> dict[str, Any]:
        kept: dict[str, Any] = {
            TRIAL_ATTRIBUTE: trial.number,
            "parameters": trial.parameters,
            "mlflow_run_id": trial.run_id,
            "mlflow": self._page_of(trial.run_id),
            "reason": trial.reason,
            "measured_on": trial.measured_on,
        }
        told = {key: shown_values(value) for key, value in kept.items() if value not in ("", None)}
        if not trial.is_open:
            told |= {"seconds": trial.seconds, "worker_seconds": trial.worker_seconds}
        return told


def study_from(trials: Iterable[LedgerTrial], identity: StudyIdentity) -> optuna.Study:
    """Return a study in memory with the trials of a sweep."""
    storage = optuna.storages.InMemoryStorage()
    study = StoredStudy(storage, identity)
    for trial in trials:
        study.put(trial)
    return optuna.load_study(study_name=identity.name, storage=storage)


def loaded_study(identity: StudyIdentity, trials: Sequence[LedgerTrial]) -> optuna.Study:
    """Return a sweep's study from its storage. If the storage cannot be reached or is not up to
    date, return a study in memory.

    Args:
        identity: Identity of the study, with its storage.
        trials: Trials of the sweep's ledger.
    """
    try:
        storage = open_storage(identity.storage)
        study = optuna.load_study(study_name=identity.name, storage=storage)
        states = {it.user_attrs.get(TRIAL_ATTRIBUTE): it.state for it in study.trials}
    except Exception as error:  # noqa: BLE001 - the database's library has errors of its own
        logger.debug(
            "the study is rebuilt from the ledger, as it cannot be loaded: %s",
            hide(error, identity.storage),
        )
        states = {}
    if trials and states == {trial.number: _state_of(trial) for trial in trials}:
        return study
    return study_from(trials, identity)


def _state_of(trial: LedgerTrial) -> TrialState:
    # A trial that a resumed sweep continues has the state WAITING in the study, because Optuna
    # never reopens a finished trial.
    if trial.is_open and trial.status is not TrialStatus.RUNNING:
        return TrialState.WAITING
    return _STATES[trial.status]


def _digest(search_space: SearchSpace) -> str:
    """Return a digest of the varied parameters and objectives, which are fixed within a study."""
    values = search_space.model_dump(mode="json")
    told = [values["parameters"], list(search_space.objectives.items())]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
