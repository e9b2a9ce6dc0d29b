"""A reader of runs requests a bounded number of them."""

from collections.abc import Iterator
from itertools import count

from orchestrator.tracking import names
from orchestrator.tracking.run_query import RunQuery
from orchestrator.tracking.run_reader import MOST_PEERS, RunReader
from orchestrator.tracking.tracked_run import TrackedRun


class EndlessRecords:
    """Records of a store with an endless number of runs."""

    uri = "sqlite:///endless.db"

    def runs(self, _query: RunQuery) -> Iterator[TrackedRun]:
        tags = {names.DATASET_FINGERPRINT_TAG: "ab"}
        for number in count():
            yield TrackedRun(f"{number:032x}", "", "many", "1", "FINISHED", None, None, tags=tags)


def test_a_report_reads_a_bounded_number_of_runs_for_comparison() -> None:
    run = TrackedRun(
        "f" * 32,
        "",
        "many",
        "1",
        "FINISHED",
        None,
        None,
        tags={names.DATASET_FINGERPRINT_TAG: "ab"},
    )
    found = RunReader(EndlessRecords()).finished_on_same_data(run)  # type: ignore[arg-type] # it asks for runs alone
    assert [int(peer.run_id, 16) for peer in found] == list(range(MOST_PEERS))
