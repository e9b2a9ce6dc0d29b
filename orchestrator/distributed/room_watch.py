"""The watch over the room that a cluster has for running lanes."""

from __future__ import annotations

import time
from collections.abc import Collection

import ray

from orchestrator.config.execution import RayConfig
from orchestrator.config.roles import Role
from orchestrator.distributed.lane_errors import RESUME
from orchestrator.distributed.resources import check_fits, lanes_of
from orchestrator.errors import ClusterUnavailableError, ConfigError


class RoomWatch:
    """End an elastic lane that waits for nodes which are gone for good: Ray waits for ever."""

    def __init__(self, execution: RayConfig) -> None:
        """Look at nothing yet.

        Args:
            execution: What each lane asks for, and how long it may take to start.
        """
        self._execution = execution
        self._is_needed = not execution.autoscaling and any(
            lane.min_train_workers < lane.max_train_workers for lane in lanes_of(execution).values()
        )
        self._patience_seconds = execution.start_timeout_seconds * execution.max_start_attempts
        self._too_small_since: float | None = None

    def check(self, roles: Collection[Role]) -> None:
        """Look at what is left of the cluster.

        Args:
            roles: Of the lanes that have not ended.

        Raises:
            ClusterUnavailableError: For longer than lanes may take to start it had no room for
                their fewest workers.
        """
        if not self._is_needed:
            return
        shortage = self.shortage(roles)
        if shortage is None:
            self._too_small_since = None
            return
        self._too_small_since = self._too_small_since or time.monotonic()
        if time.monotonic() - self._too_small_since > self._patience_seconds:
            raise shortage

    def shortage(self, roles: Collection[Role]) -> ClusterUnavailableError | None:
        """Return the error of a cluster that has no room for these lanes' fewest workers and cannot
        grow; None when it has room.
        """
        if self._execution.autoscaling:
            return None
        try:
            check_fits(
                self._execution, ray.cluster_resources(), "what is left of the cluster", roles
            )
        except ConfigError as error:
            return ClusterUnavailableError(error.what, error.where, f"add nodes; {RESUME}")
        return None
