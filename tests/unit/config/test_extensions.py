"""Extensions of other distributions: found by their entry points, validated like built-in kinds,
part of the stage keys, and reported in one clear error if missing or broken.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Experiment, load_experiment, load_search_space
from orchestrator.config.extensions import extensions_in, extensions_named, installed
from orchestrator.config.schema import variant_kinds
from orchestrator.errors import ConfigError
from orchestrator.methods.method import method_of
from orchestrator.pipelines.plugins.list_plugins import list_plugins
from orchestrator.stages import prepare_work
from tests.extensions.distribution import install

RULES = "orchestrator.transfer_rules"
RULE = '''
from pydantic import Field
from orchestrator.config.transfer import TransferRuleExtension

class Config(TransferRuleExtension):
    """The ratio falls with the square of progress."""

    power: float = Field(default=2.0, gt=0, description="Exponent of progress.")

    def tssr(self, kdr, tstr):
        return 1 - tstr**self.power

class Rule:
    config = Config
    format = 1
'''
METHOD = """
from orchestrator.config.extensions import MethodExtension

class Config(MethodExtension):
    pass

class Rule:
    config = Config
    format = 1
"""
FILE = """
name: with-a-rule
data: {cache_dir: CACHE}
student: {transfer: {kind: square, power: 3}}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    known = set(sys.modules)
    yield folder
    for name in set(sys.modules) - known:
        if getattr(sys.modules[name], "__file__", None) and str(folder) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def rule_file(tmp_path: Path) -> Path:
    file = tmp_path / "experiment.yaml"
    file.write_text(FILE.replace("CACHE", str(tmp_path / "cache")))
    return file


def keys(tmp_path: Path, *overrides: str) -> dict[str, str]:
    work = prepare_work(load_experiment(rule_file(tmp_path), overrides))
    return {stage.name: stage.key for stage in work.stages}


def test_a_rule_is_validated_dumped_and_selects_like_a_built_in_one(
    site: Path, tmp_path: Path
) -> None:
    install(site, {RULES: {"square": "square_rule:Rule"}}, {"square_rule": RULE})
    experiment = load_experiment(rule_file(tmp_path))
    assert experiment.student.transfer.tssr(0.5, 0.5) == 1 - 0.5**3
    written = experiment.model_dump(mode="json")
    assert written["student"]["transfer"]["power"] == 3
    assert Experiment.model_validate(written) == experiment
    assert [found.kind for found in extensions_in(experiment)] == ["square"]


def test_a_new_version_or_format_changes_only_the_keys_that_read_the_extension(
    site: Path, tmp_path: Path
) -> None:
    entry = {RULES: {"square": "square_rule:Rule"}}
    install(site, entry, {"square_rule": RULE}, version="1.0")
    first, built_in = keys(tmp_path), keys(tmp_path, "student.transfer.kind=fixed")
    install(site, entry, {"square_rule": RULE}, version="1.1")
    second = keys(tmp_path)
    assert {name for name in first if first[name] != second[name]} == {
        name for name in first if name.startswith("student")
    }
    assert keys(tmp_path, "student.transfer.kind=fixed") == built_in
    renewed = RULE.replace("format = 1", "format = 2")
    install(site, {RULES: {"square": "square_rule2:Rule"}}, {"square_rule2": renewed})
    assert keys(tmp_path)["student[0]"] not in (first["student[0]"], second["student[0]"])


def test_an_invalid_or_misspelt_setting_is_reported_with_its_path(
    site: Path, tmp_path: Path
) -> None:
    install(site, {RULES: {"square": "square_rule:Rule"}}, {"square_rule": RULE})
    with pytest.raises(ConfigError, match=r"student\.transfer\.power = -1: .*greater than 0"):
        load_experiment(rule_file(tmp_path), ["student.transfer.power=-1"])
    with pytest.raises(ConfigError, match=r"did you mean student\.transfer\.power\?"):
        load_experiment(rule_file(tmp_path), ["student.transfer.powr=1"])


def test_without_the_distribution_the_error_says_what_to_install(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"'square' is not known.*install the package"):
        load_experiment(rule_file(tmp_path))


@pytest.mark.parametrize(
    ("module", "target", "words"),
    [
        ("import nonesuch", "broken:Rule", "No module named 'nonesuch'"),
        ("", "broken:Rule", "has no attribute 'Rule'"),
        ("class Rule:\n    format = 1\n", "broken:Rule", "has no `config`"),
        (RULE.replace("    format = 1\n", "    pass\n"), "broken:Rule", "no integer `format`"),
        (
            METHOD,
            "broken:Rule",
            "has a configuration for orchestrator.methods",
        ),
    ],
    ids=["import error", "no such object", "no config", "no format", "config of another group"],
)
def test_a_broken_extension_is_named_with_its_distribution_and_the_reason(
    module: str, target: str, words: str, site: Path, tmp_path: Path
) -> None:
    name = f"broken_{sum(map(ord, words))}"
    install(site, {RULES: {"square": target.replace("broken", name)}}, {name: module})
    with pytest.raises(ConfigError) as caught:
        load_experiment(rule_file(tmp_path))
    assert words in str(caught.value)
    assert "transfer rule square of example-images 1.0" in str(caught.value)
    (listed,) = list_plugins()
    assert words in listed.problem


def test_two_distributions_with_one_kind_are_an_error_and_the_built_in_kind_wins(
    site: Path, tmp_path: Path
) -> None:
    entries = {RULES: {"square": "square_rule:Rule", "fixed": "square_rule:Rule"}}
    install(site, entries, {"square_rule": RULE})
    fixed = load_experiment(rule_file(tmp_path), ["student.transfer.kind=fixed"])
    assert type(fixed.student.transfer).__name__ == "FixedTransferConfig"
    install(site, {RULES: {"square": "other_rule:Rule"}}, {"other_rule": RULE}, name="another")
    with pytest.raises(ConfigError, match="have the same name"):
        installed(RULES)


@pytest.mark.parametrize("ratio", ["2.0", "float('nan')", "'half'", "-0.1"])
def test_a_ratio_outside_0_to_1_is_reported_with_its_inputs(
    ratio: str, site: Path, tmp_path: Path
) -> None:
    wrong = RULE.replace("1 - tstr**self.power", ratio)
    name = f"wrong_{sum(map(ord, ratio))}"
    install(site, {RULES: {"square": f"{name}:Rule"}}, {name: wrong})
    rule = load_experiment(rule_file(tmp_path)).student.transfer
    with pytest.raises(ConfigError, match=r"tssr\(kdr=0.5, tstr=0.1\) = .* is not a number in"):
        rule.checked_tssr(0.5, 0.1)


def test_a_broken_extension_does_not_affect_other_kinds(site: Path, tmp_path: Path) -> None:
    install(site, {RULES: {"broken": "nonesuch:Rule"}}, {})
    file = tmp_path / "space.yaml"
    file.write_text(
        "name: space\nparameters:\n  student.transfer.ratio: {kind: uniform, low: 0, high: 1,"
        " when: {student.transfer.kind: fixed}}\nnum_trials: 2\n"
    )
    assert load_search_space(file).name == "space"


def test_a_method_that_lacks_a_part_of_the_protocol_is_an_error_naming_that_part(
    site: Path,
) -> None:
    install(site, {"orchestrator.methods": {"bare": "bare_method:Rule"}}, {"bare_method": METHOD})
    with pytest.raises(ConfigError, match="has no student_builds_on_teacher, learns_from_all"):
        method_of(Experiment.model_validate({"method": {"kind": "bare"}}))


def test_plugins_lists_unusable_extensions_with_the_reason(site: Path) -> None:
    entries = {RULES: {"square": "square_rule:Rule", "fixed": "square_rule:Rule"}}
    bad_default = RULE.replace("default=2.0", "default_factory=lambda: 1 / 0")
    install(site, entries, {"square_rule": RULE})
    install(site, {RULES: {"square": "other_rule:Rule"}}, {"other_rule": RULE}, name="another")
    install(site, {RULES: {"odd": "odd_rule:Rule"}}, {"odd_rule": bad_default}, name="odd")
    found = {(it.offered.kind, it.offered.distribution): it for it in list_plugins()}
    assert "same kind" in found["square", "another"].problem
    assert "built-in kind" in found["fixed", "example-images"].problem
    assert found["odd", "odd"].problem == ""
    assert json.dumps([it.as_json() for it in found.values()])


def test_kinds_are_listed_without_importing_their_modules(site: Path) -> None:
    install(site, {RULES: {"square": "square_rule:Rule"}}, {"square_rule": "import nonesuch"})
    annotation = type(Experiment().student).model_fields["transfer"].annotation
    assert set(variant_kinds(annotation)) == {
        "threshold",
        "fixed",
        "linear",
        "per_sample",
        "square",
    }
    assert [found.kind for found in extensions_named(["square", {"kind": "square"}, 1])] == [
        "square"
    ]
