"""Keep a resumed run from logging a metric point twice, and from changing a logged parameter."""

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.errors import UserInputError
from orchestrator.tracking.tracker import MetricPoint

NEW_RUN_ADVICE = "omit the run id to start a new run"
_SHOWN_CHARACTERS = 200


class EarlierLog:
    """Parameters and metric points that a run logged before it was resumed, with the metric points
    that the run has logged since then.

    Args:
        run_id: Id of the run, for error messages.
        parameters: Logged parameters by key.
        points: Name and step of each logged metric point.
    """

    def __init__(
        self, run_id: str, parameters: Mapping[str, str], points: Iterable[tuple[str, int]]
    ) -> None:
        self._run_id = run_id
        self._parameters = dict(parameters)
        self._points = set(points)

    def require_same(self, parameters: Mapping[str, str]) -> None:
        """Raise `UserInputError` if a parameter's value differs from the value logged earlier."""
        for key, value in parameters.items():
            before = self._parameters.get(key, value)
            if value != before:
                what = (
                    f"parameter {key} = {value[:_SHOWN_CHARACTERS]!r} was"
                    f" {before[:_SHOWN_CHARACTERS]!r} when run {self._run_id} began"
                )
                raise UserInputError(
                    what, next_step=f"resume with the original value, or {NEW_RUN_ADVICE}"
                )

    def without_repeats(self, points: Sequence[MetricPoint]) -> list[MetricPoint]:
        """Return the points whose name and step are not logged yet. If several points have the
        same name and step, return only the first of these.
        """
        first = {(point.name, point.step): point for point in reversed(points)}
        return [point for key, point in reversed(first.items()) if key not in self._points]

    def remember(self, points: Sequence[MetricPoint]) -> None:
        """Record that points were logged."""
        self._points.update((point.name, point.step) for point in points)


class NoEarlierLog(EarlierLog):
    """Empty `EarlierLog`, for a new run. A new run may log any metric point, even twice."""

    def __init__(self) -> None:
        super().__init__("", {}, ())

    def without_repeats(self, points: Sequence[MetricPoint]) -> list[MetricPoint]:
        """Return all points, because a new run may log a point again."""
        return list(points)

    def remember(self, points: Sequence[MetricPoint]) -> None:
        """Do nothing, because a new run may log a point again."""


def not_a_child(run_id: str, parent_run_id: str) -> UserInputError:
    """Return the error for a run that is resumed as the child of a run other than its parent."""
    return UserInputError(
        f"run {run_id} is not a child of run {parent_run_id}", next_step=NEW_RUN_ADVICE
    )
