"""Read runs from a tracking store, with their metrics and files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from itertools import islice

from orchestrator import output_files
from orchestrator.errors import UserInputError
from orchestrator.masking import shown
from orchestrator.tracking import names
from orchestrator.tracking.run_query import Records, RunQuery
from orchestrator.tracking.tracked_run import TrackedRun

# Largest number of runs that a report compares with one run; a store may contain ten thousand runs.
MOST_PEERS = 500
_RUN_ID_LETTERS = 32
_LEAST_PREFIX = 4
_TEXT_FILES = (
    output_files.EXPERIMENT_FILE,
    output_files.SEARCH_SPACE_FILE,
    output_files.LEDGER_FILE,
    output_files.BEST_FILE,
    output_files.SUSPICIOUS_LABELS_FILE,
    output_files.CONFUSION_FILE,
)


class RunReader:
    """Reads runs from one tracking store.

    Each method raises `TrackingUnavailableError` if the store does not answer.
    """

    def __init__(self, records: Records) -> None:
        """Create a reader without sending a request to the store.

        Args:
            records: Access to the records of the store.
        """
        self._records = records
        self._uri = records.uri

    def find(self, run_id: str) -> TrackedRun:
        """Return a run, without its histories and files.

        Args:
            run_id: Id of the run as MLflow shows it, or at least the first 4 characters of the id.

        Raises:
            UserInputError: The run does not exist or is deleted, or several runs have ids that
                begin with these characters.
        """
        given = run_id.strip().lower()
        if not re.fullmatch(rf"[0-9a-f]{{{_LEAST_PREFIX},{_RUN_ID_LETTERS}}}", given):
            advice = (
                f"give the run id that MLflow shows, or its first {_LEAST_PREFIX} characters or"
                " more"
            )
            raise UserInputError(f"{run_id!r} is not a run id", next_step=advice)
        return self._run_called(given)

    def with_histories(self, run: TrackedRun, metric_names: Iterable[str]) -> TrackedRun:
        """Return the run with the histories of given metrics; skip metrics that the run lacks."""
        wanted = [name for name in metric_names if name in run.metrics]
        histories = self._records.histories(run.run_id, wanted)
        return replace(run, histories={**run.histories, **histories})

    def with_files(self, run: TrackedRun) -> TrackedRun:
        """Return the run with its summary, environment and other text files that exist."""
        listed = self._records.list_files(run.run_id)
        seeds = [path for path in listed if output_files.is_seed_summary_file(path)]
        # A trial with one seed has the summary of that seed. A trial with several seeds has no
        # single summary, because it logs means over the seeds as metrics.
        summary = (
            output_files.SUMMARY_FILE
            if output_files.SUMMARY_FILE in listed
            else seeds[0]
            if len(seeds) == 1
            else None
        )
        wanted = listed & {summary, output_files.ENVIRONMENT_FILE, *_TEXT_FILES}
        texts = {
            path: content.decode("utf-8")
            for path, content in self._records.read_files(run.run_id, wanted).items()
        }
        environment = json.loads(texts.pop(output_files.ENVIRONMENT_FILE, "{}"))
        return replace(
            run,
            summary=json.loads(texts.pop(summary)) if summary else None,
            environment=environment,
            files=texts,
        )

    def with_picture(self, run: TrackedRun, name: str) -> TrackedRun:
        """Return the run with the content of one of its figures added to `pictures`. Return the run
        unchanged if the figure does not exist.

        Args:
            run: The run.
            name: File name of the figure in the run's folder of figures.
        """
        path = f"{output_files.FIGURES_FOLDER}/{name}"
        if path not in self._records.list_files(run.run_id, output_files.FIGURES_FOLDER):
            return run
        content = self._records.read_files(run.run_id, [path])[path]
        return replace(run, pictures={**run.pictures, name: content})

    def trials_of(self, sweep: TrackedRun) -> list[TrackedRun]:
        """Return the trials of a sweep, ordered by trial number, without their histories and
        files.
        """
        query = RunQuery([sweep.experiment_id], tags={names.PARENT_RUN_TAG: sweep.run_id})
        trials = self._records.runs(query)
        return sorted(trials, key=lambda trial: int(trial.tags.get(names.TRIAL_TAG, "0")))

    def finished_on_same_data(self, run: TrackedRun) -> list[TrackedRun]:
        """Return the finished runs that have the same experiment and data set as a run.

        The list contains the newest `MOST_PEERS` of these runs, including the run itself. It
        contains no sweeps and no trials.
        """
        if not re.fullmatch(r"[0-9a-f]+", run.fingerprint):
            return []
        query = RunQuery(
            [run.experiment_id],
            status="FINISHED",
            tags={names.DATASET_FINGERPRINT_TAG: run.fingerprint},
            lacks_tags=[names.PARENT_RUN_TAG],
            per_page=MOST_PEERS,
        )
        found = (found for found in self._records.runs(query) if not found.is_sweep)
        return list(islice(found, MOST_PEERS))

    # --- internals --------------------------------------------------------------------------------

    @cached_property
    def _experiment_ids(self) -> list[str]:
        return list(self._records.experiments())

    def _run_called(self, run_id: str) -> TrackedRun:
        for query in self._queries_for(run_id):
            found = list(islice(self._records.runs(query), 2))
            if len(found) > 1:
                what = (
                    f"more than one run begins with {run_id}: {found[0].run_id}, {found[1].run_id}"
                )
                raise UserInputError(what, shown(self._uri), "give more characters of the id")
            if found:
                return found[0]
        advice = (
            "check the id, or name the store of the run: --tracking-uri, or the variable"
            " MLFLOW_TRACKING_URI"
        )
        raise UserInputError(
            f"there is no run {run_id}, or it is deleted", shown(self._uri), advice
        )

    def _queries_for(self, run_id: str) -> list[RunQuery]:
        # A run that was opened while the store was down had a provisional id at first, which a user
        # may still give here.
        ids, tag = self._experiment_ids, names.SPOOL_ID_TAG
        if len(run_id) == _RUN_ID_LETTERS:
            return [
                RunQuery(ids, run_id=run_id, per_page=2),
                RunQuery(ids, tags={tag: run_id}, per_page=2),
            ]
        return [
            RunQuery(ids, run_id_prefix=run_id, per_page=2),
            RunQuery(ids, tag_prefixes={tag: run_id}, per_page=2),
        ]
