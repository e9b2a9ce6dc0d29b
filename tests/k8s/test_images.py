"""The Dockerfile, the lock files that it installs, and the program that executes it without
Docker.
"""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
LOCKS = sorted((ROOT / "k8s").rglob("*.lock"))


@pytest.fixture(scope="module")
def dockerfile() -> ModuleType:
    """Return the reader of Dockerfiles, a module of a program outside the package."""
    sys.path.insert(0, str(ROOT / "k8s"))
    try:
        return importlib.import_module("dockerfile")
    finally:
        sys.path.remove(str(ROOT / "k8s"))


@pytest.fixture(scope="module")
def replay(dockerfile: ModuleType) -> ModuleType:
    """Return the program's own module."""
    sys.path.insert(0, str(ROOT / "k8s"))
    try:
        return importlib.import_module("replay_dockerfile")
    finally:
        sys.path.remove(str(ROOT / "k8s"))


# --- the Dockerfile -------------------------------------------------------------------------------


def test_a_plain_build_gives_the_orchestrator_and_a_target_the_mlflow_server(
    dockerfile: ModuleType,
) -> None:
    stages = dockerfile.read_stages(DOCKERFILE)
    assert list(stages)[-1] == "orchestrator"
    assert "mlflow" in stages


@pytest.mark.parametrize("name", ["orchestrator", "mlflow"])
def test_images_run_as_user_1000_and_contain_no_build_tools(
    dockerfile: ModuleType, name: str
) -> None:
    stages = dockerfile.read_stages(DOCKERFILE)
    stage = stages[name]
    assert [each.text for each in stage.instructions if each.keyword == "USER"] == ["1000:1000"]
    assert stage.base == "base"
    base = " ".join(each.text for each in stages["base"].instructions)
    assert not re.search(r"gcc|g\+\+|build-essential|python3-(dev|pip|venv)", base)


def test_images_come_from_a_pinned_base_and_locked_packages(dockerfile: ModuleType) -> None:
    stages = dockerfile.read_stages(DOCKERFILE)
    images = {stage.base for stage in stages.values()} - set(stages)
    assert all(re.fullmatch(r"docker\.io/library/debian:\d+\.\d+-slim", image) for image in images)
    installing = [
        each.text
        for stage in stages.values()
        for each in stage.instructions
        if re.search(r"pip (install|sync)", each.text)
    ]
    assert installing
    for command in installing:
        for part in re.findall(r"pip (?:install|sync)[^&;]*", command):
            # PyTorch's own index has no hashes in our lock, and our own wheel needs none
            assert "--require-hashes" in part or "--no-deps" in part, part


def test_the_command_without_cuda_removes_torch_and_nothing_else(dockerfile: ModuleType) -> None:
    [command] = [
        each.text
        for each in dockerfile.read_stages(DOCKERFILE)["orchestrator-environment"].instructions
        if "awk" in each.text
    ]
    found = re.search(r"awk '(.*?)'", command)
    assert found is not None
    lock = ROOT / "k8s" / "requirements.lock"
    left = subprocess.run(
        ["awk", found[1], str(lock)], capture_output=True, text=True, check=True
    ).stdout
    before = _blocks(lock.read_text(encoding="utf-8"))
    gone = {block.split("==")[0] for block in set(before) - set(_blocks(left))}
    assert {"torch", "torchvision", "triton", "nvidia-cublas", "cuda-bindings"} <= gone
    assert all(re.match(r"torch$|torchvision$|triton$|nvidia-|cuda-", name) for name in gone)
    assert _blocks(left) == [block for block in before if block.split("==")[0] not in gone]


def test_a_dockerfile_with_an_unknown_instruction_is_rejected(
    dockerfile: ModuleType, tmp_path: Path
) -> None:
    for text, problem in {
        "FROM a AS b\nHEALTHCHECK NONE\n": "line 2: HEALTHCHECK is not known",
        "FROM a\n": "line 1: FROM a is not of the form",
        "RUN true\n": "line 1: RUN before the first FROM",
    }.items():
        (tmp_path / "Dockerfile").write_text(text, encoding="utf-8")
        with pytest.raises(dockerfile.DockerfileError, match=problem):
            dockerfile.read_stages(tmp_path / "Dockerfile")


def test_lines_are_joined_and_comments_removed(dockerfile: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "# first\nFROM a AS b\nRUN one \\\n    # between\n    && two\n\nENV A=1 B=$A\n",
        encoding="utf-8",
    )
    run, env = dockerfile.read_stages(tmp_path / "Dockerfile")["b"].instructions
    assert (run.text, run.line) == ("one && two", 3)
    assert dockerfile.read_assignments(env.text, {"A": "outside"}) == {"A": "1", "B": "outside"}


def test_unknown_flags_are_rejected(dockerfile: ModuleType) -> None:
    for text, read in {
        "--mount=type=secret,id=x true": dockerfile.read_run,
        "--chown=1:1 a b": dockerfile.read_copy,
    }.items():
        keyword = "RUN" if "mount" in text else "COPY"
        with pytest.raises(dockerfile.DockerfileError, match="line 7"):
            read(dockerfile.Instruction(keyword, text, 7))


def test_only_what_the_dockerfile_copies_reaches_a_build(
    dockerfile: ModuleType, replay: ModuleType, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    names = [
        "orchestrator/cli/x.py",
        "k8s/image/mlflow.lock",
        "k8s/requirements.lock",
        "README.md",
        "experiments/a.yaml",
    ]
    ignored = [
        ".git/config",
        ".venv/bin/python",
        "mlflow.db",
        "out/x",
        "k8s/base/mlflow.yaml",
        "tests/x.py",
        "orchestrator/__pycache__/x.pyc",
    ]
    for name in (*names, *ignored):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    (source / ".dockerignore").write_text(
        (ROOT / ".dockerignore").read_text(encoding="utf-8"), encoding="utf-8"
    )
    context = replay._build_context(source, tmp_path / "context")
    assert {str(file.relative_to(context)) for file in context.rglob("*") if file.is_file()} == set(
        names
    )
    copied = [
        copy
        for stage in dockerfile.read_stages(DOCKERFILE).values()
        for copy in map(dockerfile.read_copy, stage.instructions)
        if copy
    ]
    needed = {path for copy in copied if not copy.source for path in copy.paths}
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    assert all(
        any(path == each or path.startswith(f"{each}/") for each in allowed) for path in needed
    )


def test_without_root_the_replay_names_the_next_step(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        done = subprocess.run(
            [sys.executable, "k8s/replay_dockerfile.py", str(tmp_path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    else:
        command = [
            "setpriv",
            "--reuid=65534",
            "--clear-groups",
            sys.executable,
            "k8s/replay_dockerfile.py",
            "/nowhere",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if "Permission denied" in done.stderr:
            pytest.skip("nobody may not read this checkout")
    assert (
        done.returncode,
        done.stderr.strip().startswith("error: mounting and chroot need root"),
    ) == (1, True), done.stderr


# --- lock files -----------------------------------------------------------------------------------


def _blocks(text: str) -> list[str]:
    """Return each package with its hashes; one that differs between platforms occurs several
    times.
    """
    return [
        block
        for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
        if "==" in block.split("\n")[0]
    ]


def _packages(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, flags=re.MULTILINE))


def test_there_is_a_lock_file_for_each_image_and_for_its_build_tools() -> None:
    assert [str(file.relative_to(ROOT)) for file in LOCKS] == [
        "k8s/image/build.lock",
        "k8s/image/mlflow.lock",
        "k8s/requirements.lock",
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda file: file.name)
def test_every_locked_package_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in _blocks(text))
    assert "://" not in text


def test_the_server_has_the_mlflow_version_of_jobs_and_tests() -> None:
    server, jobs, tests = (
        _packages((ROOT / name).read_text(encoding="utf-8"))
        for name in ("k8s/image/mlflow.lock", "k8s/requirements.lock", "requirements.lock")
    )
    assert {
        name: version for name, version in server.items() if jobs.get(name, version) != version
    } == {}
    assert server["mlflow"] == jobs["mlflow"] == tests["mlflow"]
    assert jobs["ray"] == tests["ray"]
    assert {"flask-wtf", "psycopg", "boto3"} <= set(server)
