"""The files of a finished run."""

import hashlib
from pathlib import Path

from orchestrator.pipelines.run.outputs import environment

LOCK_FILE = Path(__file__).parents[4] / "requirements.lock"


def test_a_run_from_a_checkout_records_its_lock_file() -> None:
    digest = hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()
    assert environment()["requirements_lock_sha256"] == digest
