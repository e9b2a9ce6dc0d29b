"""Reads a Dockerfile: its stages, their instructions, and what their variables stand for. Only what
ours uses; the rest is refused.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = frozenset(
    {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "EXPOSE", "LABEL", "CMD"}
)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_CACHE_MOUNT = re.compile(r"^--mount=type=cache,target=(\S+)\s+")


class DockerfileError(ValueError):
    """An instruction that this program does not know."""


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        keyword: In capitals.
        text: All that follows it, lines joined, without comments.
        line: Where it begins, from 1.
    """

    keyword: str
    text: str
    line: int


@dataclass(frozen=True)
class Stage:
    """What stands between two FROM.

    Attributes:
        name: The name behind AS.
        base: An image, or the name of an earlier stage.
        instructions: All but FROM.
    """

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    @property
    def sources(self) -> list[str]:
        """Stages from which files are copied."""
        return [
            copy.source
            for copy in map(read_copy, self.instructions)
            if copy is not None and copy.source
        ]


@dataclass(frozen=True)
class Copy:
    """A COPY instruction.

    Attributes:
        source: The stage to copy from; empty for the build context.
        paths: What to copy.
        target: Where to; a folder when it ends in a slash.
    """

    source: str
    paths: list[str]
    target: str


def read_stages(dockerfile: Path) -> dict[str, Stage]:
    """The stages by name, in their order; the last one is what a plain build makes.

    Raises:
        DockerfileError: An instruction that is not among those known here, or a stage without a
            name.
    """
    stages: dict[str, Stage] = {}
    for instruction in _instructions(dockerfile.read_text(encoding="utf-8").splitlines()):
        if instruction.keyword not in KNOWN:
            raise DockerfileError(
                f"line {instruction.line}: {instruction.keyword} is not known here"
            )
        if instruction.keyword == "FROM":
            match = re.fullmatch(r"(\S+) AS ([\w-]+)", instruction.text)
            if match is None:
                raise DockerfileError(
                    f"line {instruction.line}: FROM {instruction.text} is not of the form `FROM"
                    " IMAGE AS NAME`"
                )
            stages[match[2]] = Stage(match[2], match[1])
        elif not stages:
            raise DockerfileError(
                f"line {instruction.line}: {instruction.keyword} before the first FROM is not known"
                " here"
            )
        else:
            list(stages.values())[-1].instructions.append(instruction)
    return stages


def _instructions(lines: list[str]) -> Iterator[Instruction]:
    joined, begin = "", 0
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#") or not (line.strip() or joined):
            continue
        begin = begin if joined else number
        joined += line.strip().removesuffix("\\").rstrip() + " "
        if not line.rstrip().endswith("\\"):
            keyword, _, text = joined.strip().partition(" ")
            yield Instruction(keyword.upper(), text.strip(), begin)
            joined = ""


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """The text with `$NAME` and `${NAME}` replaced; unknown names become nothing, as in Docker."""
    return _VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text)


def read_assignments(text: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The `NAME=VALUE` of an ENV instruction."""
    return {
        name: substitute(value, variables)
        for name, _, value in (word.partition("=") for word in shlex.split(text))
    }


def read_copy(instruction: Instruction) -> Copy | None:
    """What a COPY instruction copies; None for any other instruction.

    Raises:
        DockerfileError: It has a flag that is not known here.
    """
    if instruction.keyword != "COPY":
        return None
    *words, target = shlex.split(instruction.text)
    flags = [word for word in words if word.startswith("--")]
    if any(not flag.startswith("--from=") for flag in flags):
        raise DockerfileError(f"line {instruction.line}: COPY knows only --from= here")
    return Copy(
        "".join(flag.removeprefix("--from=") for flag in flags),
        [word for word in words if word not in flags],
        target,
    )


def read_run(instruction: Instruction) -> tuple[str, list[str]]:
    """The shell command of a RUN instruction, and the folders that it wants to find again in the
    next build.

    Raises:
        DockerfileError: It has a flag that is not known here.
    """
    command, caches = instruction.text, []
    while match := _CACHE_MOUNT.match(command):
        caches.append(match[1])
        command = command[match.end() :]
    if command.startswith("--"):
        raise DockerfileError(
            f"line {instruction.line}: RUN knows only --mount=type=cache,target= here"
        )
    return command, caches
