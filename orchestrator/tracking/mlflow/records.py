"""Read the experiments, runs and versions of a store through MLflow's client."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from mlflow.entities import Run
from mlflow.store.entities.paged_list import PagedList
from mlflow.tracking import MlflowClient

from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.database import database_ready
from orchestrator.tracking.mlflow.registry import version_facts
from orchestrator.tracking.mlflow.runs import connect
from orchestrator.tracking.registry import VersionFacts
from orchestrator.tracking.run_query import RunQuery
from orchestrator.tracking.tracked_run import History, TrackedRun

_PER_PAGE = 1000
# Request only a few runs at once: a busy server took more than 20 s for a thousand runs with all
# their values.
_RUNS_PER_PAGE = 100
_VERSIONS_PER_PAGE = 200
_STUDENTS = "name LIKE '%-student'"
Found = TypeVar("Found")


class MlflowRecords:
    """Implements `run_query.Records` through MLflow's client.

    Attributes:
        uri: URI of the store.
        client: MLflow's client of the store.
    """

    def __init__(self, uri: str) -> None:
        """Connect to the store.

        Args:
            uri: A supported, absolute and reachable URI of a store.
        """
        self.uri = uri
        with mlflow_calls(uri), database_ready(uri):
            self.client: MlflowClient = connect(uri)

    def experiments(self) -> Mapping[str, str]:
        """Return the names of the experiments, by id; request them only once."""
        return self._experiments

    def runs(self, query: RunQuery) -> Iterator[TrackedRun]:
        """Search for the runs that match a query."""
        return map(
            self._value,
            self._pages(
                lambda token: self.client.search_runs(
                    list(query.experiment_ids),
                    filter_text(query),
                    max_results=min(query.per_page, _RUNS_PER_PAGE),
                    order_by=["attributes.start_time DESC"],
                    page_token=token,
                )
            ),
        )

    def experiments_of(self, run_ids: AbstractSet[str]) -> dict[str, str]:
        """Search for runs, and return the names of their experiments, by run id."""
        if not run_ids:
            return {}
        ids = ", ".join(f"'{run_id}'" for run_id in sorted(run_ids))
        with mlflow_calls(self.uri):
            runs = self.client.search_runs(
                list(self._experiments), f"attributes.run_id IN ({ids})", max_results=len(run_ids)
            )
        return {run.info.run_id: self._experiments[run.info.experiment_id] for run in runs}

    def histories(self, run_id: str, metric_names: Sequence[str]) -> dict[str, History]:
        """Request the history of each metric separately."""
        with mlflow_calls(self.uri):
            return {name: self._history(run_id, name) for name in metric_names}

    def list_files(self, run_id: str, folder: str = "") -> set[str]:
        """List the files in a folder of a run's artifacts."""
        with mlflow_calls(self.uri):
            listed = self.client.list_artifacts(run_id, folder or None)
            return {file.path for file in listed if not file.is_dir}

    def read_files(self, run_id: str, paths: Iterable[str]) -> dict[str, bytes]:
        """Download artifacts of a run, one after the other."""
        with mlflow_calls(self.uri), tempfile.TemporaryDirectory() as folder:
            return {
                path: Path(self.client.download_artifacts(run_id, path, folder)).read_bytes()
                for path in paths
            }

    def student_aliases(self) -> dict[str, dict[str, str]]:
        """Search for the version number of each alias, by student model and by alias."""
        models = self._pages(
            lambda token: self.client.search_registered_models(_STUDENTS, page_token=token)
        )
        return {
            model.name: {alias: str(version) for alias, version in model.aliases.items()}
            for model in models
        }

    def version(self, model: str, version: str) -> VersionFacts:
        """Request one version of a registered model."""
        with mlflow_calls(self.uri):
            return version_facts(self.client.get_model_version(model, version))

    def students_with_tag(self, tag: str) -> Iterator[VersionFacts]:
        """Search for the student versions that have a tag with this key."""
        return map(
            version_facts,
            self._pages(
                lambda token: self.client.search_model_versions(
                    f"{_STUDENTS} and tags.`{tag}` LIKE '%'",
                    max_results=_VERSIONS_PER_PAGE,
                    order_by=["creation_timestamp DESC"],
                    page_token=token,
                )
            ),
        )

    # --- internals --------------------------------------------------------------------------------

    @cached_property
    def _experiments(self) -> dict[str, str]:
        found = self._pages(
            lambda token: self.client.search_experiments(max_results=_PER_PAGE, page_token=token)
        )
        return {str(experiment.experiment_id): str(experiment.name) for experiment in found}

    def _pages(self, page_after: Callable[[str | None], PagedList[Found]]) -> Iterator[Found]:
        token: str | None = None
        while True:
            with mlflow_calls(self.uri):
                page = page_after(token)
            yield from page
            token = page.token
            if not token:
                return

    def _history(self, run_id: str, name: str) -> History:
        points = self.client.get_metric_history(run_id, name)
        return sorted({point.step: point.value for point in points}.items())

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


def filter_text(query: RunQuery) -> str:
    """Return the conditions of a query as a filter in MLflow's search language."""
    conditions = [
        *([f"attributes.run_id = '{query.run_id}'"] if query.run_id else []),
        *([f"attributes.run_id LIKE '{query.run_id_prefix}%'"] if query.run_id_prefix else []),
        *([f"attributes.status = '{query.status}'"] if query.status else []),
        *(f"tags.`{key}` = {_quoted(value)}" for key, value in query.tags.items()),
        *(f"tags.`{key}` LIKE '{value}%'" for key, value in query.tag_prefixes.items()),
        *(f"tags.`{key}` IS NOT NULL" for key in query.has_tags),
        *(f"tags.`{key}` IS NULL" for key in query.lacks_tags),
    ]
    return " and ".join(conditions)


def _quoted(value: str) -> str:
    """Quote a value for MLflow's filters, which support two kinds of quotes but no escaping."""
    return f'"{value}"' if "'" in value else f"'{value}'"


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
