"""Write the table of errors and their exit codes from the classes themselves."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

from orchestrator.errors import OrchestratorError


def reference() -> str:
    """Return one table row for each error class, in the order of the tree."""
    rows = [
        f"| {'&emsp;' * depth}`{each.__name__}` | {each.exit_code} "
        f"| {'yes' if each.is_retryable else 'no'} | {_first_sentence(each)} |"
        for depth, each in _tree(OrchestratorError, 0)
    ]
    return "\n".join(["| error | exit code | retry helps | meaning |", "|---|---|---|---|", *rows])


def _tree(root: type[OrchestratorError], depth: int) -> Iterator[tuple[int, type]]:
    yield depth, root
    for each in root.__subclasses__():
        if each.__module__ == OrchestratorError.__module__:
            yield from _tree(each, depth + 1)


def _first_sentence(each: type) -> str:
    return " ".join(cleandoc(each.__doc__ or "").partition("\n\n")[0].split())
