"""Importing MLflow takes some seconds: only code that needs it may import it."""

import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "orchestrator" / "tracking"


def test_no_module_outside_tracking_mlflow_imports_mlflow() -> None:
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
