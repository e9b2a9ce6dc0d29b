"""Run one lane from the driver. A lane is a Ray Train run that learns the stages of one role; a
thread of the driver waits for this run.
"""

from __future__ import annotations

import threading
from typing import Any

from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from orchestrator.config.execution import LaneConfig
from orchestrator.config.roles import Role
from orchestrator.distributed.lane_errors import as_own_error
from orchestrator.errors import UserInputError


class LaneRun:
    """Run one lane: the Ray Train run that learns the stages of one role. Keep the result, or the
    error, of the run.
    """

    def __init__(self, role: Role, trainer: DataParallelTrainer, config: LaneConfig) -> None:
        """Prepare the lane without starting it.

        Args:
            role: Role of the stages.
            trainer: Starts and watches the workers.
            config: The lane's configuration, for error messages.
        """
        self.role = role
        self._trainer = trainer
        self._config = config
        self._error: BaseException | None = None
        self._return_value: Any = None
        # The thread is a daemon, so that an interrupted driver does not wait for it.
        self._thread = threading.Thread(target=self._fit, name=f"{role} lane", daemon=True)

    @property
    def has_begun(self) -> bool:
        """Return whether the lane was started."""
        return self._thread.ident is not None

    @property
    def has_ended(self) -> bool:
        """Return whether the lane was started and has ended, successfully or not."""
        return self.has_begun and not self._thread.is_alive()

    def start(self) -> None:
        """Start the workers, without waiting for them."""
        self._thread.start()

    def raise_error(self) -> None:
        """Raise the error that ended the lane; do nothing if no error ended it.

        Raises:
            OrchestratorError: The lane failed.
        """
        if self._return_value is not None:
            raise UserInputError(**self._return_value)
        if self._error is not None:
            raise as_own_error(self._error, f"{self.role} lane", self._config) from self._error

    def _fit(self) -> None:
        try:
            self._return_value = self._trainer.fit().return_value
        except BaseException as error:  # noqa: BLE001 - the main thread raises the error again
            self._error = error
