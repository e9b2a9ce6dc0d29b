"""MLflow takes some seconds to import: only what is asked of it loads it."""

import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "orchestrator" / "tracking"


def test_no_module_outside_the_room_of_mlflow_loads_mlflow() -> None:
    modules = [
        ".".join(("orchestrator.tracking", *file.relative_to(PACKAGE).with_suffix("").parts))
        for file in sorted(PACKAGE.rglob("[a-z]*.py"))
        if "mlflow" not in file.relative_to(PACKAGE).parts
    ]
    assert {"orchestrator.tracking.opening", "orchestrator.tracking.outbox.outbox"} <= set(modules)
    code = (
        f"import sys, importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
        "print(*{'mlflow', 'matplotlib'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout.strip()) == (0, ""), answer.stderr
