"""Hold commits to CONTRIBUTING.md: an imperative subject of at most 72 characters, a reason below.

The pattern is that of the commit-msg hook in .pre-commit-config.yaml, which rejects a message
before the commit is made.
"""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CHECKED_SINCE = "1f4d54f3"
"""The last commit from before the check."""


def pattern() -> re.Pattern[bytes]:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    [hook] = [each for each in hooks if each["id"] == "commit-message"]
    return re.compile(hook["entry"].encode(), re.MULTILINE | re.DOTALL)


def messages_since(commit: str) -> list[bytes]:
    """Return the messages of all commits after one; none if the history lacks it."""
    log = ["git", "log", "--no-merges", "-z", "--format=%B", f"{commit}..HEAD"]
    answer = subprocess.run(log, cwd=ROOT, capture_output=True, check=False)
    if answer.returncode:
        pytest.skip(f"no history since {commit} here: {answer.stderr.decode().strip()}")
    return [message.strip() for message in answer.stdout.split(b"\0") if message.strip()]


def test_new_commits_have_a_subject_and_a_reason() -> None:
    refused = [each.decode() for each in messages_since(CHECKED_SINCE) if not pattern().match(each)]
    assert refused == []


@pytest.mark.parametrize(
    "message",
    [
        "Fix the restore of backups\n\nIt restored nothing after MLflow had been stopped.",
        "Seed every random generator of a worker",
        "Pass the seed to workers\n# Please enter the commit message for your changes.",
        "Merge branch 'topic'",
        f"Add {'x' * 68}",
    ],
)
def test_good_messages_pass(message: str) -> None:
    assert pattern().match(message.encode())


@pytest.mark.parametrize(
    "message",
    [
        f"Add {'x' * 69}",
        "Added a test",
        "Fixes a test",
        "Adding a test",
        "fix a test",
        "A test of commits",
        "What was measured: one seed",
        "Fix a test.",
        "Fix a test\nthe reason without a blank line",
        "Fix",
    ],
)
def test_other_messages_are_rejected(message: str) -> None:
    assert not pattern().match(message.encode())
