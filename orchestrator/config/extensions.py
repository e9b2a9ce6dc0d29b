"""Find and load extensions: methods, backbones, image sources and transfer rules from other
packages.

A distribution provides extensions as entry points in one of four groups. An experiment file uses
the name of an entry point as a `kind`, like the built-in kinds:

```toml
[project.entry-points."orchestrator.methods"]
my_method = "my_package.method:MY_METHOD"
```

Each group has a base class for configurations, in this module or next to the built-in
configurations (`MethodExtension`, `BackboneExtension`, `ImageSourceExtension`,
`TransferRuleExtension`). An entry point names an object: a module, class or instance. Besides the
attributes that its group requires, the object has two attributes:

- `config`: a subclass of the group's base class, with the fields that a user may set;
- `format`: an integer, which must be raised whenever the extension's results change.

An extension is loaded only when a configuration names it.
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
"""Entry-point groups, each with the noun that messages use for the group's extensions."""

_BASES = {
    "orchestrator.methods": "MethodExtension (orchestrator.config.extensions)",
    "orchestrator.backbones": "BackboneExtension (orchestrator.config.backbones)",
    "orchestrator.image_sources": "ImageSourceExtension (orchestrator.config.image_source)",
    "orchestrator.transfer_rules": "TransferRuleExtension (orchestrator.config.transfer)",
}


class Extension(Config):
    """Configuration of an extension from another package; each group of extensions has its own base
    class.
    """

    group: ClassVar[str]

    kind: str = Field(description="Name of the extension's entry point.")


class MethodExtension(Extension):
    """Base class for the configuration of a method extension, an entry point of the group
    `orchestrator.methods`.

    The entry point's object provides the members of `orchestrator.methods.method.Method`, except
    `formats`: the object's `format` applies to both teacher and student.
    """

    group: ClassVar[str] = "orchestrator.methods"


@dataclass(frozen=True)
class Installed:
    """Entry point of an installed distribution.

    Attributes:
        group: Entry-point group.
        kind: Name of the entry point, which an experiment file gives as `kind`.
        distribution: Name of the distribution that provides the entry point.
        version: Version of that distribution.
        target: Location of the entry point's object: `package.module:NAME`.
    """

    group: str
    kind: str
    distribution: str
    version: str
    target: str

    def load(self) -> Any:  # noqa: ANN401 - an entry point may name any object
        """Import and return the entry point's object.

        Raises:
            ConfigError: The object cannot be imported, or is not an extension.
        """
        return _load(self)

    @property
    def words(self) -> str:
        """Return a description for messages, such as `method my_method of my-package 1.0`."""
        return f"{GROUPS[self.group]} {self.kind} of {self.distribution} {self.version}"


def offers(group: str) -> list[Installed]:
    """Return all entry points of a group in installed distributions, without importing them."""
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
        ConfigError: Two distributions provide the same kind.
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


def load_extension(config: Extension) -> Any:  # noqa: ANN401 - an entry point may name any object
    """Return the object of the entry point that provides a configuration.

    Raises:
        ConfigError: The extension is not installed, or cannot be loaded.
    """
    return installed_for(config).load()


def extensions_in(config: Config) -> list[Installed]:
    """Return the installed extensions that a configuration uses at any depth.

    Raises:
        ConfigError: An extension is not installed.
    """
    found = [installed_for(config)] if isinstance(config, Extension) else []
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Config):
            found += extensions_in(value)
    return found


def extensions_named(values: Iterable[object]) -> list[Installed]:
    """Return the installed extensions whose kind occurs among the values of a sweep. A value may be
    the kind itself, or a mapping with the key `kind`.
    """
    kinds = {it.get("kind") if isinstance(it, dict) else it for it in values if _is_name(it)}
    return [
        offered for group in GROUPS for kind, offered in installed(group).items() if kind in kinds
    ]


def _is_name(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and _is_name(value.get("kind")))


def extension_identity(config: object) -> dict[str, Any]:
    """Return the parts of an extension that enter the stage key: distribution, version and format.

    The result is empty for a built-in configuration.

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
    """Return the entry point that provides a configuration, without importing its object.

    Raises:
        ConfigError: The extension is not installed.
    """
    offered = installed(config.group).get(config.kind)
    if offered is None:
        raise ConfigError(
            f"the {GROUPS[config.group]} {config.kind!r} is not installed",
            where=f"entry points of {config.group}",
            next_step="install the package that provides it on every machine that computes",
        )
    return offered


@cache
def _load(offered: Installed) -> Any:  # noqa: ANN401 - an entry point may name any object
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
    """Extend a union of built-in configurations by the configurations of installed extensions.

    Attributes:
        base: Base class of the configurations in the extension group.
        built_in: Union of the built-in configurations, with its discriminator.
    """

    base: type[Extension]
    built_in: Any

    @property
    def built_in_kinds(self) -> set[str]:
        """Return the kinds (the values of `kind`) of the built-in configurations. No extension can
        use any of these kinds.
        """
        models = get_args(get_args(self.built_in)[0])
        return {get_args(model.model_fields["kind"].annotation)[0] for model in models}

    def __get_pydantic_core_schema__(
        self, _source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Build the schema that validates a value. If `kind` names an extension, the extension's
        configuration validates the value; otherwise the built-in union does.
        """

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
    """Serialise a configuration by its own class. The annotated union would drop the fields that
    only an extension's class has.
    """
    return config.model_dump(
        mode=info.mode,
        include=info.include,  # type: ignore[arg-type] # pydantic has two names for one type
        exclude=info.exclude,  # type: ignore[arg-type]
        exclude_unset=info.exclude_unset,
        exclude_defaults=info.exclude_defaults,
        exclude_none=info.exclude_none,
    )
