"""Record data sets on a run of MLflow, which keeps each data set once per experiment."""

from collections.abc import Sequence

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.tracking import MlflowClient

from orchestrator.tracking.tracker import DatasetUse

_CONTEXT_TAG = "mlflow.data.context"


def log_datasets(client: MlflowClient, run_id: str, uses: Sequence[DatasetUse]) -> None:
    """Record data sets on a run; data sets that the run already has stay unchanged.

    Args:
        client: MLflow's client of the store.
        run_id: The store's id of the run.
        uses: Data sets and their uses, from `datasets.dataset_uses`.
    """
    inputs = [
        DatasetInput(
            Dataset(use.name, use.digest, use.source_type, use.source, use.schema, use.profile),
            [InputTag(_CONTEXT_TAG, use.context)],
        )
        for use in uses
    ]
    client.log_inputs(run_id, inputs)
