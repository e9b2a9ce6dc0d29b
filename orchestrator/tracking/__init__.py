"""Record runs: the `Tracker` protocol, its doubles, and MLflow behind an outbox.

```
opening, reading    open a run, or a reader of runs; load MLflow only when they are called
       |
    mlflow/         everything that imports MLflow: delivery, runs, models, registry, views, UI
    sql/            queries of an MLflow database without importing MLflow
       |
    outbox/         write log entries to disk at once, send them from a thread; knows no MLflow
       |
run_reader, record_lister, run_query, registry     queries of a store; mlflow/ and sql/ answer them
       |
in_memory_tracker, null_tracker, earlier_log       trackers without a store; resumed runs
tracked_run, datasets, provenance, run_process     facts about a run, as values
listed_version      a registered version, as a value
preflight           check that a store answers, before MLflow is loaded
local_server        a web server on this machine, on loopback
       |
    tracker         the protocol by which a run reports its numbers
       |
    views/          saved views of MLflow's experiment page, as values
       |
names, uris, model_facts, schemas     metrics and tags; addresses; facts of models; schemas
```

Imports point downwards: a contract in `pyproject.toml` checks that. Importing this package does not
import MLflow, which takes some seconds.
"""

from orchestrator.tracking.in_memory_tracker import InMemoryTracker
from orchestrator.tracking.null_tracker import NullTracker
from orchestrator.tracking.opening import open_run
from orchestrator.tracking.tracker import RunStatus, Tracker

__all__ = ["InMemoryTracker", "NullTracker", "RunStatus", "Tracker", "open_run"]
