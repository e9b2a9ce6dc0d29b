"""Continual learning of image classifiers: a teacher learns new classes task by task, and a student
is distilled from the teacher. By default, every run is tracked in MLflow.

```python
from orchestrator import load_experiment, run

result = run(load_experiment("experiments/digits.yaml", ["seed=1"]))
print(result.summary["student"]["last_accuracy"])
```

The functions `run`, `sweep` and `retrain` do what the commands of the same names do. Each function
returns a value with the content of the file summary.json that the command writes.
`load_experiment`, `load_search_space` and `load_retraining` load the YAML files that configure the
three functions.

A `Tracker` receives the values and files that a run logs. A `RunListener` receives the events of a
run, a `SweepListener` the events of a sweep. `sweep_listener` returns a listener that shows the
progress of a sweep in a terminal or a notebook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "Experiment",
    "RetrainingOutcome",
    "RunListener",
    "RunResult",
    "SweepListener",
    "SweepResult",
    "Tracker",
    "load_experiment",
    "load_retraining",
    "load_search_space",
    "retrain",
    "run",
    "sweep",
    "sweep_listener",
]

if TYPE_CHECKING:
    from orchestrator.config import (
        Experiment,
        load_experiment,
        load_retraining,
        load_search_space,
    )
    from orchestrator.pipelines.retraining.outcome import RetrainingOutcome
    from orchestrator.pipelines.retraining.retrain import retrain
    from orchestrator.pipelines.run.listener import RunListener
    from orchestrator.pipelines.run.run import RunResult, run
    from orchestrator.pipelines.sweep.listener import SweepListener
    from orchestrator.pipelines.sweep.result import SweepResult
    from orchestrator.pipelines.sweep.sweep import sweep
    from orchestrator.terminal.listeners import sweep_listener
    from orchestrator.tracking import Tracker
else:
    from orchestrator.lazy_names import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "orchestrator.config": (
                "Experiment",
                "load_experiment",
                "load_retraining",
                "load_search_space",
            ),
            "orchestrator.pipelines.retraining.outcome": ("RetrainingOutcome",),
            "orchestrator.pipelines.retraining.retrain": ("retrain",),
            "orchestrator.pipelines.run.listener": ("RunListener",),
            "orchestrator.pipelines.run.run": ("RunResult", "run"),
            "orchestrator.pipelines.sweep.listener": ("SweepListener",),
            "orchestrator.pipelines.sweep.result": ("SweepResult",),
            "orchestrator.pipelines.sweep.sweep": ("sweep",),
            "orchestrator.terminal.listeners": ("sweep_listener",),
            "orchestrator.tracking": ("Tracker",),
        },
    )
