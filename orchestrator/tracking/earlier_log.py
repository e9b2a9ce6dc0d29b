"""Resume a run without logging twice, or contradicting, what it already holds."""

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.errors import UserInputError
from orchestrator.tracking.tracker import MetricPoint

NEW_RUN_ADVICE = "leave out the run id to start a new run"
_SHOWN_CHARACTERS = 200


class EarlierLog:
    """Remember what a run held when it was resumed, and has been given since.

    Args:
        run_id: Named in errors.
        parameters: By their keys.
        points: Name and step of every metric point.
    """

    def __init__(
        self, run_id: str, parameters: Mapping[str, str], points: Iterable[tuple[str, int]]
    ) -> None:
        self._run_id = run_id
        self._parameters = dict(parameters)
        self._points = set(points)

    def require_same(self, parameters: Mapping[str, str]) -> None:
        """Raise `UserInputError` where a parameter has another value than at the beginning."""
        for key, value in parameters.items():
            before = self._parameters.get(key, value)
            if value != before:
                what = (
                    f"parameter {key} = {value[:_SHOWN_CHARACTERS]!r} was"
                    f" {before[:_SHOWN_CHARACTERS]!r} when run {self._run_id} began"
                )
                raise UserInputError(
                    what, next_step=f"go on with the value of the beginning, or {NEW_RUN_ADVICE}"
                )

    def without_repeats(self, points: Sequence[MetricPoint]) -> list[MetricPoint]:
        """Return the points whose metric has none at that step yet; of several the first."""
        first = {(point.name, point.step): point for point in reversed(points)}
        return [point for key, point in reversed(first.items()) if key not in self._points]

    def remember(self, points: Sequence[MetricPoint]) -> None:
        """Remember points that were logged."""
        self._points.update((point.name, point.step) for point in points)


class NoEarlierLog(EarlierLog):
    """Hold nothing: a new run may log any point, also twice."""

    def __init__(self) -> None:
        super().__init__("", {}, ())

    def without_repeats(self, points: Sequence[MetricPoint]) -> list[MetricPoint]:
        """Return all of them."""
        return list(points)

    def remember(self, points: Sequence[MetricPoint]) -> None:
        """Remember nothing."""


def not_a_child(run_id: str, parent_run_id: str) -> UserInputError:
    """Return the error for resuming a run that is no child of that parent."""
    return UserInputError(
        f"run {run_id} is no child of run {parent_run_id}", next_step=NEW_RUN_ADVICE
    )
