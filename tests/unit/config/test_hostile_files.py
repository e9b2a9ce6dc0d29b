"""Every file gives a configuration, or an error that names the fix; never a hang, a traceback, or
excessive memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import annotated_types
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from orchestrator.config import (
    Experiment,
    load_any,
    load_cluster,
    load_experiment,
    load_retraining,
    load_search_space,
)
from orchestrator.config.base import Config
from orchestrator.errors import UserInputError

ROOT = Path(__file__).parents[3]
NUM_EXAMPLES = 80
LONGEST_LINE = 5000

# Values as YAML text, inserted at one place of a valid file.
SNIPPETS = (
    "9" * 5000,
    "0x" + "f" * 5000,
    "0b" + "1" * 70,
    "1" + ":59" * 3000,
    "-" + "9" * 25,
    "1" + "0" * 400,
    str(2**63),
    str(2**64),
    "10000000000000000000000",
    "1e308",
    "-1e308",
    "1e-320",
    "5e-324",
    ".nan",
    ".inf",
    "-.inf",
    "1e99999",
    "~",
    "yes",
    "0",
    "-1",
    '""',
    '"\\0"',
    '"a\\0b"',
    '"\\ud800"',
    '"\\uDFFF x"',
    '"\\e[31m"',
    '"~nobody/x"',
    '"s3://"',
    '"s3://a@b:c@d/?x=%"',
    '"://"',
    '"http://[::1"',
    '"' + "x" * 5000 + '"',
    '"' + "a." * 3000 + '"',
    "2024-13-45",
    "2024-01-01",
    "!!binary aGk=",
    "!!binary '*'",
    "!!set {a}",
    "!!omap [a: 1]",
    "!!pairs [a: 1]",
    "!!int ''",
    "!!int x",
    "!!float ''",
    "!!bool x",
    "!!timestamp x",
    "!!null x",
    "!!str [1]",
    "!!map [1]",
    "!!seq {a: 1}",
    "!!python/object:os.system x",
    "*nowhere",
    "&x [*x]",
    "&x {a: *x}",
    "[]",
    "{}",
    "[[]]",
    "[~]",
    "[{}]",
    "[1, 1]",
    "[1, true]",
    "{1: 2}",
    "{~: 2}",
    "{[1, 2]: 3}",
    "{a: {b: {c: {d: 1}}}}",
    "{<<: {a: 1}}",
    "{<<: [1]}",
    "{<<: 1}",
    "{kind: ~}",
    "{kind: [1]}",
    "{kind: {a: 1}}",
    "{kind: 1}",
    "{kind: choice, values: [" + "[" * 300 + "]" * 300 + "]}",
    "{kind: choice, values: [1, [1, {a: .nan}]]}",
    "{kind: quantized_normal, mean: 0, sd: 1, step: 1e-320}",
    "{kind: int_uniform, low: 0, high: 1000000000000}",
    "[" * 30 + "]" * 30,
    "[" * 3000,
    "{a: " * 3000,
    "[" + "1," * 2000 + "1]",
    "{" + ",".join(f"k{i}: 1" for i in range(2000)) + "}",
    "@",
    "`",
    "|",
    "--- a",
    "%YAML 9.9",
    "\t",
)


def loaded(load: Callable[[Path], object], path: Path) -> object | None:
    """Return the loaded file; None if it is rejected as a user error."""
    try:
        return load(path)
    except UserInputError as error:
        lines = str(error).splitlines()
        assert lines
        assert error.exit_code == 2  # noqa: PT017 - most files raise nothing
        assert all(line.strip() for line in lines)
        assert all(len(line) < LONGEST_LINE for line in lines)
        str(error).encode()
        return None


def read_override(path: Path) -> object:
    """Use the file's text after `--set teacher.num_views=`, and as a path."""
    text = path.read_text()
    loaded(lambda path: load_experiment(DIGITS, [text]), path)
    return load_experiment(DIGITS, [f"teacher.num_views={text}", f"data.kind={text}"])


DIGITS = ROOT / "experiments" / "digits.yaml"
LOADERS: dict[str, Callable[[Path], object]] = {
    "experiment": load_experiment,
    "search space": load_search_space,
    "retraining": load_retraining,
    "cluster": load_cluster,
    "any": load_any,
    "override": read_override,
}


def trees(kind: str) -> list[Any]:
    """Draw valid, complete files of a kind as JSON values."""
    experiments = [ROOT / "experiments" / name for name in ("digits.yaml", "cifar100.yaml")]
    retrainings = [ROOT / "experiments" / "retraining_digits.yaml"]
    spaces = sorted((ROOT / "search_spaces").glob("*.yaml"))
    clusters = sorted((ROOT / "k8s" / "overlays").glob("*/cluster.yaml"))
    of_kind: dict[str, list[Any]] = {
        "experiment": [load_experiment(path) for path in experiments],
        "search space": [load_search_space(path) for path in spaces],
        "retraining": [load_retraining(path) for path in retrainings],
        "cluster": [load_cluster(path) for path in clusters],
    }
    of_kind["any"] = [*of_kind["experiment"], *of_kind["search space"], *of_kind["retraining"]]
    return [config.model_dump(mode="json", by_alias=True) for config in of_kind.get(kind, [])]


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - JSON values
    """Yield the paths of all values of a tree."""
    if path:
        yield path
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield from places(tree[key], (*path, key))


def text_with(tree: Any, path: tuple[Any, ...], snippet: str) -> str:  # noqa: ANN401 - JSON values
    """Return the tree as YAML text, with other text at one place."""
    changed = json.loads(json.dumps(tree))
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = "@HERE@"
    return json.dumps(changed).replace('"@HERE@"', snippet)


TREES = {kind: [(tree, [*places(tree)]) for tree in trees(kind)] for kind in LOADERS}
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["kind", "digits", "parquet", "ray", "choice", "uniform", "grid"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


@st.composite
def spoilt(draw: st.DrawFn, kind: str) -> str:
    """Draw a valid file with another value at one of its places."""
    tree, paths = draw(st.sampled_from(TREES[kind]))
    snippet = draw(st.sampled_from(SNIPPETS) | PLAIN.map(json.dumps))
    return text_with(tree, draw(st.sampled_from(paths)), snippet)


TEXTS = {
    "no file at all": st.text(max_size=60) | st.sampled_from(SNIPPETS),
    "some values": st.dictionaries(
        st.sampled_from(["name", "data", "experiment", "source", "parameters", "tasks", "seeds"])
        | st.text(max_size=6),
        PLAIN,
        max_size=4,
    ).map(json.dumps),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_any_file_is_a_configuration_or_a_reported_error(kind: str, tmp_path: Path) -> None:
    file, load = tmp_path / "file.yaml", LOADERS[kind]
    texts = [*TEXTS.values(), *([spoilt(kind)] if TREES[kind] else [])]
    num, began = [0, 0], time.process_time()

    @settings(
        max_examples=NUM_EXAMPLES * len(texts),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(st.one_of(*texts))
    def check(text: str) -> None:
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        num[loaded(load, file) is None] += 1

    check()
    seconds = time.process_time() - began
    print(f"{kind}: {num[0]} loaded, {num[1]} refused, {seconds:.1f} s")  # noqa: T201 - pytest -s shows it
    assert num[1]


@pytest.mark.parametrize("kind", [kind for kind in LOADERS if TREES[kind] and kind != "any"])
def test_every_hostile_value_at_every_place_is_handled(kind: str, tmp_path: Path) -> None:
    """Every place is tested once, and so is every hostile value."""
    file, num, began = tmp_path / "file.yaml", 0, time.process_time()
    for tree, paths in TREES[kind]:
        for path in paths:
            file.write_text(text_with(tree, path, SNIPPETS[num % len(SNIPPETS)]))
            loaded(LOADERS[kind], file)
            num += 1
    print(f"{kind}: {num} files, {time.process_time() - began:.1f} s")  # noqa: T201


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\0", b"a: \x1b[31m", b"\xef\xbb\xbfname: a"])
def test_bytes_that_are_no_text_are_reported(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(content)
    loaded(load_experiment, file)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "\udcff.yaml"])
def test_an_invalid_path_is_reported(name: str, tmp_path: Path) -> None:
    assert loaded(load_experiment, tmp_path / name) is None
    retraining = tmp_path / "retraining.yaml"
    retraining.write_text(json.dumps({"experiment": name, "source": {"path": "x"}}))
    assert loaded(load_retraining, retraining) is None


# --- size -----------------------------------------------------------------------------------------

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(9 * [f'*{chr(97 + n)}'])}]\n" for n in range(9)
)
LARGE = {
    "alias bomb": BOMB,
    "class order": f"scenario: {{class_order: [{','.join(map(str, range(60_000)))}]}}",
    "labels twice": f"scenario: {{class_order: [{'a,' * 60_000}]}}",
    "unknown keys": "{" + ",".join(f"k{i}: 1" for i in range(40_000)) + "}",
    "wrong values": "{name: [" + "{a: 1}," * 20_000 + "]}",
    "open brackets": "[" * 10**6,
    "a long number": "seed: " + "1" * 10**6,
    "sexagesimal": "seed: 1" + ":1" * 10**6,
    "one text": "name: " + "x" * 2**21,
    "many seeds": f"{{parameters: {{}}, seeds: [{','.join(map(str, range(60_000)))}]}}",
    "constraint": f"{{parameters: {{}}, constraints: ['a > {'1' * 50_000}']}}",
}
ONE = """
import resource, sys, time
from orchestrator.config import load_any
from orchestrator.errors import UserInputError
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
began = time.process_time()
try:
    load_any(sys.argv[1])
except UserInputError as error:
    pass
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.process_time() - began, int(peak.split()[1]) / 1024)
"""


@pytest.mark.parametrize("name", LARGE)
def test_a_large_file_takes_little_time_and_memory(name: str, tmp_path: Path) -> None:
    """Some of these once took minutes or all memory. They now take a second and 200 MB; the limits
    are far above that, for slower machines.
    """
    file = tmp_path / "file.yaml"
    file.write_text(LARGE[name])
    ended = subprocess.run(
        [sys.executable, "-c", ONE, str(file)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    seconds, megabytes = map(float, ended.stdout.split())
    print(f"{name}: {seconds:.2f} s, {megabytes:.0f} MB")  # noqa: T201
    assert seconds < 20
    assert megabytes < 200


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(UserInputError, match="more than 2,097,152 bytes"):
        load_experiment("/dev/zero")


# --- large values that are accepted ---------------------------------------------------------------


def test_sizes_that_large_projects_need_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    large = {
        "scenario": {
            "num_base_classes": 1000,
            "class_order": [f"class {i}" for i in range(20_000)],
        },
        "teacher": {"training": {"batch_size": 10**6, "epochs": 10_000}},
        "execution": {"kind": "ray", "student": {"num_train_workers": 64}},
    }
    file.write_text(json.dumps(large))
    assert isinstance(load_any(file), Experiment)
    tasks = [[2 * task, 2 * task + 1] for task in range(10_000)]
    file.write_text(json.dumps({"scenario": {"tasks": tasks}}))
    experiment = load_any(file)
    assert isinstance(experiment, Experiment)
    assert len(experiment.scenario.tasks or ()) == 10_000


# --- numbers --------------------------------------------------------------------------------------

# Limited by their own validators, or by literals.
OTHERWISE_BOUNDED = {
    "ScenarioConfig.class_order",
    "ScenarioConfig.tasks",  # labels
    "SearchSpace.metric",
    "TorchvisionDataConfig.options",  # arguments of torchvision's classes
}


def numbers_without_bound(annotation: object, metadata: list[object]) -> bool:
    """Return whether the annotation has a number without an upper bound."""
    if any(isinstance(it, annotated_types.Le | annotated_types.Lt) for it in metadata):
        return False
    if annotation in (int, float):
        return True
    if get_origin(annotation) is not None and str(annotation).startswith("typing.Literal"):
        return False
    inner = getattr(annotation, "__metadata__", ())
    found = [it for of in inner for it in (of.metadata if isinstance(of, FieldInfo) else [of])]
    return any(
        numbers_without_bound(argument, [*metadata, *found])
        for argument in get_args(annotation)
        if argument is not Ellipsis
    )


def models(base: type[Config] = Config) -> Iterator[type[Config]]:
    for model in base.__subclasses__():
        if model.__module__.startswith("orchestrator."):
            yield model
        yield from models(model)


def test_every_number_has_an_upper_bound() -> None:
    unbounded = {
        f"{model.__name__}.{name}"
        for model in models()
        for name, field in model.model_fields.items()
        if numbers_without_bound(field.annotation, field.metadata)
    }
    assert unbounded == OTHERWISE_BOUNDED
