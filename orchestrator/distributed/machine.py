"""What this machine has. Imports no ray."""

from __future__ import annotations

import joblib


def cpus_of_this_machine() -> int:
    """Return the CPUs that this process may use: its affinity and its container's quota count."""
    return int(joblib.cpu_count())
