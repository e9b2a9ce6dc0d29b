"""Keep log entries until the store has them: on disk at once, sent by a thread, in order.

```
entries     what a run logs, as values that can wait on disk
delivery    the protocol for sending entries to a store
outbox      takes entries, keeps them in the spool, and sends them from a thread
            (waiting: entries that the store lacks; pace: when to retry)
spool       the folder of one session      (journal: its entries; lenient_spool: on a full disk)
left_behind delivers the spools of processes that are gone
```

Nothing here knows MLflow: `orchestrator.tracking.mlflow.delivery` implements the protocol.
"""
