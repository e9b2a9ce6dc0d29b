"""Record runs in an MLflow store, through an outbox that keeps log entries while the store is down.

```
opening, reading    open a run for logging; open a store's runs and models; import MLflow only then
       |
    mlflow/         everything that imports MLflow: delivery, runs, models, registry, views, UI
    sql/            read an MLflow database in SQL, without importing MLflow
       |
    outbox/         write log entries to disk at once, and send them from a thread; no MLflow code
       |
run_reader, record_lister     read runs, and list runs and model versions
run_query, registry           interfaces to runs and to models, which mlflow/ and sql/ implement
       |
in_memory_tracker, null_tracker                    trackers that need no store
earlier_log                                        what a resumed run has already logged
tracked_run, datasets, provenance, run_process     facts about a run
listed_version      facts about a registered model version
preflight           check that a store answers, before MLflow is imported
local_server        run a web server on this machine
       |
    tracker         the protocol by which a run logs its values, files and models
       |
    views/          saved views of MLflow's experiment page
       |
names, uris         names of metrics and tags; addresses of stores
model_facts         facts about a trained model
schemas             database schemas of the supported MLflow versions
```

Imports point downwards, which a contract in `pyproject.toml` checks. Importing this package does
not import MLflow, because that takes several seconds.
"""

from orchestrator.tracking.in_memory_tracker import InMemoryTracker
from orchestrator.tracking.null_tracker import NullTracker
from orchestrator.tracking.opening import open_run
from orchestrator.tracking.tracker import RunStatus, Tracker

__all__ = ["InMemoryTracker", "NullTracker", "RunStatus", "Tracker", "open_run"]
