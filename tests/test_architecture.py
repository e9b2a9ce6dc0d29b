"""Properties of the whole package: imports, file sizes, the frozen command line, shapes that run as
checks.
"""

import ast
import graphlib
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jaxtyping
import pytest
import torch
import typer.main
from torch import Tensor
from typer.core import TyperGroup

from orchestrator.cli.application import COMMANDS, DATA_COMMANDS, build_application

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "orchestrator").rglob("*.py"))
HEAVY = ("torch", "torchvision", "ray", "mlflow", "matplotlib", "sklearn", "pyarrow", "numpy")


# --- imports --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        *([*command, "--help"] for command in (["data"], ["data", "import"], ["data", "describe"])),
        *(
            [command, "--help"]
            for command in (
                "run",
                "sweep",
                "plan",
                "gc",
                "ui",
                "report",
                "compare",
                "list",
                "retrain",
                "approve",
                "reject",
                "rollback",
            )
        ),
        *([command, "--help"] for command in ("submit", "status", "cancel", "export", "predict")),
        ["register", "--help"],
        ["register", "3f2a9c1e", "--tracking-uri", "sqlite:///nonesuch/mlflow.db"],
        ["submit", "run", "experiments/digits.yaml", "--dry-run"],
        ["submit", "sweep", "search_spaces/smoke.yaml", "experiments/nonesuch.yaml"],
        [
            "validate",
            "experiments/digits.yaml",
            "search_spaces/smoke.yaml",
            "experiments/retraining_digits.yaml",
        ],
        ["retrain", "experiments/nonesuch.yaml"],
        ["report", "experiments/nonesuch.yaml"],
        ["predict", "nonesuch.onnx", "photos"],
        ["predict", "3f2a9c1e", "photos", "--tracking-uri", "sqlite:///nonesuch/mlflow.db"],
        ["list", "--tracking-uri", "sqlite:///nonesuch/mlflow.db"],
        ["retrain", "experiments/retraining_digits.yaml", "--backtest", "nonesuch", "--dry-run"],
        ["run", "experiments/nonesuch.yaml"],
        ["sweep", "search_spaces/smoke.yaml", "--experiment", "experiments/nonesuch.yaml"],
        ["plan", "experiments/digits.yaml", "--search-space", "search_spaces/nonesuch.yaml"],
    ],
    ids=" ".join,
)
def test_help_validate_and_an_invalid_file_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from orchestrator.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print('LOADED', sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert answer.stdout.splitlines()[-1] == "LOADED []", answer.stdout + answer.stderr
    assert answer.returncode == (2 if "nonesuch" in " ".join(arguments) else 0)


def test_the_package_and_its_configuration_import_nothing_heavy() -> None:
    code = (
        "import sys, orchestrator, orchestrator.config, orchestrator.errors; sys.exit('"
        f" '.join(set({HEAVY!r}) & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stderr.strip()) in {(0, ""), (1, "")}, answer.stderr


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    orchestrator = importlib.import_module("orchestrator")
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        orchestrator.runn  # noqa: B018 - the access is the test


def imports_of(package: Path) -> dict[str, set[str]]:
    """Return the modules of a package that each of its modules imports: at once, in a function, or
    for type checkers only.
    """
    files = {
        ".".join(file.relative_to(package.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): file
        for file in package.rglob("*.py")
    }
    imports: dict[str, set[str]] = {}
    for module, file in files.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:  # a module, or a name in one
                    inside = f"{node.module}.{alias.name}"
                    named.add(inside if inside in files else node.module)
        imports[module] = named & files.keys()
    return imports


def test_no_module_imports_itself_through_others() -> None:
    imports = imports_of(ROOT / "orchestrator")
    assert len(imports) == len(SOURCES)
    graphlib.TopologicalSorter(imports).prepare()


@pytest.mark.parametrize(
    "importing_a",
    [
        "import pets.a",
        "from pets.a import Cat",
        "from pets import a",
        "def late():\n    from pets.a import Cat",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pets.a import Cat",
    ],
)
def test_an_import_cycle_is_found(tmp_path: Path, importing_a: str) -> None:
    package = tmp_path / "pets"
    package.mkdir()
    (package / "__init__.py").write_text("from pets.a import Cat")
    (package / "a.py").write_text("from pets import b")
    (package / "b.py").write_text(importing_a)
    with pytest.raises(graphlib.CycleError) as error:
        graphlib.TopologicalSorter(imports_of(package)).prepare()
    assert set(error.value.args[1]) == {"pets.a", "pets.b"}


# --- only methods know about methods ------------------------------------------------------------


def _method_names() -> set[str]:
    from orchestrator.config import Experiment
    from orchestrator.config.schema import variant_kinds

    return set(variant_kinds(Experiment.model_fields["method"].annotation))


METHOD_FREE = (
    "stages", "pipelines", "retraining", "cluster", "distributed", "tuning", "tracking",
    "figures", "reporting", "evaluation", "training", "models", "data", "export",
)  # fmt: skip


@pytest.mark.parametrize("package", METHOD_FREE)
def test_nothing_outside_methods_and_config_names_a_method(package: str) -> None:
    """No kind as text, and no import of a method or of its configuration."""
    names = _method_names()
    found = []
    for file in sorted((ROOT / "orchestrator" / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in names:
                found.append(f"{file.name}:{node.lineno}: {node.value!r}")
            if isinstance(node, ast.ImportFrom) and node.module:
                part = node.module.removeprefix("orchestrator.methods.").split(".")[0]
                if part in names or node.module == "orchestrator.config.methods":
                    found.append(f"{file.name}:{node.lineno}: {node.module}")
    assert not found, found


def test_every_built_in_method_is_one_module_that_implements_the_protocol() -> None:
    from orchestrator.config import Experiment
    from orchestrator.methods.method import Method, method_of

    for name in _method_names():
        experiment = Experiment.model_validate({"method": {"kind": name}})
        assert isinstance(method_of(experiment), Method), name


# --- only one module knows about devices ----------------------------------------------------------


def _names_a_device(node: ast.AST) -> bool:
    """Return whether code chooses a kind of device, instead of using the device that it is
    handed.
    """
    match node:
        case ast.Attribute(value=ast.Name("torch"), attr="cuda"):
            return True
        case ast.Attribute(attr="is_cuda" | "pin_memory"):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name("torch"), attr="device")):
            return True
        case ast.Call(func=ast.Attribute(attr="cuda")):
            return True
        case ast.Call(func=ast.Attribute(attr="to"), args=[ast.Constant(str()), *_]):
            return True
        case ast.keyword("device", ast.Constant(str())):
            return True
        case ast.Compare(ast.Attribute(attr="type"), comparators=[ast.Constant("cuda" | "cpu")]):
            return True
    return False


def _where_devices_are_named(code: str) -> list[int]:
    return sorted({it.lineno for it in ast.walk(ast.parse(code)) if _names_a_device(it)})  # type: ignore[attr-defined] # all that match have one


def test_only_one_module_names_a_device() -> None:
    found = {
        str(file.relative_to(ROOT)): lines
        for file in SOURCES
        if (lines := _where_devices_are_named(file.read_text(encoding="utf-8")))
    }
    assert list(found) == ["orchestrator/devices.py"], found


@pytest.mark.parametrize(
    "line",
    [
        "a = torch.zeros(2, device='cuda')",
        "a = torch.zeros(2).to('cuda:0', non_blocking=True)",
        "a = torch.zeros(2).cuda()",
        "a = torch.device('cpu')",
        "a = 4 if device.type == 'cuda' else 2",
        "a = torch.cuda.is_available()",
    ],
)
def test_code_that_names_a_device_is_noticed(line: str) -> None:
    taken = "a = b.to(context.device).float() + torch.eye(2, device=b.device).cpu()"
    assert _where_devices_are_named(f"{taken}\n{line}\n") == [2]


# --- only image sources know about image sources ------------------------------------------------

NAMES_SOURCES = {
    "pipelines/data/sources.py": "guesses the source that a person names on the command line",
    "retraining/candidate.py": "writes the configuration of the images that have arrived",
    "pipelines/run/outputs.py": "lists the versions of packages, one of which is torchvision",
}


def _source_variants() -> dict[str, type]:
    from orchestrator.config import Experiment
    from orchestrator.config.schema import variant_kinds

    return dict(variant_kinds(Experiment.model_fields["data"].annotation))


def _names_of_sources(file: Path, variants: dict[str, type]) -> list[str]:
    """Return kinds as text, imports of source modules, and imports of their configurations."""
    kinds, configurations = {*variants}, {model.__name__ for model in variants.values()}
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and node.value in kinds:
            found.append(str(node.value))
        if isinstance(node, ast.ImportFrom) and node.module:
            parent, _, module = node.module.rpartition(".")
            if parent == "orchestrator.data.sources" and module in kinds:
                found.append(node.module)
            if node.module == "orchestrator.config.data":
                found += [alias.name for alias in node.names if alias.name in configurations]
    return found


def test_nothing_outside_sources_and_config_names_an_image_source() -> None:
    package, variants = ROOT / "orchestrator", _source_variants()
    naming = {
        name
        for file in SOURCES
        if not (name := str(file.relative_to(package))).startswith(("config/", "data/sources/"))
        and _names_of_sources(file, variants)
    }
    assert naming == set(NAMES_SOURCES)


def test_every_built_in_source_is_one_module_that_implements_the_protocol() -> None:
    from orchestrator.data.sources.source import SourceKind

    folder = ROOT / "orchestrator" / "data" / "sources"
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__", "source"}
    assert modules == set(_source_variants())
    for name in modules:
        module = importlib.import_module(f"orchestrator.data.sources.{name}")
        assert isinstance(module.SOURCE, SourceKind), name


def test_every_built_in_backbone_is_one_module_that_implements_the_protocol() -> None:
    from orchestrator.config.schema import variant_kinds
    from orchestrator.config.teacher import TeacherConfig
    from orchestrator.models.backbones.kinds import BackboneKind

    for kind in variant_kinds(TeacherConfig.model_fields["backbone"].annotation):
        module = importlib.import_module(f"orchestrator.models.backbones.{kind}")
        assert isinstance(module, BackboneKind), kind


# --- files to edit for an addition ---------------------------------------------------------------


def _ways_to_add() -> list[tuple[str, ...]]:
    """Return the rows of CONTRIBUTING's table, without the first column."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| to add |") :].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [tuple(row) for row in rows[2:]]


@pytest.mark.parametrize("row", _ways_to_add(), ids=lambda row: str(row[0]))
def test_each_kind_of_addition_edits_the_files_that_contributing_names(
    row: tuple[str, ...],
) -> None:
    """The example's name occurs in these files of the package, and in no others."""
    _, new_file, edited, example, _ = row
    name = example.strip("`")
    kind = _kind_of(name)
    expected = {
        path.strip("` ").replace("KIND", kind).replace("NAME", name)
        for path in [*edited.split(","), *([new_file] if new_file != "–" else [])]
    }
    naming = re.compile(
        rf"\b{name}\b|import {name}\b" if name.endswith("Config") else rf"{name}\.?"
    )
    named = {
        str(file.relative_to(ROOT / "orchestrator"))
        for file in SOURCES
        if naming.search(file.read_text(encoding="utf-8"))
        and (name.endswith("Config") or file.parent.name == "cli")
    }
    assert named == expected


def _kind_of(name: str) -> str:
    from orchestrator.config import backbones, data, methods

    for module in (backbones, data, methods):
        if config := getattr(module, name, None):
            return str(config.model_fields["kind"].default)
    return ""


def test_extension_points_are_those_that_contributing_names() -> None:
    from orchestrator.config.extensions import GROUPS

    assert {row[-1].strip("`") for row in _ways_to_add()} - {"–"} == set(GROUPS)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_is_short_and_specifically_named(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300
    assert file.stem not in {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_has_a_module_docstring(file: Path) -> None:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    assert docstring
    assert docstring.split("\n")[0].rstrip().endswith((".", ":")) or "\n" in docstring


@pytest.mark.parametrize("room", ["figures", "tracking", "tracking/mlflow", "tracking/outbox"])
def test_a_packages_drawing_names_every_file_in_it(room: str) -> None:
    folder = ROOT / "orchestrator" / room
    drawing = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert drawing
    words = set(re.findall(r"\w+", drawing))
    assert {file.stem for file in folder.glob("[a-z]*.py")} <= words


def test_the_median_file_has_about_120_lines_or_less() -> None:
    sizes = sorted(len(file.read_text(encoding="utf-8").splitlines()) for file in SOURCES)
    assert sizes[len(sizes) // 2] <= 150


# --- frozen surfaces ------------------------------------------------------------------------------


def test_commands_and_options_are_frozen() -> None:
    group = typer.main.get_group(build_application())
    assert {flag for parameter in group.params for flag in parameter.opts} == {"--version"}
    commands = dict(group.commands)
    data = commands.pop("data")
    assert isinstance(data, TyperGroup)
    commands |= {f"data {name}": command for name, command in data.commands.items()}
    found = {
        name: {flag for parameter in command.params for flag in parameter.opts}
        for name, command in commands.items()
    }
    assert found == {
        "run": {"experiment", "--set", "--output", "--name"},
        "validate": {"files", "--skip-data"},
        "sweep": {
            "search_space",
            "--experiment",
            "--set",
            "--num-trials",
            "--output",
            "--resume",
            "--resume-if-begun",
        },
        "plan": {"experiment", "--set", "--search-space", "--cuts"},
        "gc": {"files", "--store", "--unused-days", "--dry-run"},
        "report": {"what", "--set", "--output", "--tracking-uri"},
        "compare": {"run_ids", "--output", "--tracking-uri"},
        "reconcile": {"--tracking-uri", "--spool", "--sweep", "--storage"},
        "plugins": {"--json"},
        "init": {"folder"},
        "list": {
            "kind",
            "--experiment",
            "--state",
            "--tag",
            "--limit",
            "--json",
            "--tracking-uri",
        },
        "ui": {"--tracking-uri", "--port", "--sweep", "--storage", "--dashboard-port"},
        "approve": {"retraining", "version", "--set", "--reason"},
        "reject": {"retraining", "version", "--set", "--reason"},
        "retrain": {
            "retraining",
            "--set",
            "--dry-run",
            "--output",
            "--scheduled-at",
            "--backtest",
            "--group-by",
            "--orders",
            "--wrong-labels",
            "--what-if",
        },
        "rollback": {"retraining", "--set", "--reason"},
        "submit": {
            "what",
            "files",
            "--set",
            "--experiment",
            "--num-trials",
            "--name",
            "--output",
            "--resume",
            "--dry-run",
            "--schedule",
            "--cluster",
            "--cluster-config",
            "--namespace",
        },
        "status": {"name", "--cluster-config", "--namespace"},
        "cancel": {"name", "--cluster-config", "--namespace"},
        "data import": {
            "source",
            "--output",
            "--root",
            "--download",
            "--test-fraction",
            "--image-size",
            "--max-image-pixels",
            "--strict",
        },
        "data describe": {
            "source",
            "--set",
            "--root",
            "--download",
            "--test-fraction",
            "--image-size",
            "--sheet",
            "--run",
        },
        "predict": {"model", "images", "--output", "--sheet", "--tracking-uri"},
        "register": {"run_id", "--name", "--alias", "--tracking-uri"},
        "export": {"model", "--format", "--output", "--role", "--quantize", "--tracking-uri"},
    }


def test_every_command_file_is_in_the_list_of_commands() -> None:
    files = {file.stem for file in (ROOT / "orchestrator" / "cli").glob("*.py")}
    commands = {*COMMANDS, *(f"data_{name}" for name in DATA_COMMANDS)}
    assert files - {"__init__", "application", "deciding", "options"} == commands


def test_public_names_are_frozen() -> None:
    orchestrator = importlib.import_module("orchestrator")
    assert set(orchestrator.__all__) == {
        "Experiment",
        "RetrainingOutcome",
        "RunListener",
        "RunResult",
        "SweepListener",
        "SweepResult",
        "Tracker",
        "load_experiment",
        "load_retraining",
        "load_search_space",
        "retrain",
        "run",
        "sweep",
        "sweep_listener",
    }
    for name in orchestrator.__all__:
        assert getattr(orchestrator, name).__name__ == name
        assert getattr(orchestrator, name).__doc__
    assert set(orchestrator.__all__) <= set(dir(orchestrator))


LAZY = [
    file for file in SOURCES if file.name == "__init__.py" and "lazy_names(" in file.read_text()
]


@pytest.mark.parametrize("file", LAZY, ids=lambda file: file.parent.name)
def test_type_checkers_see_the_lazily_loaded_names_of_a_package(file: Path) -> None:
    package = ".".join(file.parent.relative_to(ROOT).parts)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    checked, loaded = (
        part for node in tree.body if isinstance(node, ast.If) for part in (node.body, node.orelse)
    )
    seen = {
        alias.name: node.module
        for node in checked
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    [homes] = [
        ast.literal_eval(node.args[1])
        for part in loaded
        for node in ast.walk(part)
        if isinstance(node, ast.Call)
    ]
    module = importlib.import_module(package)
    assert seen == {name: home for home, names in homes.items() for name in names}
    assert seen.keys() == set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nonesuch'"):
        module.nonesuch  # noqa: B018 - the access is the test


def test_no_package_implements_its_own_lazy_names() -> None:
    writing = [file for file in SOURCES if "def __getattr__(name" in file.read_text("utf-8")]
    assert not writing


@pytest.mark.parametrize("name", ["run", "sweep", "retrain"])
def test_functions_to_run_from_python_require_only_their_configuration(name: str) -> None:
    function = getattr(importlib.import_module("orchestrator"), name)
    required = {
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
    }
    assert required <= {"experiment", "search_space", "retraining"}


def test_top_level_configuration_keys_are_frozen() -> None:
    from orchestrator.config import Experiment

    assert set(Experiment.model_fields) == {
        "name",
        "seed",
        "data",
        "scenario",
        "method",
        "teacher",
        "student",
        "execution",
        "store",
        "tracking",
    }


# --- shapes ---------------------------------------------------------------------------------------


def wrong_calls() -> dict[str, Callable[[], object]]:
    """Return one call per package with tensors of a wrong shape or type."""
    from orchestrator.data.augmentation import quarter_turns
    from orchestrator.evaluation.classification import agreement
    from orchestrator.export.comparison import median_seconds
    from orchestrator.methods.features.moments import FeatureMoments
    from orchestrator.models import CosineClassifier
    from orchestrator.retraining.statements import Share
    from orchestrator.training.loop import LossOutput

    vector, matrix = torch.zeros(3), torch.zeros(2, 3)
    return {
        "models": lambda: CosineClassifier(3).anchor(vector),
        "methods": lambda: FeatureMoments(second=matrix, sums=matrix, counts=vector),
        "training": lambda: LossOutput(vector),
        "data": lambda: quarter_turns(torch.zeros(1, 1, 2, 2)),
        "evaluation": lambda: agreement(vector, vector),
        "retraining": lambda: Share.of(vector.numpy(), vector.numpy()),
        "export": lambda: median_seconds(lambda images: images, vector.numpy()),
    }


@pytest.mark.parametrize(
    "package",
    [
        "models",
        "methods",
        "training",
        "data",
        "evaluation",
        "retraining",
        "export",
    ],
)
def test_tensor_shapes_in_signatures_are_checked(package: str) -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        wrong_calls()[package]()


def test_every_package_of_the_learning_code_is_checked() -> None:
    with_shapes = {
        file.relative_to(ROOT / "orchestrator").parts[0]
        for file in SOURCES
        if "from jaxtyping import" in file.read_text()
    }
    assert with_shapes <= set(wrong_calls())


def test_checked_functions_accept_correct_tensors() -> None:
    from orchestrator.data.augmentation import quarter_turns

    turned: Tensor = quarter_turns(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))
    assert turned.shape == (8, 1, 4, 4)
