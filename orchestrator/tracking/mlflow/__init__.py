"""Everything that imports MLflow.

```
starting       start or resume a run           (session: the outbox of a run and its children)
tracker        write to a run                  (delivery: implements the protocol of the outbox)
abandoned_runs close runs whose process is gone
runs           runs and experiments of a store (database: its schema; calls: error handling)
monitoring_run the run with a retraining's monitoring
datasets, saved_views, system_metrics          logged values besides numbers
packaging, model_delivery, model_reader        models: write as folders, send to MLflow, download
registry       versions of models, and their aliases     (run_registration: register a run's model)
records        runs and versions as values, for reports and lists
ui_server      MLflow's own pages on this machine
```
"""
