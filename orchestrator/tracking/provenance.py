"""Return tags that name the user who starts a run, and the commit of this project's code."""

import getpass
import subprocess
from contextlib import suppress
from pathlib import Path

from orchestrator.tracking import names

_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_DIRTY = "-dirty"


def provenance_tags(project_root: Path = _PROJECT_ROOT) -> dict[str, str]:
    """Return tags that name the user and, if `project_root` is the top folder of a git checkout,
    the commit. An installed wheel has no git checkout.
    """
    tags: dict[str, str] = {}
    # In a container, the user id may have no user name; the tag is then omitted.
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
        # Git is not installed, the checkout has no commit, or git rejects the checkout because
        # another user owns it. Omit the tags, because they must not stop the run.
        return {}
    state = answer.stdout.strip()
    is_dirty = state.endswith(_DIRTY)
    return {
        names.GIT_COMMIT_TAG: state.removesuffix(_DIRTY),
        names.GIT_DIRTY_TAG: str(is_dirty).lower(),
    }
