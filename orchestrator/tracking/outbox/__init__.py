"""Write log entries to disk at once, and send them to the store from a thread, in order.

```
entries     what a run logs, as values that can wait on disk
delivery    the protocol for sending entries to a store
outbox      takes entries, keeps them in the spool, and sends them from a thread
            (waiting: entries that the store lacks; pace: when to retry)
spool       the folder of one session      (journal: its entries; lenient_spool: on a full disk)
left_behind delivers the spools of processes that are gone
```

This package does not use MLflow: `orchestrator.tracking.mlflow.delivery` implements the protocol.
"""
