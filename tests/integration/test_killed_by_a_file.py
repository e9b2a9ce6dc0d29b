"""A tick that is killed by a file: the next one leaves the file out, names it, and learns the rest;
what the killed one left in the temporary folder is gone.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import Experiment
from orchestrator.data import probing
from orchestrator.private_folder import private_folder
from tests.integration.test_retraining import House
from tests.unit.retraining.test_suspects import deliver_bomb

# Where the scan would read the file that fills the memory, the kernel ends the process.
KILLED = """
import os, signal, sys
from orchestrator.config import Retraining
from orchestrator.data import growing_folder
from orchestrator.pipelines.retraining.retrain import retrain
from orchestrator.retraining import scan
def read(folder, name, has_labels=True):
    os.kill(os.getpid(), signal.SIGKILL) if name == "bomb.parquet" else None
    return growing_folder.read_content(folder, name, has_labels)
scan.read_content = read
retrain(Retraining.model_validate_json(sys.stdin.read()), sys.argv[1])
"""


@pytest.mark.slow
def test_the_second_tick_leaves_the_file_out_and_learns_the_others(
    tmp_path: Path,
    tiny_experiment: Experiment,
    new_database: Callable[[Path], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(probing, "_MAX_BYTES", 150 * 2**20)
    house = House(tmp_path, tiny_experiment, new_database(tmp_path))
    house.deliver("a", 0, 1)
    deliver_bomb(house.arrivals / "bomb.parquet")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "out")],
        input=house.retraining().model_dump_json().encode(),
        check=False,
    )
    assert killed.returncode == -9
    assert [*private_folder().glob("champion-*")]
    outcome = house.tick()
    assert outcome.outcome == "promoted"
    (finding,) = (it for it in outcome.findings if it.kind == "quarantined_files")
    assert finding.message == (
        "1 file (bomb.parquet) left out until changed: reading it killed a tick"
    )
    assert not [*private_folder().glob("champion-*")]
    assert house.tick().outcome == "nothing_to_do"
