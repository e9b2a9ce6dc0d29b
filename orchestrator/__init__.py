"""Continual learning of image classifiers: a continually taught teacher, its distilled student,
tracked in MLflow.

```python
from orchestrator import load_experiment, run

result = run(load_experiment("experiments/digits.yaml", ["seed=1"]))
print(result.summary["student"]["last_accuracy"])
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.config import load_experiment
    from orchestrator.pipelines.run.run import RunResult, run

__all__ = ["RunResult", "load_experiment", "run"]

_HOMES = {
    "load_experiment": "orchestrator.config",
    "run": "orchestrator.pipelines.run.run",
    "RunResult": "orchestrator.pipelines.run.run",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has that name
    # loaded when first used: `orchestrator --help` needs no torch
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
