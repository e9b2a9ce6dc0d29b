import csv
import io

from orchestrator.figures.trials import TrialRow
from orchestrator.reporting.leaderboard import leaderboard_csv
from tests.unit.figures.sweeps import KIND, PROGRESS, RATE, TRIALS


def test_the_leaderboard_is_best_first_and_keeps_every_value() -> None:
    trials = [
        *TRIALS,
        TrialRow(
            9, "finished", 0.9, {"note": 'a "b",\nc', "ratios": [[1, 2]], "on": True, "limit": None}
        ),
    ]
    table = leaderboard_csv(trials, "max")
    header, *rows = csv.reader(io.StringIO(table, newline=""))
    assert header == [
        "rank",
        "trial",
        "value",
        "status",
        RATE,
        KIND,
        "seed",
        PROGRESS,
        "note",
        "ratios",
        "on",
        "limit",
    ]
    assert [row[:4] for row in rows] == [
        ["1", "5", "0.9", "finished"],
        ["2", "9", "0.9", "finished"],
        ["3", "4", "0.8", "finished"],
        ["4", "8", "0.6", "finished"],
        ["", "6", "0.99", "stopped"],
        ["", "7", "", "failed"],
    ]
    assert rows[0][4:] == ["0.1", "threshold", "0", "[0.3, 0.7]", "", "", "", ""]
    assert rows[1][4:] == ["", "", "", "", 'a "b",\nc', "[[1, 2]]", "true", "null"]
    assert table.count("\r\n") == len(rows) + 1
    assert [row[1] for row in csv.reader(io.StringIO(leaderboard_csv(TRIALS, "min")))][1:] == [
        "8",
        "4",
        "5",
        "6",
        "7",
    ]


def test_the_leaderboard_of_an_empty_sweep_is_its_header() -> None:
    assert leaderboard_csv([], "max") == "rank,trial,value,status\r\n"
