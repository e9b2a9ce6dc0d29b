"""Record in MLflow which data sets a run uses."""

from collections.abc import Sequence

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.tracking import MlflowClient

from orchestrator.tracking.tracker import DatasetUse

_CONTEXT_TAG = "mlflow.data.context"


def log_datasets(client: MlflowClient, run_id: str, uses: Sequence[DatasetUse]) -> None:
    """Record which data sets a run uses, without changing data sets that are already recorded.

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
