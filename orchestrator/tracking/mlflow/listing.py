"""Runs, sweeps and versions of a store, the newest first: read as far as somebody wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion

from orchestrator.errors import UserInputError
from orchestrator.masking import shown
from orchestrator.tracking import names
from orchestrator.tracking.listed_version import ListedVersion
from orchestrator.tracking.mlflow.calls import mlflow_calls
from orchestrator.tracking.mlflow.reader import MlflowReader
from orchestrator.tracking.names import STATE_TAG
from orchestrator.tracking.registry import (
    DECIDED_BY_TAG,
    REASON_TAG,
    TEACHER_TAG,
)
from orchestrator.tracking.tracked_run import TrackedRun

_PER_PAGE = 200
_STUDENTS = "name LIKE '%-student'"


class RecordLister(MlflowReader):
    """Finds runs as `MlflowReader` does, and lists what a store holds."""

    def require_experiment(self, name: str) -> None:
        """Raise `UserInputError` if the store has no experiment of that name."""
        with mlflow_calls(self._uri):
            known = sorted(self._experiments.values())
        if name not in known:
            raise UserInputError(
                f"there is no experiment {name!r} (there are {', '.join(map(repr, known))})",
                shown(self._uri),
                "correct --experiment, or name another store: --tracking-uri",
            )

    def runs(
        self, experiment: str | None, status: str | None, tags: Mapping[str, str]
    ) -> Iterator[TrackedRun]:
        """Yield runs and sweeps, the newest first, without files and histories; no trials.

        Args:
            experiment: The name of the only experiment to look at; None means all.
            status: The only status, in MLflow's words; None means every one.
            tags: That the runs must have.
        """
        wanted = [f"tags.`{names.PARENT_RUN_TAG}` IS NULL"]
        wanted += [f"attributes.status = '{status}'"] if status else []
        wanted += [f"tags.`{key}` = {_quoted(value)}" for key, value in tags.items()]
        token: str | None = None
        while True:
            with mlflow_calls(self._uri):
                page = self._client.search_runs(
                    [i for i, name in self._experiments.items() if experiment in (None, name)],
                    " and ".join(wanted),
                    max_results=_PER_PAGE,
                    order_by=["attributes.start_time DESC"],
                    page_token=token,
                )
                found = [self._value(run) for run in page]
            yield from found
            token = page.token
            if not token:
                return

    def students_with(self, alias: str) -> list[ListedVersion]:
        """Return the student versions that have an alias, the newest first."""
        with mlflow_calls(self._uri):
            found = [
                self._client.get_model_version_by_alias(model, alias)
                for model, aliases in self._aliases().items()
                if alias in aliases
            ]
        return self._listed(sorted(found, key=_created_ms, reverse=True))

    def retrained_students(self) -> Iterator[ListedVersion]:
        """Yield the student versions that retrainings have registered, the newest first."""
        token: str | None = None
        while True:
            with mlflow_calls(self._uri):
                page = self._client.search_model_versions(
                    f"{_STUDENTS} and tags.`{TEACHER_TAG}` LIKE '%'",
                    max_results=_PER_PAGE,
                    order_by=["creation_timestamp DESC"],
                    page_token=token,
                )
            yield from self._listed(page)
            token = page.token
            if not token:
                return

    # --- inside -----------------------------------------------------------------------------------

    def _aliases(self) -> dict[str, dict[str, str]]:
        """Return the aliases of every student's model, and the versions that have them."""
        found, token = {}, None
        while True:
            page = self._client.search_registered_models(_STUDENTS, page_token=token)
            found.update({model.name: dict(model.aliases) for model in page})
            token = page.token
            if not token:
                return found

    def _listed(self, versions: Sequence[ModelVersion]) -> list[ListedVersion]:
        with mlflow_calls(self._uri):
            experiments = self._experiments_of([one.run_id for one in versions if one.run_id])
            aliases = self._aliases() if versions else {}
        return [
            _value(one, aliases.get(one.name, {}), experiments.get(one.run_id or "", ""))
            for one in versions
        ]

    def _experiments_of(self, run_ids: Sequence[str]) -> dict[str, str]:
        if not run_ids:
            return {}
        ids = ", ".join(f"'{run_id}'" for run_id in sorted(set(run_ids)))
        runs = self._client.search_runs(
            list(self._experiments), f"attributes.run_id IN ({ids})", max_results=len(run_ids)
        )
        return {run.info.run_id: self._experiments[run.info.experiment_id] for run in runs}


def _value(version: ModelVersion, aliases: Mapping[str, str], experiment: str) -> ListedVersion:
    number, tags = str(version.version), dict(version.tags or {})
    return ListedVersion(
        model=version.name,
        version=number,
        aliases=sorted(alias for alias, holder in aliases.items() if str(holder) == number),
        state=tags.get(STATE_TAG, ""),
        reason=tags.get(REASON_TAG, ""),
        decided_by=tags.get(DECIDED_BY_TAG, ""),
        run_id=version.run_id or "",
        experiment=experiment,
        created=datetime.fromtimestamp(_created_ms(version) / 1000, UTC),
        tags=tags,
    )


def _created_ms(version: ModelVersion) -> int:
    return int(version.creation_timestamp or 0)


def _quoted(value: str) -> str:
    """Return a value as MLflow's filters read it: they know two quotes, and no way to escape."""
    return f'"{value}"' if "'" in value else f"'{value}'"
