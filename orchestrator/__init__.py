"""Continual learning of image classifiers: a continually taught teacher and its distilled student,
tracked in MLflow.

```python
from orchestrator import load_experiment, run

result = run(load_experiment("experiments/digits.yaml", ["seed=1"]))
print(result.summary["student"]["last_accuracy"])
```

`run`, `sweep` and `retrain` do the same as the commands of these names; each returns a value with
the content of its summary.json. `load_experiment`, `load_search_space` and `load_retraining` load
their inputs. A `Tracker` receives the numbers of a run, a `RunListener` or `SweepListener` its
events; `sweep_listener` returns a listener that shows the progress of a sweep in a terminal or a
notebook.
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
    # Hidden from type checkers, for which any name would exist.
    _MODULES = {
        "Experiment": "orchestrator.config",
        "RetrainingOutcome": "orchestrator.pipelines.retraining.outcome",
        "RunListener": "orchestrator.pipelines.run.listener",
        "RunResult": "orchestrator.pipelines.run.run",
        "SweepListener": "orchestrator.pipelines.sweep.listener",
        "SweepResult": "orchestrator.pipelines.sweep.result",
        "Tracker": "orchestrator.tracking",
        "load_experiment": "orchestrator.config",
        "load_retraining": "orchestrator.config",
        "load_search_space": "orchestrator.config",
        "retrain": "orchestrator.pipelines.retraining.retrain",
        "run": "orchestrator.pipelines.run.run",
        "sweep": "orchestrator.pipelines.sweep.sweep",
        "sweep_listener": "orchestrator.terminal.listeners",
    }

    def __getattr__(name: str) -> object:
        # imported on first use, because `orchestrator --help` needs no torch
        if name not in _MODULES:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from importlib import import_module

        return getattr(import_module(_MODULES[name]), name)

    def __dir__() -> list[str]:
        return [*globals(), *__all__]
