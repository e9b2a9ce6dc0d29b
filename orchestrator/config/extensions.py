"""Methods, backbones, image sources and transfer rules from outside the package.

A distribution offers them by entry points in one of four groups. In an experiment file the name of
an entry point is a `kind` like the built-in ones:

```toml
[project.entry-points."orchestrator.methods"]
my_method = "my_package.method:MY_METHOD"
```

Each group has a base class here or beside the built-in configurations (`MethodExtension`,
`BackboneExtension`, `ImageSourceExtension`, `TransferRuleExtension`). An entry point names an
object (module, class or instance) with two attributes beside those of its group:

- `config`: a subclass of that base class: the fields that a user may set;
- `format`: an integer that is raised when the extension computes something else.

Nothing is loaded before a configuration asks for it by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, ClassVar, Literal, get_args, get_origin

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from orchestrator.config.base import Config
from orchestrator.errors import ConfigError

GROUPS = {
    "orchestrator.methods": "method",
    "orchestrator.backbones": "backbone",
    "orchestrator.image_sources": "image source",
    "orchestrator.transfer_rules": "transfer rule",
}
"""Entry-point groups, and what one offers in words."""

_BASES = {
    "orchestrator.methods": "MethodExtension (orchestrator.config.extensions)",
    "orchestrator.backbones": "BackboneExtension (orchestrator.config.backbones)",
    "orchestrator.image_sources": "ImageSourceExtension (orchestrator.config.image_source)",
    "orchestrator.transfer_rules": "TransferRuleExtension (orchestrator.config.transfer)",
}


class Extension(Config):
    """Mark a configuration that comes from outside the package; see the bases of each group."""

    group: ClassVar[str]

    kind: str = Field(description="Name of the extension's entry point.")


class MethodExtension(Extension):
    """Base of the configuration of a method (`orchestrator.methods`).

    Its entry point offers what `orchestrator.methods.method.Method` names, without `formats`:
    `format` stands for both roles.
    """

    group: ClassVar[str] = "orchestrator.methods"


@dataclass(frozen=True)
class Installed:
    """An entry point of an installed distribution.

    Attributes:
        group: Its entry-point group.
        kind: Its name: what `kind` says in an experiment file.
        distribution: Name of the distribution that brings it.
        version: Of that distribution.
        target: Where the object is: `package.module:NAME`.
    """

    group: str
    kind: str
    distribution: str
    version: str
    target: str

    def load(self) -> Any:  # noqa: ANN401 - whatever the entry point names
        """Import and return the object.

        Raises:
            ConfigError: It cannot be imported, or is no extension.
        """
        return _load(self)

    @property
    def words(self) -> str:
        """`method my_method of my-package 1.0`: for messages."""
        return f"{GROUPS[self.group]} {self.kind} of {self.distribution} {self.version}"


def offers(group: str) -> list[Installed]:
    """Return all that installed distributions offer in a group, without importing it."""
    found = []
    for point in metadata.entry_points(group=group):
        name, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
        found.append(
            Installed(group, point.name, name or "an unknown package", version, point.value)
        )
    return found


def installed(group: str) -> dict[str, Installed]:
    """Return the extensions of a group by kind, without importing them.

    Raises:
        ConfigError: Two distributions offer the same kind.
    """
    found: dict[str, Installed] = {}
    for offered in offers(group):
        other = found.setdefault(offered.kind, offered)
        if other.target != offered.target:
            raise ConfigError(
                f"{other.words} and {offered.words} have the same name",
                where=f"entry points of {group}",
                next_step="uninstall one of them",
            )
    return found


def load_extension(config: Extension) -> Any:  # noqa: ANN401 - what its entry point names
    """Return the object whose configuration this is.

    Raises:
        ConfigError: It is not installed (any more), or cannot be loaded.
    """
    return installed_for(config).load()


def extensions_in(config: Config) -> list[Installed]:
    """Return the installed extensions that a configuration uses, wherever in it they stand.

    Raises:
        ConfigError: One is not installed (any more).
    """
    found = [installed_for(config)] if isinstance(config, Extension) else []
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Config):
            found += extensions_in(value)
    return found


def extensions_named(values: Iterable[object]) -> list[Installed]:
    """Return the installed extensions that swept values name: as a text, or as a mapping's kind."""
    kinds = {it.get("kind") if isinstance(it, dict) else it for it in values if _is_name(it)}
    return [
        offered for group in GROUPS for kind, offered in installed(group).items() if kind in kinds
    ]


def _is_name(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and _is_name(value.get("kind")))


def extension_identity(config: object) -> dict[str, Any]:
    """Return what the stage key holds of an extension: distribution, version and format number.

    Empty for a built-in configuration.

    Raises:
        ConfigError: The extension is not installed, or cannot be loaded.
    """
    if not isinstance(config, Extension):
        return {}
    offered = installed_for(config)
    return {
        "distribution": offered.distribution,
        "version": offered.version,
        "format": offered.load().format,
    }


def installed_for(config: Extension) -> Installed:
    """Return the entry point whose configuration this is, without importing it.

    Raises:
        ConfigError: It is not installed (any more).
    """
    offered = installed(config.group).get(config.kind)
    if offered is None:
        raise ConfigError(
            f"the {GROUPS[config.group]} {config.kind!r} is not installed",
            where=f"entry points of {config.group}",
            next_step="install the package that offers it on every machine that computes",
        )
    return offered


@cache
def _load(offered: Installed) -> Any:  # noqa: ANN401 - what the entry point names
    point = metadata.EntryPoint(offered.kind, offered.target, offered.group)
    advice = f"update or uninstall {offered.distribution}"
    if not point.pattern.match(point.value):
        what = f"{offered.words} does not name package.module:NAME"
        raise ConfigError(what, offered.target, advice)
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"{offered.words} cannot be loaded ({problem})", offered.target, advice
        ) from error
    config, number = getattr(found, "config", None), getattr(found, "format", None)
    if not (isinstance(config, type) and issubclass(config, Extension)):
        base = _BASES[offered.group]
        what = f"{offered.words} has no `config` that is a subclass of {base}"
        raise ConfigError(what, offered.target, advice)
    if config.group != offered.group:
        what = f"{offered.words} has a configuration for {config.group}"
        raise ConfigError(what, offered.target, advice)
    kinds = config.model_fields["kind"].annotation
    if get_origin(kinds) is Literal and offered.kind not in get_args(kinds):
        what = f"{offered.words} has a configuration of kind {get_args(kinds)[0]!r}"
        raise ConfigError(f"{what}: it must be the entry point's name", offered.target, advice)
    if not isinstance(number, int) or isinstance(number, bool):
        raise ConfigError(f"{offered.words} has no integer `format`", offered.target, advice)
    return found


@dataclass(frozen=True)
class OpenUnion:
    """Let a choice between built-in configurations also take those of installed extensions.

    Attributes:
        base: The group's base class.
        built_in: The closed union, with its discriminator.
    """

    base: type[Extension]
    built_in: Any

    @property
    def built_in_kinds(self) -> set[str]:
        """The kinds that no extension can take."""
        models = get_args(get_args(self.built_in)[0])
        return {get_args(model.model_fields["kind"].annotation)[0] for model in models}

    def __get_pydantic_core_schema__(
        self, _source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate by the extension where `kind` names one, else by the closed union."""

        def validate(value: object, closed: core_schema.ValidatorFunctionWrapHandler) -> object:
            if isinstance(value, self.base):
                return value
            kind = value.get("kind") if isinstance(value, dict) else None
            if isinstance(kind, str) and kind not in self.built_in_kinds:
                offered = installed(self.base.group).get(kind)
                if offered is not None:
                    return offered.load().config.model_validate(value)
            return closed(value)

        return core_schema.no_info_wrap_validator_function(
            validate,
            handler.generate_schema(self.built_in),
            serialization=core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True),
        )


def _dump(config: Config, info: core_schema.SerializationInfo) -> dict[str, Any]:
    """Serialize by the value's own class: the annotation does not know an extension's fields."""
    return config.model_dump(
        mode=info.mode,
        include=info.include,  # type: ignore[arg-type] # pydantic has two names for one type
        exclude=info.exclude,  # type: ignore[arg-type]
        exclude_unset=info.exclude_unset,
        exclude_defaults=info.exclude_defaults,
        exclude_none=info.exclude_none,
    )
