"""Carries the Dockerfile's instructions out without Docker, and tries what they make: as root, on
Linux, with debootstrap.

    python k8s/replay_dockerfile.py WORK_FOLDER [--target mlflow] [--build-arg NAME=VALUE]
    [--ca-bundle FILE]

This simulates `docker build`: every stage is a folder and every RUN a chroot into it, in mount and
process namespaces of its own. An image of Debian is made by debootstrap from the same release, with
the security updates, instead of fetched. What comes out is tried as Kubernetes runs it: as user
1000, on a read-only root file system, with /tmp and /dev/shm to write to; and without a network, so
that nothing can be fetched.
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pathspec
from dockerfile import (
    DockerfileError,
    Instruction,
    Stage,
    read_assignments,
    read_copy,
    read_run,
    read_stages,
    substitute,
)

ROOT = Path(__file__).parents[1]
_DEBIAN = re.compile(r"docker\.io/library/debian:(\d+)\.\d+-slim")
_CODENAMES = {"12": "bookworm"}
_MIRROR = "http://deb.debian.org/debian"
_CA_BUNDLE = "/run/ca-bundle.pem"


@dataclass
class Container:
    """A stage while it is built, and afterwards what was built.

    Attributes:
        root: Its root folder.
        environment: Of its commands; ENV adds to it.
        arguments: Those ARG that have a value.
        workdir: Where its commands run.
        user: As whom, `UID:GID`.
    """

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        }
    )
    arguments: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"

    @property
    def variables(self) -> dict[str, str]:
        """What `$NAME` stands for in its instructions."""
        return self.arguments | self.environment

    def run(self, command: list[str], mounts: dict[Path, str], *, sealed: bool = False) -> int:
        """Runs a command within, in namespaces that end with it, and gives its exit code.

        Args:
            command: The program and its arguments.
            mounts: What of the outside to show, and where.
            sealed: Whether all but the mounts is read-only, and there is no network beyond it.
        """
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        within = [
            "chroot",
            f"--userspec={self.user}",
            str(self.root),
            "env",
            f"--chdir={self.workdir}",
            "-i",
            *variables,
            *command,
        ]
        steps = [*self._mounting(mounts, sealed=sealed), ["exec", *within]]
        script = " && ".join(shlex.join(step) for step in steps)
        network = ["--net"] if sealed else []
        isolated = [
            "unshare",
            "--mount",
            "--pid",
            *network,
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            script,
        ]
        return subprocess.run(isolated, check=False).returncode  # noqa: S603 - ours

    def _mounting(self, mounts: dict[Path, str], *, sealed: bool) -> Iterator[list[str]]:
        root = str(self.root)
        yield ["mount", "--bind", root, root]
        for outside, inside in (
            mounts | {Path(file): file for file in ("/etc/resolv.conf", "/etc/hosts")}
        ).items():
            place = self.root / inside.lstrip("/")
            if outside.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            elif not place.exists():
                place.touch()
            yield ["mount", "--bind", str(outside), str(place)]
        if sealed:
            yield ["mount", "-o", "remount,bind,ro", root]  # not what is mounted within
            yield ["ip", "link", "set", "lo", "up"]
        yield ["mount", "-t", "proc", "proc", f"{root}/proc"]
        yield ["mount", "--rbind", "/dev", f"{root}/dev"]
        yield ["mount", "-t", "tmpfs", "shm", f"{root}/dev/shm"]  # noqa: S108 - within


class Replay:
    """Builds stages, each once, with those that they need.

    Args:
        work: The folder for roots and caches; what is there from before is built anew, caches are
            used again.
        build_arguments: Values for ARG.
        ca_bundle: Certificates that the commands trust, where a proxy looks into TLS; None for
            Debian's own.
    """

    def __init__(self, work: Path, build_arguments: dict[str, str], ca_bundle: Path | None) -> None:
        self.work = work
        self.build_arguments = build_arguments
        self.ca_bundle = ca_bundle
        self.stages = read_stages(ROOT / "Dockerfile")
        self.context = _build_context(ROOT, work / "context")
        self._built: dict[str, Container] = {}

    def build(self, name: str) -> Container:
        """The finished stage."""
        if name not in self._built:
            stage = self.stages[name]
            for source in stage.sources:
                self.build(source)
            container = self._begin(stage)
            for instruction in stage.instructions:
                started = time.monotonic()
                self._carry_out(instruction, container)
                seconds = time.monotonic() - started
                print(
                    f"=== {name}, line {instruction.line}: {instruction.keyword}"
                    f" {instruction.text[:80]} ({seconds:.1f} s)",
                    flush=True,
                )
            self._built[name] = container
        return self._built[name]

    def _begin(self, stage: Stage) -> Container:
        root = self.work / "stages" / stage.name
        shutil.rmtree(root, ignore_errors=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        if stage.base not in self.stages:
            _call("cp", "-a", str(self._debian(stage.base)), str(root))
            return Container(root)
        base = self.build(stage.base)
        _call("cp", "-a", str(base.root), str(root))
        return Container(root, dict(base.environment), {}, base.workdir, base.user)

    def _debian(self, image: str) -> Path:
        match = _DEBIAN.fullmatch(image)
        if match is None or match[1] not in _CODENAMES:
            raise DockerfileError(f"{image}: only Debian can be made here, of {sorted(_CODENAMES)}")
        root, codename = self.work / f"debian-{match[1]}", _CODENAMES[match[1]]
        if not (root / "etc" / "apt" / "sources.list").exists():
            _call("debootstrap", "--variant=minbase", codename, str(root), _MIRROR)
            suites = [
                (_MIRROR, codename),
                (_MIRROR, f"{codename}-updates"),
                (f"{_MIRROR}-security", f"{codename}-security"),
            ]
            (root / "etc" / "apt" / "sources.list").write_text(
                "".join(f"deb {mirror} {suite} main\n" for mirror, suite in suites)
            )
            _run_in_shell(
                Container(root),
                "apt-get update && apt-get --yes upgrade && rm -rf /var/lib/apt/lists/*",
                {},
            )
        return root

    def _carry_out(self, instruction: Instruction, container: Container) -> None:
        text = instruction.text
        match instruction.keyword:
            case "ARG":
                name, has_default, default = text.partition("=")
                if name in self.build_arguments or has_default:
                    container.arguments[name] = self.build_arguments.get(name, default)
            case "ENV":
                container.environment |= read_assignments(text, container.variables)
            case "WORKDIR":
                container.workdir = substitute(text, container.variables)
                (container.root / container.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "USER":
                container.user = substitute(text, container.variables)
            case "COPY":
                self._copy(instruction, container)
            case "RUN":
                self._run(instruction, container)

    def _run(self, instruction: Instruction, container: Container) -> None:
        command, caches = read_run(instruction)
        mounts = {self._cache(target): target for target in caches}
        if self.ca_bundle is not None:
            mounts[self.ca_bundle] = _CA_BUNDLE
            command = f"export SSL_CERT_FILE={_CA_BUNDLE} PIP_CERT={_CA_BUNDLE}; {command}"
        _run_in_shell(container, command, mounts)

    def _cache(self, target: str) -> Path:
        folder = self.work / "caches" / target.strip("/").replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _copy(self, instruction: Instruction, container: Container) -> None:
        copy = read_copy(instruction)
        assert copy is not None  # noqa: S101 - the keyword says so
        source_root = self.build(copy.source).root if copy.source else self.context
        target = container.root / os.path.join(container.workdir, copy.target).lstrip("/")  # noqa: PTH118 - an absolute target wins
        found = [
            path
            for pattern in copy.paths
            for path in glob.glob(str(source_root / pattern.lstrip("/")))  # noqa: PTH207 - as text
        ]
        if len(found) < len(copy.paths):
            raise DockerfileError(
                f"line {instruction.line}: COPY {instruction.text}: not found in {source_root}"
                " (.dockerignore?)"
            )
        as_folder = copy.target.endswith(("/", ".")) or len(found) > 1
        (target if as_folder else target.parent).mkdir(parents=True, exist_ok=True)
        for path in found:
            _call(
                "cp",
                "-a",
                "--no-preserve=ownership",
                path,
                str(target if as_folder else target.parent / target.name),
            )


def _build_context(repository: Path, folder: Path) -> Path:
    """A folder with what .dockerignore lets through: as in Docker, the last line that matches a
    file, or a folder above it, decides.
    """
    lines = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    shutil.rmtree(folder, ignore_errors=True)
    for name in pathspec.PathSpec.from_lines("gitignore", lines).match_tree_files(
        repository, negate=True
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repository / name, folder / name)
    return folder


def _call(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - ours


def _run_in_shell(container: Container, command: str, mounts: dict[Path, str]) -> None:
    code = container.run(["/bin/sh", "-c", command], mounts)
    if code != 0:
        sys.exit(f"error: exit code {code}: {command}")


def check(container: Container, script: Path, scratch: Path) -> None:
    """Runs a script in a finished image as Kubernetes would: with nothing to write to but /tmp and
    /dev/shm; and without a network.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    scratch.chmod(0o1777)
    code = container.run(
        ["bash", "-c", script.read_text(encoding="utf-8")],
        {scratch: "/tmp"},  # noqa: S108
        sealed=True,
    )
    if code != 0:
        sys.exit(f"error: exit code {code}: {script}; see the line after the last +")
    print(f"passed: {script}")


def main() -> None:
    """Builds the target and tries it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "work",
        type=Path,
        metavar="WORK_FOLDER",
        help="Some 25 GB for all; may be removed afterwards.",
    )
    parser.add_argument("--target", choices=("orchestrator", "mlflow"), default="orchestrator")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--ca-bundle",
        type=Path,
        metavar="FILE",
        help="Certificates to trust, where a proxy looks into TLS.",
    )
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit(
            "error: mounting and chroot need root; run this with sudo, or in a virtual machine"
        )
    build_arguments = dict(argument.split("=", 1) for argument in options.build_arg)
    container = Replay(options.work.resolve(), build_arguments, options.ca_bundle).build(
        options.target
    )
    size = sum(
        path.lstat().st_size
        for path in container.root.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    print(f"{options.target}: {size / 1e9:.2f} GB", flush=True)
    check(
        container,
        ROOT / "k8s" / "image" / f"check-{options.target}.sh",
        options.work.resolve() / "tmp",
    )


if __name__ == "__main__":
    main()
