"""YAML files, read strictly: every error names the file and, where YAML knows it, the line."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import ConfigError

Tree = dict[str, Any]


def read_yaml(path: Path) -> Tree:
    """Return the mapping that a YAML file holds; an empty file gives an empty mapping.

    Raises:
        ConfigError: The file is missing, unreadable or no YAML, a key stands twice, or it holds
            something other than a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        similar = difflib.get_close_matches(
            path.name, [p.name for p in path.parent.glob("*.y*ml")], n=1
        )
        advice = f"did you mean {path.parent / similar[0]}?" if similar else "check the path"
        raise ConfigError("no such file", where=str(path), next_step=advice) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot be read ({error})", where=str(path), next_step="give a readable YAML text file"
        ) from None
    try:
        tree = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(
            f"is not valid YAML:{line}: {problem}", where=str(path), next_step="correct that line"
        ) from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # a date that is none, brackets in brackets in brackets
        raise ConfigError(
            f"is not valid YAML: {error}", where=str(path), next_step="quote what is text"
        ) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"holds a {type(tree).__name__}, not a mapping",
            where=str(path),
            next_step="write `key: value` lines",
        )
    return tree


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice in one mapping is an error instead of a silent
    overwrite.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)
