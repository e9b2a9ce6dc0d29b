"""Read YAML files strictly; every error names the file and, if known, the line."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from orchestrator.errors import ConfigError

Tree = dict[str, Any]


@dataclass(frozen=True)
class Largest:
    """Size limits of a file.

    Attributes:
        num_bytes: Largest size on disk.
        num_values: Largest number of values with all aliases expanded, keys included.
    """

    num_bytes: int
    num_values: int


BY_HAND = Largest(2**21, 100_000)
"""Limits for files written by hand. A file at the limit, such as a class order of 90,000 labels, is
read within a second and with less than 200 MB of memory.
"""
BY_PROGRAM = Largest(2**26, 4_000_000)
"""Limits for files written by this program, such as the configuration of a retraining candidate,
which lists every file that has arrived.
"""
MOST_LEVELS = 64
"""Nesting limit; the deepest meaningful configuration has ten levels."""
# Largest number of characters of a number: 2**64 has 20 digits, and a floating-point number has 17
# digits and an exponent.
_MOST_DIGITS = 64
_LINE_ENDS = re.compile("[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_yaml(path: Path, largest: Largest = BY_HAND) -> Tree:
    """Return the mapping that a YAML file holds; an empty file gives an empty mapping.

    Args:
        path: The file.
        largest: Size limits of the file.

    Raises:
        ConfigError: The file is missing, unreadable or not valid YAML, has a duplicate key, or does
            not hold a mapping.
    """
    where = shortened(str(path).encode("utf-8", "replace").decode(), 1000)
    text = _text(path, where, largest.num_bytes)
    try:
        tree = parse_yaml(text, largest)
    except YamlError as error:
        raise ConfigError(
            f"is not valid YAML: {error}", where=where, next_step="correct it, or quote text"
        ) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"holds a {type(tree).__name__}, not a mapping",
            where=where,
            next_step="write `key: value` lines",
        )
    return tree


def parse_yaml(text: str, largest: Largest = BY_HAND) -> Any:  # noqa: ANN401 - YAML may hold any value
    """Return the value of a YAML text.

    Args:
        text: The text.
        largest: Size limits of the text.

    Raises:
        YamlError: The text is not valid, nested too deeply, or too large with its aliases expanded.
    """
    try:
        _check_size(text, largest.num_values)
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = _line_of(mark, text) if mark else ""
        raise YamlError(f"{line}{getattr(error, 'problem', None) or error}") from None
    except Exception as error:  # noqa: BLE001 - constructors raise anything, e.g. for a bad date
        raise YamlError(shortened(str(error) or type(error).__name__)) from None


def _line_of(mark: yaml.Mark, text: str) -> str:
    """Return the line and the column of a position in a text; a position past the end of the text
    is placed on the last line.
    """
    lines = text.splitlines() or [""]
    if mark.line < len(lines):
        return f"line {mark.line + 1}, column {mark.column + 1}: "
    return f"line {len(lines)}, column {len(lines[-1]) + 1}: "


class YamlError(ValueError):
    """Error for invalid YAML; the message names the line if it is known."""


def shortened(text: str, length: int = 200) -> str:
    """Return a text as one line of at most `length` characters; longer text ends in an ellipsis."""
    line = _LINE_ENDS.sub(lambda found: ascii(found.group())[1:-1], text[: length + 1])
    return line if len(line) <= length else line[: length - 1] + "…"


def _text(path: Path, where: str, most_bytes: int) -> str:
    """Return the content of a file. Reject a file above the size limit without reading the rest."""
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise ConfigError(
                f"has more than {most_bytes:,} bytes",
                where=where,
                next_step="check that the file is a configuration, and remove all other content",
            )
        return content.decode("utf-8")
    except FileNotFoundError:
        # compare names without suffix, because the shared suffix makes any two short names look
        # alike
        names = {other.stem: other for other in path.parent.glob("*.y*ml")}
        similar = difflib.get_close_matches(path.stem, list(names), n=1)
        advice = f"did you mean {names[similar[0]]}?" if similar else "check the path"
        raise ConfigError("no such file", where=where, next_step=advice) from None
    except (OSError, ValueError) as error:  # ValueError: not UTF-8 text, or a NUL in the path
        raise ConfigError(
            f"cannot be read ({getattr(error, 'strerror', None) or error})",
            where=where,
            next_step="give a readable YAML text file",
        ) from None


def _check_size(text: str, most_values: int) -> None:
    """Reject a text with too many levels of nesting, or with too many values after expansion of
    aliases. The text is parsed once, without building its values.

    Raises:
        yaml.MarkedYAMLError: The text is not valid YAML, or nested too deeply, or too large.
    """
    counted = _Counted()
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        counted.add(event)
        if counted.num_values > most_values:
            raise _at(event, f"holds more than {most_values:,} values, aliases expanded")


class _Counted:
    """Counter of the values in a YAML text. The values behind an alias are counted at every use of
    the alias.
    """

    def __init__(self) -> None:
        self.num_values = 0
        # for each open collection: its anchor, and the number of values before the collection
        self._open: list[tuple[str | None, int]] = []
        self._sizes: dict[str, int] = {}

    def add(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self._open.pop()
            self._note(anchor, self.num_values - before)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in (anchor for anchor, _ in self._open):
                raise _at(event, f"the alias {event.anchor!r} is part of itself")
            self.num_values += self._sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, self.num_values))
            self.num_values += 1
            if len(self._open) > MOST_LEVELS:
                raise _at(event, f"is nested more than {MOST_LEVELS} levels deep")
        elif isinstance(event, yaml.ScalarEvent):
            self.num_values += 1
            self._note(event.anchor, 1)

    def _note(self, anchor: str | None, size: int) -> None:
        if anchor is not None:
            self._sizes[anchor] = size


def _at(event: yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    mark = cast("yaml.Mark", event.start_mark)  # libyaml's own Mark class has the same attributes
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


class _StrictLoader(yaml.CSafeLoader):
    """YAML loader that rejects overlong numbers and duplicate keys. PyYAML would silently overwrite
    the value of a duplicate key.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"duplicate key {shortened(repr(key))} in a mapping",
                    problem_mark=key_node.start_mark,
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 - a YAML file may hold any value
        if node.tag in _NUMBERS and len(str(node.value)) > _MOST_DIGITS:
            raise yaml.MarkedYAMLError(
                problem=f"a number of more than {_MOST_DIGITS} digits", problem_mark=node.start_mark
            )
        return super().construct_object(node, deep)
