"""Register the teacher and the student of a run when a person requests it.

By default, a run only logs its models (setting `tracking.models`). A retraining registers the
models that it trains ("candidates") automatically, so this module is for other runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.config.roles import ROLES, Role
from orchestrator.errors import UserInputError
from orchestrator.pipelines.export.sources import Source, find_source, package_from_stages
from orchestrator.private_folder import scratch_folder
from orchestrator.retraining.version_states import CHALLENGER, CHAMPION, PREVIOUS
from orchestrator.tracking.reading import open_registrar

if TYPE_CHECKING:
    from orchestrator.tracking.mlflow.run_registration import NewVersion, RunRegistrar

_NAME = re.compile(r"\w[\w.\- ]{0,199}")
_ALIAS = re.compile(r"(?!latest$|v\d+$)[\w\-]{1,255}", re.IGNORECASE)
_OF_RETRAINING = (CHAMPION, PREVIOUS, CHALLENGER)


@dataclass(frozen=True)
class Registration:
    """Registered model versions of a run.

    Attributes:
        run_id: The id of the run.
        versions: The versions, by role.
        aliases: The aliases that both versions received.
    """

    run_id: str
    versions: dict[Role, NewVersion]
    aliases: Sequence[str]


def check_names(name: str | None, aliases: Sequence[str]) -> None:
    """Reject a name or an alias that MLflow does not accept.

    Raises:
        UserInputError: The name or an alias is empty, too long, or has invalid characters.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise UserInputError(
            f"{name!r} is not a valid model name",
            "--name",
            "use letters, digits, dots, hyphens, underscores and spaces, at most 200",
        )
    for alias in aliases:
        if not _ALIAS.fullmatch(alias):
            raise UserInputError(
                f"{alias!r} is not a valid alias",
                "--alias",
                "use letters, digits, hyphens and underscores; `latest` and v1, v2, … are MLflow's",
            )


def register(
    run_id: str, name: str | None, aliases: Sequence[str], tracking_uri: str
) -> Registration:
    """Register the teacher and the student of a run as versions of NAME-teacher and NAME-student.

    Args:
        run_id: The run's id or its first characters.
        name: The NAME of both models; None means the experiment's name.
        aliases: The aliases to give to both versions.
        tracking_uri: The tracking store.

    Raises:
        UserInputError: The run has not finished, its models are missing, or an alias is reserved
            for a retraining.
        TransientError: The stage store or the tracking store does not answer.
    """
    check_names(name, aliases)
    registrar = open_registrar(tracking_uri)
    source = find_source(registrar, run_id, None)
    run = source.run
    if run.summary is None or run.status != "FINISHED":
        reason = f": {run.reason}" if run.reason else ""
        raise UserInputError(
            f"run {run.run_id} has not learned its models: it is {run.status}{reason}",
            next_step="name a finished run; `orchestrator list runs --state finished` shows them",
        )
    name = name or str(run.summary["experiment"])
    _refuse_aliases_of_retraining(registrar, name, aliases)
    _send_missing(registrar, source)
    versions = {
        role: registrar.register(run.run_id, role, f"{name}-{role}", run.summary) for role in ROLES
    }
    for alias in aliases:
        for version in versions.values():
            registrar.give_alias(version, alias)
    return Registration(run.run_id, versions, aliases)


def _refuse_aliases_of_retraining(
    registrar: RunRegistrar, name: str, aliases: Sequence[str]
) -> None:
    """Reject aliases that a retraining uses for its own versions: the retraining could not continue
    training from this run's models.
    """
    reserved = [alias for alias in aliases if alias in _OF_RETRAINING]
    if reserved and registrar.is_retrained(f"{name}-student"):
        raise UserInputError(
            f"the alias {reserved[0]!r} of {name}-student belongs to its retraining, which cannot"
            " continue from this run",
            "--alias",
            "give another alias or --name; `orchestrator approve` makes a candidate the champion",
        )


def _send_missing(registrar: RunRegistrar, source: Source) -> None:
    """Log in MLflow the models that the run itself did not log; package these models from the stage
    store.
    """
    missing = [role for role in ROLES if role not in source.locations]
    if not missing:
        return
    with scratch_folder("register") as folder:
        for role in missing:
            package = package_from_stages(source.run, role, folder)
            registrar.send(source.run.run_id, role, package)
