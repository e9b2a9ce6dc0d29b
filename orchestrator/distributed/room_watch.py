"""Watch whether a cluster still has enough resources for the running lanes. A lane is the group of
workers for one role.
"""

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
    """Detect that a lane, the group of workers for one role, waits for nodes that the cluster has
    lost. Ray itself would wait forever.

    Only a lane with a variable number of workers waits for lost nodes.
    """

    def __init__(self, execution: RayConfig) -> None:
        """Keep the settings without checking the cluster.

        Args:
            execution: Configuration of the lanes (the workers of each role), with the time limit
                for the start of the workers.
        """
        self._execution = execution
        self._is_needed = not execution.autoscaling and any(
            lane.min_train_workers < lane.max_train_workers for lane in lanes_of(execution).values()
        )
        self._patience_seconds = execution.start_timeout_seconds * execution.max_start_attempts
        self._too_small_since: float | None = None

    def check(self, roles: Collection[Role]) -> None:
        """Check that the cluster still has the resources that the lanes need.

        Args:
            roles: Roles of the lanes that have not ended.

        Raises:
            ClusterUnavailableError: For longer than a lane may take to start, the cluster has been
                too small for the lanes, even with their smallest number of workers.
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
        """Return the error for a cluster that is too small for the lanes, even with their smallest
        number of workers. Return None if the lanes fit, or if the cluster can grow.
        """
        if self._execution.autoscaling:
            return None
        try:
            check_fits(
                self._execution, ray.cluster_resources(), "what remains of the cluster", roles
            )
        except ConfigError as error:
            return ClusterUnavailableError(error.what, error.where, f"add nodes; {RESUME}")
        return None
