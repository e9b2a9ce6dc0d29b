"""YAML files and `--set` overrides → a validated experiment, search space or retraining; every
error names the file and the key path.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from orchestrator.config.addresses import without_password, without_passwords
from orchestrator.config.cluster import ClusterConfig
from orchestrator.config.experiment import Experiment
from orchestrator.config.retraining import Retraining
from orchestrator.config.schema import fields_of, unknown_key, values_of, variant_kinds
from orchestrator.config.search_space import SearchSpace
from orchestrator.errors import ConfigError

Tree = dict[str, Any]
_OTHER_LINE_ENDS = {"\x85", "\u2028", "\u2029"}
Root = TypeVar("Root", bound=BaseModel)


def load_experiment(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Reads an experiment file and applies overrides.

    Args:
        path: The YAML file.
        overrides: `a.b=value` each; the value is read as YAML. Choosing another `kind` drops what
            the file says about the old kind's own keys.

    Raises:
        ConfigError: The file is missing or no YAML, a key is unknown, or a value is of the wrong
            type or out of range.
    """
    tree = _read_yaml(Path(path))
    source = " ".join([str(path), *(f"--set {override}" for override in overrides)])
    for override in overrides:
        _apply_override(tree, override)
    return _validated(Experiment, tree, source)


def load_search_space(path: str | Path, num_trials: int | None = None) -> SearchSpace:
    """Reads a search space file.

    Args:
        path: The YAML file.
        num_trials: Instead of the file's; None leaves that.

    Raises:
        ConfigError: As for an experiment; also a path that no experiment has, an empty range,
            conditions in a circle.
    """
    tree = {"name": Path(path).stem, **_read_yaml(Path(path))}
    return _validated(
        SearchSpace, tree if num_trials is None else {**tree, "num_trials": num_trials}, str(path)
    )


def load_retraining(path: str | Path, overrides: Sequence[str] = ()) -> Retraining:
    """Reads a retraining file and applies overrides.

    Args:
        path: The YAML file. Its `experiment` is a mapping, or the path of an experiment file, from
            this file's folder.
        overrides: As for an experiment: `source.path=/data`, `experiment.seed=1`.

    Raises:
        ConfigError: As for an experiment.
    """
    path = Path(path)
    tree = _read_yaml(path)
    named = tree.get("experiment")
    if isinstance(named, str):
        tree["experiment"] = _read_yaml(path.parent / named)
    source = " ".join([str(path), *(f"--set {override}" for override in overrides)])
    for override in overrides:
        _apply_override(tree, override, Retraining)
    return _validated(Retraining, tree, source)


def load_cluster(path: str | Path | None, namespace: str | None = None) -> ClusterConfig:
    """Reads the configuration of a Kubernetes cluster.

    Args:
        path: The YAML file; None means the defaults.
        namespace: Instead of the file's; None leaves that.

    Raises:
        ConfigError: As for an experiment.
    """
    tree = {} if path is None else _read_yaml(Path(path))
    return _validated(
        ClusterConfig,
        tree if namespace is None else {**tree, "namespace": namespace},
        str(path or "--namespace"),
    )


def load_any(path: str | Path) -> Experiment | SearchSpace | Retraining:
    """Reads an experiment file, a search space file (it has the key `parameters`) or a retraining
    file (it has the key `source`).

    Raises:
        ConfigError: As for the one or the other.
    """
    tree = _read_yaml(Path(path))
    if "source" in tree:
        return load_retraining(path)
    return (
        _validated(SearchSpace, tree, str(path))
        if "parameters" in tree
        else _validated(Experiment, tree, str(path))
    )


def with_values(base: Experiment | Mapping[str, Any], values: Mapping[str, Any]) -> Experiment:
    """An experiment with other values at some paths.

    Args:
        base: An experiment, or what its file holds; it is left as it is.
        values: By dotted path. A `kind` comes before what stands beside it, and drops what only the
            old kind knows.

    Raises:
        ConfigError: A path is unknown, or a value is of the wrong type or out of range.
    """
    tree = (
        base.model_dump(mode="json") if isinstance(base, Experiment) else copy.deepcopy(dict(base))
    )
    for path in sorted(values, key=_outer_first_then_kinds):
        _set_value(tree, path.split("."), copy.deepcopy(values[path]))
    return _validated(Experiment, tree)


def _outer_first_then_kinds(path: str) -> tuple[int, bool]:
    return path.count("."), not path.endswith(".kind")


def values_to_keep(experiment: Experiment) -> Tree:
    """The experiment as JSON, complete with every default, but without passwords: what is kept is
    read by more people than who ran it.
    """
    tree: Tree = without_passwords(experiment.model_dump(mode="json"))
    return tree


def dump_experiment(experiment: Experiment) -> str:
    """The same as YAML text: reading it back gives an equal experiment, where no address has a
    password.
    """
    tree = values_to_keep(experiment)
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    if not _OTHER_LINE_ENDS.isdisjoint(text):  # YAML would read them as blanks
        text = yaml.safe_dump(tree, sort_keys=False)
    return text


def flatten(experiment: Experiment) -> dict[str, str]:
    """`{"teacher.training.epochs": "30", …}`: the experiment as MLflow parameters."""
    return flatten_tree(experiment.model_dump(mode="json"))


def flatten_tree(tree: Mapping[str, Any]) -> dict[str, str]:
    """The same of an experiment that was written as JSON."""
    flat: dict[str, str] = {}

    def walk(prefix: str, node: object) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(f"{prefix}.{key}" if prefix else key, value)
        else:
            flat[prefix] = without_password(str(node))

    walk("", tree)
    return flat


def _read_yaml(path: Path) -> Tree:
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


def _apply_override(tree: Tree, override: str, root: type[BaseModel] = Experiment) -> None:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    where = f"--set {override}"
    if not equals or not all(keys):
        raise ConfigError(
            "is not of the form a.b=value",
            where=where,
            next_step="for example --set teacher.training.epochs=10",
        )
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(
            f"the value {text!r} is not valid YAML", where=where, next_step="quote it"
        ) from None
    _set_value(tree, keys, value, where, root)


def _set_value(
    tree: Tree,
    keys: Sequence[str],
    value: object,
    where: str = "",
    root: type[BaseModel] = Experiment,
) -> None:
    model: Any = root
    node = tree
    for depth, key in enumerate(keys[:-1]):
        fields = fields_of(model, node) if model else {}
        own = values_of(model)
        if model is not None and own is None and key not in fields:
            raise ConfigError(unknown_key(".".join(keys[: depth + 1]), fields), where=where)
        model = fields.get(key) if own is None else own
        child = node.get(key)
        if not isinstance(child, dict):
            child = {}
            node[key] = child
        node = child
    if keys[-1] == "kind" and model is not None and node.get("kind") != value:
        _drop_keys_of_other_kinds(node, model, value)
    node[keys[-1]] = value


def _drop_keys_of_other_kinds(node: Tree, union: object, kind: object) -> None:
    """Choosing another kind on the command line leaves behind the file's keys that only the old
    kind knows.
    """
    known = variant_kinds(union)
    if isinstance(kind, str) and kind in known:
        for key in [key for key in node if key not in known[kind].model_fields]:
            del node[key]


def _validated(root: type[Root], tree: Tree, source: str = "") -> Root:
    try:
        return root.model_validate(tree)
    except ValidationError as error:
        where = f"{source}: " if source else ""
        raise ConfigError(
            "\n".join(where + line for line in _describe(error, root, tree))
        ) from None


def _describe(error: ValidationError, root: type[BaseModel], tree: Tree) -> list[str]:
    lines, items = [], error.errors()
    for item in items:
        path, parent_fields, annotation = _key_path(item["loc"], root, tree)
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = unknown_key(path, parent_fields)
        elif item["type"] == "missing":
            message = f"{path} is missing; add it"
        elif item["type"] == "model_type":
            message = (
                f"{path} = {_shorten(item['input'])}: should be a mapping of `key: value` lines"
            )
        elif item["type"] == "union_tag_not_found":
            message = (
                f"{path}.kind is missing; choose one of {', '.join(variant_kinds(annotation))}"
            )
        elif item["type"] == "union_tag_invalid":
            kinds = item["ctx"]["expected_tags"]
            given = item["ctx"]["tag"]
            nearest = difflib.get_close_matches(
                given, [k.strip(" '") for k in kinds.split(",")], n=1
            )
            advice = f"did you mean {nearest[0]}?" if nearest else f"choose one of {kinds}"
            message = f"{path}.kind = {given!r} is not known; {advice}"
        elif item["type"] in {"too_short", "too_long"}:
            if any(
                len(other["loc"]) > len(item["loc"])
                and other["loc"][: len(item["loc"])] == item["loc"]
                for other in items
            ):
                continue  # pydantic has not counted the entries that are wrong themselves
            context = item["ctx"]
            bound = (
                f"at least {context['min_length']}"
                if item["type"] == "too_short"
                else f"at most {context['max_length']}"
            )
            message = (
                f"{path} = {_shorten(item['input'])}: its length should be {bound}, not"
                f" {context['actual_length']}"
            )
        elif item["type"] == "value_error":
            message = "\n".join(
                f"{path + ': ' if path else ''}{line}" for line in message.splitlines()
            )
        else:
            message = f"{path} = {_shorten(item['input'])}: {message[0].lower()}{message[1:]}"
        lines += message.splitlines()
    return lines


def _key_path(
    location: tuple[int | str, ...], root: type[BaseModel], tree: object
) -> tuple[str, Mapping[str, Any], object]:
    """Pydantic's location as the user's key path (without the names of variants), the fields beside
    its last key, its annotation.
    """
    path = ""
    model: Any = root
    node = tree
    fields: Mapping[str, Any] = {}
    for part in location:
        if isinstance(node, dict) and part not in node and part in variant_kinds(model):
            model = variant_kinds(model)[part]
            continue
        own = values_of(model)
        fields = fields_of(model, node) if model is not None else {}
        model = fields.get(str(part)) if own is None else own
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
        node = (
            node.get(part)
            if isinstance(node, dict)
            else node[part]
            if isinstance(node, list) and isinstance(part, int)
            else None
        )
    return path, fields, model


def _shorten(value: object, length: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= length else text[: length - 1] + "…"
