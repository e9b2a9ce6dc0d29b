"""Handle several objectives of a sweep: the Pareto front, and the rule that chooses one trial of
the front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.config.objective import BEST, parse_bound


def with_first_metric(values: object) -> object:
    """Return the settings of a search space with the first of several objectives as `metric` and
    `mode`, for displays that show only one objective.

    Raises:
        ValueError: `metric` or `mode` contradicts the first objective.
    """
    metrics = values.get("metrics") if isinstance(values, Mapping) else None
    if not isinstance(values, Mapping) or not isinstance(metrics, Mapping) or not metrics:
        return values
    name, mode = next(iter(metrics.items()))
    first = {"metric": name, "mode": mode}
    doubled = [key for key, value in first.items() if values.get(key, value) != value]
    if doubled:
        msg = f"both metrics and {' and '.join(doubled)} define the objective; remove one of them"
        raise ValueError(msg)
    return {**values, **first}


def check_one_number(trial_scheduler: str, metrics: Mapping[str, str]) -> None:
    """Reject a trial scheduler for a sweep with several objectives, because a trial scheduler
    compares unfinished trials by a single number.

    Raises:
        ValueError: A trial scheduler is set.
    """
    if trial_scheduler != "none":
        msg = (
            f"trial_scheduler.kind = {trial_scheduler} compares trials by one number, but metrics"
            f" lists {len(metrics)} objectives; use trial_scheduler: none, or one metric"
        )
        raise ValueError(msg)


def check_choice(choose: Mapping[str, str], metrics: Mapping[str, str] | None) -> None:
    """Reject a rule `choose` that cannot choose one trial of the Pareto front.

    Raises:
        ValueError: There is only one objective, or the rule has an unknown metric, an invalid bound
            or no metric that ranks the trials.
    """
    if metrics is None:
        msg = (
            "choose selects a trial of a Pareto front, but there is only one metric; give several"
            " as metrics"
        )
        raise ValueError(msg)
    if BEST not in choose:
        msg = f"choose: {BEST} is missing: name the metric that decides, one of {_list(metrics)}"
        raise ValueError(msg)
    unknown = [name for name in (choose[BEST], *choose) if name not in (*metrics, BEST)]
    if unknown:
        msg = f"choose: {unknown[0]!r} is not one of the metrics; choose from {_list(metrics)}"
        raise ValueError(msg)
    for name, text in choose.items():
        if name != BEST:
            try:
                parse_bound(text)
            except ValueError as error:
                msg = f"choose: {name}: {error}"
                raise ValueError(msg) from None


def _list(metrics: Mapping[str, str]) -> str:
    return ", ".join(metrics)


def are_in_front(
    values: Sequence[Mapping[str, float]], objectives: Mapping[str, str]
) -> list[bool]:
    """Return, for each point, whether the point lies on the Pareto front. A point lies on the front
    if no other point is at least as good in every objective and better in one.

    Args:
        values: For each point, the value of each objective by name.
        objectives: Mode of each objective by name, "max" or "min".
    """
    signs = {name: 1.0 if mode == "max" else -1.0 for name, mode in objectives.items()}
    points = [tuple(sign * of[name] for name, sign in signs.items()) for of in values]
    front: list[tuple[float, ...]] = []
    # in this order, a point comes after every point that dominates it
    for point in sorted(set(points), reverse=True):
        if not any(_dominates(other, point) for other in front):
            front.append(point)
    members = set(front)
    return [point in members for point in points]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine >= theirs for mine, theirs in zip(one, other, strict=True))
