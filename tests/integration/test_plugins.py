"""The example extension, installed into its own environment, is listed, run, swept on Ray and
reused from the store; after it is uninstalled there is one clear error.
"""

import json
import os
import shutil
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.servers import free_port
from tests.waiting import wait_for_server

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "plugin"

pytestmark = pytest.mark.slow


class Environment:
    """A virtual environment that sees this environment's packages and has some of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "env", with_pip=True, symlinks=True)
        self.python = folder / "env" / "bin" / "python"
        own = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env")}))
        ours = [*site.getsitepackages(), str(ROOT)]
        # `site.addsitedir` also reads the .pth files there: that of a package installed in place
        (own / "ours.pth").write_text(
            "".join(f"import site; site.addsitedir({path!r})\n" for path in ours)
        )

    def call(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(self.python), *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**os.environ, **variables},
        )

    def orchestrator(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return self.call("-m", "orchestrator", *words, **variables)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "source"
    shutil.copytree(EXAMPLE, source)
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        capture_output=True,
        text=True,
        check=False,
        cwd=source,
    )
    assert built.returncode == 0, built.stderr
    wheels = list((source / "dist").glob("*.whl"))
    made = Environment(folder)
    answer = made.call("-m", "pip", "install", "--no-index", "--no-deps", *map(str, wheels))
    assert answer.returncode == 0, answer.stderr
    return made


def summary(environment: Environment, output: str, *words: str) -> dict[str, object]:
    command = ("run", "source/experiment.yaml", "--output", output, *words)
    answer = environment.orchestrator(*command)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found: dict[str, object] = json.loads(
        (environment.folder / output / "summary.json").read_text()
    )
    return found


def test_plugins_lists_installed_extensions_with_their_distribution(
    environment: Environment,
) -> None:
    answer = environment.orchestrator("plugins", "--json")
    assert answer.returncode == 0, answer.stderr
    found = {plugin["kind"]: plugin for plugin in json.loads(answer.stdout)}
    assert found.keys() == {"nearest_median", "wide_cnn"}
    method = found["nearest_median"]
    assert (method["offers"], method["distribution"], method["version"], method["format"]) == (
        "method",
        "orchestrator-example-plugin",
        "1.0.0",
        1,
    )
    assert [field["name"] for field in method["fields"]] == ["trust"]
    text = environment.orchestrator("plugins").stdout
    assert "method nearest_median: orchestrator-example-plugin 1.0.0" in text
    assert "trust (default 1.0): Share of the median beside the mean" in text


def test_the_examples_own_tests_pass(environment: Environment) -> None:
    answer = environment.call("-m", "pytest", "-q", "-p", "no:cacheprovider", "source/tests")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "3 passed" in answer.stdout


def test_invalid_settings_of_an_extension_are_reported_like_built_in_ones(
    environment: Environment,
) -> None:
    for override, words in {
        "method.trust=2": "method.trust = 2: input should be less than or equal to 1",
        "method.trusst=1": "method.trusst is not a known key; did you mean method.trust?",
        "method.kind=nearest_meddian": "did you mean nearest_median?",
    }.items():
        answer = environment.orchestrator(
            "run", "source/experiment.yaml", "--set", override, "--output", "never"
        )
        assert answer.returncode == 2, answer.stdout + answer.stderr
        assert words in answer.stderr
    assert environment.orchestrator("validate", "source/experiment.yaml").returncode == 0


def test_a_run_trains_and_a_second_run_on_ray_finds_all_its_stages(
    environment: Environment,
) -> None:
    first = summary(environment, "first", "--set", "execution={kind: in_process}")
    assert first["method"] == "nearest_median"
    teacher = first["teacher"]
    assert isinstance(teacher, dict)
    # random predictions over ten classes give 0.1; the median of real features is far above
    assert teacher["last_accuracy"] > 0.3
    second = summary(environment, "second")
    stages = second["stages"]
    assert isinstance(stages, list)
    assert all(stage["cached"] for stage in stages)
    assert second["teacher"] == first["teacher"]


def test_settings_of_an_extension_are_swept_on_ray(environment: Environment) -> None:
    command = ("sweep", "source/search_space.yaml", "--experiment", "source/experiment.yaml")
    answer = environment.orchestrator(*command, "--output", "sweep")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = json.loads((environment.folder / "sweep" / "summary.json").read_text())
    assert sorted(trial["parameters"]["method.trust"] for trial in found["trials"]) == [0, 0.5, 1]
    assert {trial["status"] for trial in found["trials"]} == {"finished"}


@pytest.fixture
def cluster_without_the_plugin(tmp_path: Path) -> Iterator[str]:
    """Start a Ray cluster whose node has this environment's packages but not the plugin."""
    port = free_port()
    log = tmp_path / "head.log"
    # the path of a socket below it has at most 107 bytes
    scratch = tempfile.mkdtemp(prefix="ray-")
    options = ["--num-cpus=2", "--include-dashboard=false", f"--temp-dir={scratch}"]
    with log.open("wb") as stream:
        head = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("ray")),
                *("start", "--head", "--block", f"--port={port}", *options),
            ],
            env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        wait_for_server(head, lambda: b"Ray runtime started" in log.read_bytes(), log)
        yield f"127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):  # the process has ended by itself: the test reports why
            os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def test_a_node_without_the_extension_fails_a_run_before_anything_starts(
    environment: Environment, cluster_without_the_plugin: str
) -> None:
    answer = environment.orchestrator(
        "run",
        "source/experiment.yaml",
        *("--set", f"execution.address={cluster_without_the_plugin}", "--output", "elsewhere"),
        RAY_AUTH_MODE="disabled",
    )
    assert answer.returncode == 2, answer.stdout + answer.stderr
    assert "method nearest_median: node " in answer.stderr
    assert "has nothing that offers this kind" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (environment.folder / "elsewhere").exists()


def test_an_uninstalled_extension_is_one_clear_error(environment: Environment) -> None:
    answer = environment.call("-m", "pip", "uninstall", "-y", "orchestrator-example-plugin")
    assert answer.returncode == 0, answer.stderr
    missed = environment.orchestrator("run", "source/experiment.yaml", "--output", "third")
    assert missed.returncode == 2
    assert "method.kind = 'nearest_median' is not known" in missed.stderr
    assert "Traceback" not in missed.stderr
    assert not (environment.folder / "third").exists()
    assert "no extensions are installed" in environment.orchestrator("plugins").stdout
