"""Compute trials in a Ray actor, in the form that Ray Tune requires.

Every process that has a handle of this actor imports this module. An example is the process of the
actor that lets only one trial compute a stage. So this module imports torch only in functions that
compute trials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray import tune

from orchestrator.config.search_space import SearchSpace
from orchestrator.errors import OrchestratorError, TransientError
from orchestrator.tuning.trial_schedulers import OBJECTIVE
from orchestrator.tuning.trial_source import TrialPlan

if TYPE_CHECKING:
    from orchestrator.config.execution import RayConfig
    from orchestrator.tuning.share import TrialShare
    from orchestrator.tuning.trial import Trial

TASKS_LEARNED = "tasks_learned"


class TrialActor(tune.Trainable):  # type: ignore[misc] # Ray is not typed here
    """Compute one trial after another. In each step of Tune, the trial learns one task."""

    def setup(self, config: dict[str, Any], settings: dict[str, Any]) -> None:
        """Prepare the actor; Tune calls it once.

        Args:
            config: Tune's configuration of the first trial.
            settings: Settings shared by all trials.
        """
        from orchestrator.stages import Preparation  # noqa: PLC0415 - loads torch
        from orchestrator.tuning.objective import Objective  # noqa: PLC0415 - as above

        self._objective = Objective.of(SearchSpace.model_validate(settings["search_space"]))
        self._share: TrialShare = settings["share"]
        self._cluster: RayConfig = settings["cluster"]
        self._claims: str = settings["claims"]
        self._secrets: dict[str, str] = settings["secrets"]
        self._preparation = Preparation()
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this actor."""
        self._trial: Trial | None = None
        self._plan = TrialPlan.from_tune_config(new_config, self._secrets)
        self._tasks_reported = 0
        self._is_reported_already = False
        return True

    def step(self) -> dict[str, Any]:
        """Learn the next task. A trial that is a variation of another trial first learns all tasks
        that the other trial had learned.

        Raises:
            TransientError: A service failed; Tune restarts the trial a few times.
        """
        try:
            self._trial = self._trial or self._begin()
            reports = [self._trial.learn_next_task()]
            while reports[-1].tasks_learned <= self._tasks_reported:
                reports.append(self._trial.learn_next_task())
        except TransientError:
            raise
        except Exception as error:  # noqa: BLE001 - a retry would fail the same way
            return {
                "failure": _as_own_error(error, self._plan.number),
                OBJECTIVE: float("nan"),
                "done": True,
            }
        if self._is_reported_already:
            del reports[:-1]
        report = reports[0].followed_by(reports[1:])
        self._tasks_reported, self._is_reported_already = report.tasks_learned, True
        return {
            OBJECTIVE: report.objective,
            TASKS_LEARNED: report.tasks_learned,
            "report": report.as_json(),
            "is_last": report.is_last,
            "done": report.is_last,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, int]:
        """Return the checkpoint: the number of learned tasks, and the number of the trial. Nothing
        is written to the folder, because the stage store has the trial's stages.
        """
        return {TASKS_LEARNED: self._tasks_reported, "number": self._plan.number}

    def load_checkpoint(self, checkpoint: dict[str, int] | None) -> None:
        """Continue from a checkpoint. After a pause, a trial gets its own checkpoint; a variation
        of a better trial gets the checkpoint of the better trial.
        """
        checkpoint = checkpoint or {}
        self._tasks_reported = checkpoint.get(TASKS_LEARNED, 0)
        self._is_reported_already = checkpoint.get("number") == self._plan.number

    def _begin(self) -> Trial:
        from orchestrator.distributed.claims import ClusterClaims  # noqa: PLC0415 - loads torch
        from orchestrator.tuning.trial import TrialInLanes, TrialInProcess  # noqa: PLC0415

        objective = self._objective.knowing(self._plan.known)
        if self._share.in_lanes:
            return TrialInLanes(
                self._plan.experiments,
                objective,
                self._cluster,
                self._claims,
                self._preparation,
            )
        return TrialInProcess(
            self._plan.experiments,
            objective,
            self._share,
            ClusterClaims(self._claims),
            self._preparation,
        )


def _as_own_error(error: Exception, number: int) -> OrchestratorError:
    if isinstance(error, OrchestratorError):
        return error
    return OrchestratorError(
        f"{type(error).__name__}: {error}", f"trial {number}", "this is a bug; please report it"
    )
