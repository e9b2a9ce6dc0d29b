"""Record the user and the commit of this project's code as tags."""

import getpass
import subprocess
from contextlib import suppress
from pathlib import Path

from orchestrator.tracking import names

_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_DIRTY = "-dirty"


def provenance_tags(project_root: Path = _PROJECT_ROOT) -> dict[str, str]:
    """Return tags that name the user and, if `project_root` is the top of a git checkout (instead
    of an installed wheel), the commit.
    """
    tags: dict[str, str] = {}
    # A container's user id may have no name.
    with suppress(KeyError, OSError, ImportError):
        tags[names.USER_TAG] = getpass.getuser()
    if (project_root / ".git").exists():
        tags |= _git_tags(project_root)
    return tags


def _git_tags(checkout: Path) -> dict[str, str]:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(  # noqa: S603 - constant
            command, cwd=checkout, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        # There is no git, no commit yet, or the checkout is another user's. A missing tag must not
        # stop the run.
        return {}
    state = answer.stdout.strip()
    is_dirty = state.endswith(_DIRTY)
    return {
        names.GIT_COMMIT_TAG: state.removesuffix(_DIRTY),
        names.GIT_DIRTY_TAG: str(is_dirty).lower(),
    }
