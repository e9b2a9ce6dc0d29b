"""Shorter delays of the outbox."""

import pytest


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the outbox's delays, pauses and heartbeats."""
    monkeypatch.setattr("orchestrator.tracking.outbox.outbox.GATHER_SECONDS", 0.02)
    monkeypatch.setattr("orchestrator.tracking.outbox.outbox.JOIN_SECONDS", 0.3)
    monkeypatch.setattr("orchestrator.tracking.outbox.pace.FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr("orchestrator.tracking.outbox.pace.HEARTBEAT_SECONDS", 0.1)
