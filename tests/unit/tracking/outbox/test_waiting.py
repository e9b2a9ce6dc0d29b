from pathlib import Path

from orchestrator.tracking.outbox.entries import Entry, File, Tags
from orchestrator.tracking.outbox.waiting import (
    Waiting,
    WaitingEntries,
    first_that_can_come_last,
)


def tags(name: str) -> Tags:
    return Tags(run="a run", values={"name": name})


def file(name: str) -> File:
    return File(run="a run", path=Path(name), artifact_folder="")


def waiting(*entries: Entry) -> WaitingEntries:
    return WaitingEntries((entry, end) for end, entry in enumerate(entries, 1))


def entries(window: list[Waiting]) -> list[Entry]:
    return [one.entry for one in window]


def test_entries_leave_in_order_of_arrival() -> None:
    queue = waiting(tags("a"), tags("b"))
    queue.append(Waiting(tags("c"), None))
    window = queue.first_in_order(2)
    assert entries(window) == [tags("a"), tags("b")]
    queue.remove(window)
    assert (entries(queue.first_in_order(2)), queue.count()) == ([tags("c")], 1)


def test_deferred_entries_come_after_all_others() -> None:
    queue = waiting(tags("a"), file("1"), tags("b"))
    queue.put_aside(queue.first_in_order(3), 1)
    assert entries(queue.first_in_order(3)) == [tags("a"), tags("b")]
    assert (entries(queue.all()), queue.aside) == ([tags("a"), tags("b"), file("1")], [file("1")])
    assert (queue.count(), queue.count(in_order_only=True)) == (3, 2)


def test_a_deferred_entry_that_fails_again_lets_the_next_one_try() -> None:
    queue = waiting(file("1"), file("2"))
    for _ in range(2):
        queue.put_aside(queue.first_in_order(2), 0)
    assert entries(queue.first_aside()) == [file("1")]
    queue.put_aside(queue.first_aside(), 0)
    assert entries(queue.first_aside()) == [file("2")]
    queue.remove(queue.first_aside())
    assert queue.aside == [file("1")]


def test_only_files_models_data_sets_and_views_can_be_deferred() -> None:
    queue = waiting(tags("a"), file("1"), tags("b"), file("2"))
    assert first_that_can_come_last(queue.first_in_order(4)) == 1
    assert first_that_can_come_last(queue.first_in_order(1)) is None
