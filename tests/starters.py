"""Try an installed program as its first user does: `init`, then a brief run of a starter."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

BRIEF = [
    "--set=execution.kind=in_process",
    "--set=scenario.max_images_per_class=5",
    "--set=teacher.training.epochs=1",
    "--set=student.training.epochs=1",
]


def try_starters(program: Path, version: str, folder: Path, variables: Mapping[str, str]) -> None:
    """Check the version, copy the starters into an empty folder, and run the default experiment.

    Args:
        program: The installed `orchestrator`.
        version: The expected version.
        folder: Working folder of the commands.
        variables: The commands' whole environment.
    """

    def call(*words: str) -> str:
        answer = subprocess.run(
            [str(program), *words],
            cwd=folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    assert call("--version") == f"orchestrator {version}\n"
    call("init")
    call("run", "experiments/digits.yaml", "--output=out", *BRIEF)
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert len(summary["student"]["accuracy_matrix"]) == 5
    assert (folder / "mlflow.db").is_file()
