"""Runs of an MLflow store as values: found by their ids, with their numbers and files; searched,
not asked for one by one.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from mlflow.entities import Run
from mlflow.store.entities.paged_list import PagedList
from mlflow.tracking import MlflowClient

from orchestrator import output_files
from orchestrator.errors import UserInputError
from orchestrator.masking import shown
from orchestrator.tracking import names
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.database import database_ready
from orchestrator.tracking.mlflow.runs import connect
from orchestrator.tracking.tracked_run import History, TrackedRun

_RUN_ID_LETTERS = 32
_LEAST_PREFIX = 4
_PER_PAGE = 1000
_TEXT_FILES = (
    output_files.EXPERIMENT_FILE,
    output_files.SEARCH_SPACE_FILE,
    output_files.LEDGER_FILE,
    output_files.BEST_FILE,
    output_files.SUSPICIOUS_LABELS_FILE,
    output_files.CONFUSION_FILE,
)
Found = TypeVar("Found")


class MlflowReader:
    """Reads from one store; every method raises `TrackingUnavailableError` where it does not
    answer.
    """

    def __init__(self, uri: str) -> None:
        """Connects.

        Args:
            uri: Supported, absolute and reachable.
        """
        self._uri = uri
        with mlflow_calls(uri), database_ready(uri):
            self._client: MlflowClient = connect(uri)

    def find(self, run_id: str) -> TrackedRun:
        """A run without histories and files.

        Args:
            run_id: As MLflow shows it, or its first letters (at least 4) where no other run begins
                with them.

        Raises:
            UserInputError: There is no such run, there are several, or it is deleted.
        """
        given = run_id.strip().lower()
        if not re.fullmatch(rf"[0-9a-f]{{{_LEAST_PREFIX},{_RUN_ID_LETTERS}}}", given):
            advice = (
                f"give the run id that MLflow shows, or its first {_LEAST_PREFIX} letters or more"
            )
            raise UserInputError(f"{run_id!r} is no run id", next_step=advice)
        with mlflow_calls(self._uri):
            return self._value(self._run_called(given))

    def with_histories(self, run: TrackedRun, metric_names: Iterable[str]) -> TrackedRun:
        """The run with the histories of those metrics that it has: one request each."""
        with mlflow_calls(self._uri):
            histories = {
                name: self._history(run.run_id, name)
                for name in metric_names
                if name in run.metrics
            }
        return replace(run, histories={**run.histories, **histories})

    def with_files(self, run: TrackedRun) -> TrackedRun:
        """The run with its summary, environment and other text files, where it has them."""
        with mlflow_calls(self._uri), tempfile.TemporaryDirectory() as folder:
            listed = {
                file.path for file in self._client.list_artifacts(run.run_id) if not file.is_dir
            }
            seeds = [path for path in listed if output_files.is_seed_summary_file(path)]
            # A trial of one seed has the same summary as a run; of several seeds there are only the
            # means, as metrics.
            summary = (
                output_files.SUMMARY_FILE
                if output_files.SUMMARY_FILE in listed
                else seeds[0]
                if len(seeds) == 1
                else None
            )
            wanted = listed & {summary, output_files.ENVIRONMENT_FILE, *_TEXT_FILES}
            texts = {
                path: (
                    Path(self._client.download_artifacts(run.run_id, path, folder)).read_text(
                        encoding="utf-8"
                    )
                )
                for path in wanted
            }
        environment = json.loads(texts.pop(output_files.ENVIRONMENT_FILE, "{}"))
        return replace(
            run,
            summary=json.loads(texts.pop(summary)) if summary else None,
            environment=environment,
            files=texts,
        )

    def with_picture(self, run: TrackedRun, name: str) -> TrackedRun:
        """The run with one of its figures, where it has it.

        Args:
            run: Which.
            name: Of the file in the folder of figures.
        """
        path = f"{output_files.FIGURES_FOLDER}/{name}"
        with mlflow_calls(self._uri), tempfile.TemporaryDirectory() as folder:
            listed = self._client.list_artifacts(run.run_id, output_files.FIGURES_FOLDER)
            if path not in {file.path for file in listed}:
                return run
            content = Path(self._client.download_artifacts(run.run_id, path, folder)).read_bytes()
        return replace(run, pictures={**run.pictures, name: content})

    def trials_of(self, sweep: TrackedRun) -> list[TrackedRun]:
        """The children of a sweep, by their numbers, without histories and files: one search."""
        trials = self._search(
            sweep.experiment_id, f"tags.`{names.PARENT_RUN_TAG}` = '{sweep.run_id}'"
        )
        return sorted(trials, key=lambda trial: int(trial.tags.get(names.TRIAL_TAG, "0")))

    def finished_on_same_data(self, run: TrackedRun) -> list[TrackedRun]:
        """Finished runs of the same experiment on the same data set, this one among them, trials of
        sweeps not: one search.
        """
        if not re.fullmatch(r"[0-9a-f]+", run.fingerprint):
            return []
        wanted = (
            f"attributes.status = 'FINISHED' and tags.`{names.DATASET_FINGERPRINT_TAG}` ="
            f" '{run.fingerprint}'"
        )
        return [
            found
            for found in self._search(run.experiment_id, wanted)
            if not found.parent_run_id and not found.is_sweep
        ]

    # --- inside -----------------------------------------------------------------------------------

    @cached_property
    def _experiments(self) -> dict[str, str]:
        """The name of every experiment that is not deleted, by id."""
        pages = _all_pages(
            lambda token: self._client.search_experiments(max_results=_PER_PAGE, page_token=token)
        )
        return {str(experiment.experiment_id): str(experiment.name) for experiment in pages}

    def _run_called(self, run_id: str) -> Run:
        is_whole = len(run_id) == _RUN_ID_LETTERS
        wanted = f"= '{run_id}'" if is_whole else f"LIKE '{run_id}%'"
        # A run that was opened while the store was away may still be called by the id that it had
        # then.
        for key in ("attributes.run_id", f"tags.`{names.SPOOL_ID_TAG}`"):
            found = self._client.search_runs(
                list(self._experiments), f"{key} {wanted}", max_results=2
            )
            if len(found) > 1:
                what = (
                    f"more than one run begins with {run_id}: {found[0].info.run_id},"
                    f" {found[1].info.run_id}"
                )
                raise UserInputError(what, shown(self._uri), "give more letters of the id")
            if found:
                return found[0]
        advice = (
            "check the id, or name the store of the run: --tracking-uri, or the variable"
            " MLFLOW_TRACKING_URI"
        )
        raise UserInputError(
            f"there is no run {run_id}, or it is deleted", shown(self._uri), advice
        )

    def _search(self, experiment_id: str, wanted: str) -> list[TrackedRun]:
        with mlflow_calls(self._uri):
            pages = _all_pages(
                lambda token: self._client.search_runs(
                    [experiment_id], wanted, max_results=_PER_PAGE, page_token=token
                )
            )
            return [self._value(run) for run in pages]

    def _history(self, run_id: str, name: str) -> History:
        return sorted(
            {
                metric.step: metric.value
                for metric in self._client.get_metric_history(run_id, name)
            }.items()
        )

    def _value(self, run: Run) -> TrackedRun:
        info = run.info
        return TrackedRun(
            run_id=info.run_id,
            name=info.run_name or info.run_id,
            experiment=self._experiments[info.experiment_id],
            experiment_id=info.experiment_id,
            status=info.status,
            started=_moment(info.start_time),
            ended=_moment(info.end_time),
            parameters=run.data.params,
            tags=run.data.tags,
            metrics=run.data.metrics,
        )


def _all_pages(page_after: Callable[[str | None], PagedList[Found]]) -> Iterator[Found]:
    token: str | None = None
    while True:
        page = page_after(token)
        yield from page
        token = page.token
        if not token:
            return


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
