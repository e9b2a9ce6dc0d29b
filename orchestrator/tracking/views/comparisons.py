"""Define the saved views that compare runs on MLflow's experiment page."""

import math
from collections.abc import Sequence

from orchestrator.config.distributions import ChoiceConfig, DistributionConfig
from orchestrator.config.roles import ROLES, Role
from orchestrator.config.search_space import SearchSpace
from orchestrator.tracking import names
from orchestrator.tracking.views.charts import (
    NUM_LINE_STYLES,
    bar,
    charts_state,
    line,
    lines,
    parallel,
    scatter,
    section,
)
from orchestrator.tracking.views.view import Json, View

FORGETTING_VIEW = "orchestrator-forgetting"
STUDENT_VIEW = "orchestrator-student-against-teacher"
CANDIDATES_VIEW = "orchestrator-candidates"
TRIALS_VIEW = "orchestrator-trials-forgetting"
SWEEP_VIEW = "orchestrator-sweep"

# Limit of parameters in a chart: with more parameters, MLflow truncates their names.
_MAX_AXES = 6
# Height in pixels of a chart of conditional parameters, which has few axes and few lines.
_CONDITION_HEIGHT = 260
# Draw only the first 10 runs of the page's list of runs, as the page does by default.
_NEWEST_TEN = "FIRST_10_RUNS"
_ALL_LISTED = "SHOW_ALL"
_WITH_RESULTS = f"metrics.`{names.summary_metric('teacher', 'accuracy')}` >= 0"
# The quotes matter: with the sort key `attributes.start_time` (no quotes), the page groups trials
# under the run of their sweep, and the charts omit the trials. The server accepts both forms.
_NEWEST_FIRST = "attributes.`start_time`"


def runs_first(view_id: str) -> int:
    """Return the sort key of a view: views of runs come first, then views of candidates, of trials
    and of sweeps, and then views that a person has saved.
    """
    kinds = (FORGETTING_VIEW, STUDENT_VIEW, CANDIDATES_VIEW, TRIALS_VIEW, SWEEP_VIEW)
    return next((i for i, kind in enumerate(kinds) if view_id.startswith(kind)), len(kinds))


def run_views(num_tasks: int) -> list[View]:
    """Return the views that every experiment has: one shows forgetting, and the other compares the
    student with its teacher.

    The views omit trials, whose metrics may come from validation images. They also omit candidates
    of a retraining, because a candidate learns only one task.

    Args:
        num_tasks: Number of tasks of a run. Runs with different numbers of tasks have separate
            views of forgetting.
    """
    return [_forgetting_view(num_tasks), _student_view()]


def trial_views(num_tasks: int) -> list[View]:
    """Return the saved views that show the trials of all sweeps of an experiment.

    Args:
        num_tasks: Number of tasks of a trial. Trials with different numbers of tasks have separate
            views.
    """
    return [_forgetting_view(num_tasks, of_trials=True)]


def candidates_view(retraining: str) -> View:
    """Return the view of a retraining's candidates, judged or not, the newest first.

    The page lists all candidates; the charts show only the newest ten.

    Args:
        retraining: Name of the retraining.
    """
    finals = [names.final_metric(role, "last_accuracy") for role in reversed(ROLES)]
    forgettings = [names.final_metric(role, "forgetting") for role in reversed(ROLES)]
    bars = [bar(metric) for metric in (*finals, *forgettings)]
    columns = [f"tags.`{names.STATE_TAG}`", *(f"metrics.`{name}`" for name in finals)]
    of_retraining = f"tags.`{names.RETRAINING_TAG}` = {_quoted(retraining)}"
    return View(
        CANDIDATES_VIEW,
        "Retraining candidates",
        charts_state([section("Each candidate, the newest first", bars)])
        | _list_state(of_retraining, columns),
    )


def sweep_view(sweep_id: str, search_space: SearchSpace) -> View:
    """Return the view that shows the finished trials of one sweep, the best first.

    The charts show the parameters, the objective and the forgetting of the trials. The view omits
    trials that were stopped early, because their objective covers fewer tasks.

    Args:
        sweep_id: MLflow's id of the sweep's run.
        search_space: Search space of the sweep.
    """
    objective = names.TRIAL_OBJECTIVE
    finished = f"tags.`{names.SWEEP_TAG}` = '{sweep_id}' AND attributes.status = 'FINISHED'"
    columns = [
        f"tags.`{names.TRIAL_TAG}`",
        f"metrics.`{objective}`",
        *(f"params.`{path}`" for path in _varied(search_space)),
    ]
    return View(
        id=f"{SWEEP_VIEW}-{sweep_id}",
        name=f"Sweep {search_space.name} ({sweep_id[:8]})",
        state=charts_state(_sweep_sections(search_space))
        | _list_state(finished, columns, _ALL_LISTED)
        | {"orderByKey": f"metrics.`{objective}`", "orderByAsc": search_space.mode == "min"},
    )


# --- runs -----------------------------------------------------------------------------------------


def _forgetting_view(num_tasks: int, *, of_trials: bool = False) -> View:
    sections = [
        section(
            f"{role.capitalize()} forgetting", _forgetting_charts(role, num_tasks), num_columns=3
        )
        for role in reversed(ROLES)
    ]
    columns = [
        f"metrics.`{names.final_metric('student', measure)}`" for measure in names.FINAL_MEASURES
    ]
    return View(
        id=f"{TRIALS_VIEW if of_trials else FORGETTING_VIEW}-{num_tasks}-tasks",
        name=f"{'Trials: forgetting' if of_trials else 'Forgetting'} by task ({num_tasks} tasks)",
        state=charts_state(sections, opened=["student_forgetting"])
        | _list_state(_trials_with_results() if of_trials else _runs_with_results(), columns),
    )


def _forgetting_charts(role: Role, num_tasks: int) -> list[Json]:
    tasks = _spread(max(1, num_tasks - 1))  # without the last task, which cannot be forgotten yet
    metrics = [names.task_forgetting(role, task) for task in tasks]
    title = (
        "Forgetting of each task"
        if num_tasks - 1 <= len(tasks)
        else f"Forgetting of {len(tasks)} of the {num_tasks} tasks"
    )
    # MLflow treats this chart as its chart of the backward transfer, and creates no other chart for
    # that metric. For the forgetting of each task, MLflow still creates a chart.
    each = lines(title, metrics, stands_for=names.summary_metric(role, "backward_transfer"))
    return [
        line(names.summary_metric(role, "accuracy")),
        line(names.summary_metric(role, "forgetting")),
        each,
    ]


def _spread(num_tasks: int) -> list[int]:
    """Return the tasks whose lines a chart shows: all tasks if a reader can distinguish so many
    lines, otherwise evenly spaced tasks from the first to the last.
    """
    count = min(num_tasks, NUM_LINE_STYLES)
    return [round(place * (num_tasks - 1) / max(1, count - 1)) for place in range(count)]


def _student_view() -> View:
    finals = [
        scatter(*(names.final_metric(role, measure) for role in ROLES))
        for measure in ("last_accuracy", "forgetting")
    ]
    accuracies = [names.summary_metric(role, "accuracy") for role in ROLES]
    both = lines(
        "Accuracy after each task: teacher and student", accuracies, stands_for=accuracies[0]
    )
    ratios = [line(names.training_metric("student", part)) for part in ("tssr", "tstr", "kdr")]
    columns = [f"metrics.`{names.final_metric(role, 'last_accuracy')}`" for role in ROLES]
    sections = [
        section("After the last task: student (vertical) against teacher (horizontal)", finals),
        section("During learning, by task and by epoch", [both, *ratios]),
    ]
    return View(
        STUDENT_VIEW,
        "Student against teacher",
        charts_state(sections) | _list_state(_runs_with_results(), columns),
    )


def _runs_with_results() -> str:
    """Return a filter for runs that have learned a task, except trials of sweeps and candidates of
    retrainings. Sweeps do not match either, because only their trials learn tasks.

    A trial has the tag of its parent run. A candidate has the tag of its retraining or, in earlier
    releases, the tag of its state.
    """
    others = (names.PARENT_RUN_TAG, names.RETRAINING_TAG, names.STATE_TAG)
    return " AND ".join([_WITH_RESULTS, *(f"tags.`{tag}` IS NULL" for tag in others)])


def _trials_with_results() -> str:
    return f"{_WITH_RESULTS} AND tags.`{names.PARENT_RUN_TAG}` IS NOT NULL"


def _quoted(text: str) -> str:
    """Quote a text for MLflow's filters, which support two kinds of quotes but no escaping."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def _list_state(search_filter: str, columns: Sequence[str], visible: str = _NEWEST_TEN) -> Json:
    method_and_seed = [f"tags.`{tag}`" for tag in (names.METHOD_TAG, names.SEED_TAG)]
    return {
        "searchFilter": search_filter,
        "orderByKey": _NEWEST_FIRST,
        "orderByAsc": False,
        "selectedColumns": [*method_and_seed, *columns],
        "runsHiddenMode": visible,
    }


# --- sweeps ---------------------------------------------------------------------------------------


def _sweep_sections(search_space: SearchSpace) -> list[Json]:
    """Return the sections of a sweep's view: first the parameters that all trials have, then
    accuracy against forgetting, and last the parameters that only some trials have.

    MLflow draws no line for a trial that lacks a parameter of the chart, so conditional parameters
    have separate charts. If the values of a parameter are texts, such as lists of thresholds,
    MLflow shows only 30 of the values, and omits trials with other values.
    """
    groups: dict[str, list[str]] = {}
    for path, distribution in _varied(search_space).items():
        condition = ", ".join(f"{other} = {value}" for other, value in distribution.when.items())
        groups.setdefault(condition, []).append(path)
    always = (
        [section("Parameters and objective", _parameter_charts(groups.pop("")), num_columns=1)]
        if "" in groups
        else []
    )
    conditional = [
        section(
            f"Where {condition}",
            _parameter_charts(paths),
            num_columns=1,
            card_height=_CONDITION_HEIGHT,
        )
        for condition, paths in groups.items()
    ]
    return [
        *always,
        section("Accuracy against forgetting", _trade_off_charts(), num_columns=3),
        *conditional,
    ]


def _parameter_charts(paths: Sequence[str]) -> list[Json]:
    size = math.ceil(len(paths) / math.ceil(len(paths) / _MAX_AXES))
    return [
        parallel(paths[start : start + size], [names.TRIAL_OBJECTIVE])
        for start in range(0, len(paths), size)
    ]


def _varied(search_space: SearchSpace) -> dict[str, DistributionConfig]:
    return {
        path: distribution
        for path, distribution in search_space.parameters.items()
        if not isinstance(distribution, ChoiceConfig) or len(distribution.values) > 1
    }


def _trade_off_charts() -> list[Json]:
    """Return three charts: accuracy against forgetting for the student and for the teacher, and the
    objective of the trials.
    """
    trade_offs = [
        scatter(*(names.final_metric(role, measure) for measure in ("last_accuracy", "forgetting")))
        for role in reversed(ROLES)
    ]
    return [*trade_offs, bar(names.TRIAL_OBJECTIVE)]
