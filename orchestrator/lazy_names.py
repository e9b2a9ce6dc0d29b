"""Let a package import the names that it offers only when they are first used.

So `orchestrator --help`, and commands that only read results, do not load torch, which takes
seconds and half a gigabyte of memory.

A package calls `lazy_names` in a branch that type checkers skip: with the function `__getattr__`,
type checkers would accept any name. Type checkers read the imports under `TYPE_CHECKING` instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def lazy_names(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    Args:
        package: The package's `__name__`.
        homes: For each module, the names that the package offers from that module.
    """
    modules = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> object:
        if name not in modules:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(modules[name]), name)

    def names() -> list[str]:
        return [*vars(sys.modules[package]), *modules]

    return get, names
