"""Keep what is logged until the store has it: on disk at once, sent by a thread, in order.

```
entries     what a run tells a store, as values that can wait on disk
delivery    the protocol of what sends entries to a store
outbox      takes entries, keeps them in the spool, and sends them from a thread
            (waiting: those the store lacks; pace: when it is asked again)
spool       the folder of one session      (journal: its entries; lenient_spool: on a full disk)
left_behind delivers the spools of processes that are gone
```

Nothing here knows MLflow: `orchestrator.tracking.mlflow.delivery` implements the protocol.
"""
