"""A sweep on a Ray cluster of eight nodes that loses two of them and gains one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.config import Experiment, dump_experiment
from orchestrator.config.overrides import with_values
from orchestrator.pipelines.run.run import run
from orchestrator.tracking import InMemoryTracker
from tests.integration.processes import start_orchestrator
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.reliability
NUM_NODES, NUM_TRIALS, NUM_TASKS = 8, 12, 3


def busy(nodes: list[Any]) -> list[Any]:
    """Return the nodes on which an actor is running trials."""
    raylets = {node.all_processes["raylet"][0].process.pid: node for node in nodes}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:  # the process has just ended
            continue
        if b"TrialActor" in command and parent in raylets:
            found.append(raylets[parent])
    return found


def test_trials_spread_over_nodes_and_finish_although_some_nodes_are_lost(
    tiny_experiment: Experiment,
    new_database: Callable[[Path], str],
    cluster: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    experiment = with_values(
        tiny_experiment,
        {
            "store.uri": f"{tmp_path}/store",
            "tracking.uri": new_database(tmp_path),
            "student.transfer": {"kind": "fixed"},
            "student.training.epochs": 40,
        },
    )
    on_ray = with_values(experiment, {"execution": {"kind": "ray", "address": cluster.address}})
    (tmp_path / "experiment.yaml").write_text(dump_experiment(on_ray))
    ratios = [round(0.05 * number, 2) for number in range(NUM_TRIALS)]
    space = {
        "name": "nodes",
        "searcher": {"kind": "grid"},
        "parameters": {"student.transfer.ratio": {"kind": "choice", "values": ratios}},
    }
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space))
    nodes = [cluster.add_node(num_cpus=1) for _ in range(NUM_NODES)]
    cluster.wait_for_nodes()
    words = ("sweep", "space.yaml", "--experiment", "experiment.yaml", "--output", "out")
    process = start_orchestrator(*words, folder=tmp_path)
    try:
        wait_until(lambda: len(busy(nodes)) == NUM_NODES or process.poll() is not None)
        wait_until(lambda: any((tmp_path / "store").glob("*/manifest.json")))
        for lost in busy(nodes)[:2]:
            cluster.remove_node(lost, allow_graceful=False)
        cluster.add_node(num_cpus=1)
        said = "".join(process.communicate(timeout=PATIENCE_SECONDS))
    finally:
        process.kill()
    assert process.returncode == 0, said
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [trial["status"] for trial in summary["trials"]] == ["finished"] * NUM_TRIALS
    stages = [
        json.loads(path.read_text())["values"].get("stage", "")
        for path in (tmp_path / "store").glob("*/manifest.json")
    ]
    assert sum(name.startswith("teacher[") for name in stages) == NUM_TASKS
    assert sum(name.startswith("student[") for name in stages) == NUM_TASKS * NUM_TRIALS
    computed = sum(trial["stages_computed"] for trial in summary["trials"])
    assert computed <= NUM_TASKS * (1 + NUM_TRIALS)  # a stage whose trial was restarted counts once

    # in one process: the same number
    trial = summary["trials"][-1]
    alone = with_values(
        experiment,
        {
            "student.transfer": {
                "kind": "fixed",
                "ratio": trial["parameters"]["student.transfer.ratio"],
            },
            "store.uri": f"{tmp_path}/another",
        },
    )
    tracker = InMemoryTracker()
    result = run(alone, tmp_path / "alone", tracker=tracker)
    matrix = result.summary["student"]["validation_accuracy_matrix"]
    means = [sum(row) / len(row) for row in matrix]
    assert trial["value"] == pytest.approx(sum(means) / len(means), abs=1e-9)
