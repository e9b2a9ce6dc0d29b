"""Write log entries to disk at once, and send them to the tracking store from a thread, in order.

In a session, one process logs to one run and to the run's children.

```
entries         log entries: values, files and models that a run logs
delivery        the protocol for sending log entries to a store
outbox          write log entries to the spool, and send them from a thread
waiting         queue the log entries that the store lacks
pace            decide when to retry a store that does not answer
spool           the folder in which one session keeps its log entries
journal         the spool's file of log entries
lenient_spool   write to the spool; if a write fails, warn once and continue
left_behind     send the log entries in the spools of ended processes
```

This package does not use MLflow: `orchestrator.tracking.mlflow.delivery` implements the protocol
`delivery.Delivery`.
"""
