"""Going on with a run: what it holds already is not logged twice, and not contradicted."""

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.errors import UserInputError
from orchestrator.tracking.tracker import MetricPoint

NEW_RUN_ADVICE = "leave out the run id to start a new run"
_SHOWN_CHARACTERS = 200


class EarlierLog:
    """What a run held when it was gone on with, and has been given since.

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
        """Those whose metric has no point at that step yet; of several for the same step the
        first.
        """
        first = {(point.name, point.step): point for point in reversed(points)}
        return [point for key, point in reversed(first.items()) if key not in self._points]

    def remember(self, points: Sequence[MetricPoint]) -> None:
        """Take note of points that were logged."""
        self._points.update((point.name, point.step) for point in points)


class NoEarlierLog(EarlierLog):
    """That of a new run: nothing came before, and its points are its own business."""

    def __init__(self) -> None:
        super().__init__("", {}, ())

    def without_repeats(self, points: Sequence[MetricPoint]) -> list[MetricPoint]:
        """All of them."""
        return list(points)

    def remember(self, points: Sequence[MetricPoint]) -> None:
        """Take no note."""


def not_a_child(run_id: str, parent_run_id: str) -> UserInputError:
    """The error for going on with a run that lies below another one, below none, or nowhere."""
    return UserInputError(
        f"run {run_id} is no child of run {parent_run_id}", next_step=NEW_RUN_ADVICE
    )
