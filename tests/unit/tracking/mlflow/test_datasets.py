"""Data sets are stored in MLflow once per experiment, whichever run logs them first."""

from mlflow.entities import Run

from orchestrator.tracking.mlflow.datasets import log_datasets
from orchestrator.tracking.mlflow.runs import Store, create_run
from orchestrator.tracking.tracker import DatasetUse


def halves(name: str, num_images: int) -> list[DatasetUse]:
    profile = f'{{"num_images": {num_images}}}'
    return [
        DatasetUse(f"{name}-{half}", f"digest of {name}", "local", "{}", "{}", profile, context)
        for half, context in (("train", "training"), ("test", "testing"))
    ]


def contexts(run: Run) -> dict[str, str]:
    assert run.inputs is not None
    return {
        one.dataset.name: next(tag.value for tag in one.tags if tag.key == "mlflow.data.context")
        for one in run.inputs.dataset_inputs
    }


def test_a_data_set_logged_twice_is_stored_once_and_other_content_separately(
    store: Store,
) -> None:
    first, second = (create_run(store.client, store.experiment_id, {}) for _ in range(2))
    digits = halves("digits", 1797)
    for run_id in (first, first, second):
        log_datasets(store.client, run_id, digits)
    log_datasets(store.client, second, halves("pets", 5))
    runs = [store.client.get_run(run_id) for run_id in (first, second)]
    assert [contexts(run) for run in runs] == [
        {"digits-train": "training", "digits-test": "testing"},
        {
            "digits-train": "training",
            "digits-test": "testing",
            "pets-train": "training",
            "pets-test": "testing",
        },
    ]
    assert runs[0].inputs is not None
    assert {one.dataset.profile for one in runs[0].inputs.dataset_inputs} == {
        use.profile for use in digits
    }
