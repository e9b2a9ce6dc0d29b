"""Contain all code that imports MLflow.

```
starting            start or resume a run
session             the outbox (queue of log entries) that a run shares with its children
tracker             log to a run, through the outbox
delivery            send the outbox's entries to MLflow
abandoned_runs      close runs whose process is gone
runs                find, create and reopen the runs and experiments of a store
database            prepare the schema of a store's database
calls               convert MLflow's errors to errors of this project
monitoring_run      log a retraining's checks of unlabelled images, in a separate run
datasets            log which data sets a run uses
saved_views         save views of MLflow's experiment page
system_metrics      sample the load of the machine during a run
packaging           write a trained model as a folder
model_delivery      send this folder to MLflow
model_reader        find and download models
registry            versions of registered models, and the aliases of versions
run_registration    register the models of a finished run
records             read runs and versions, for reports and lists
ui_server           MLflow's own web pages, from a server on this machine
```
"""
