"""Write manifests as YAML for people and for `kubectl apply -f -`."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from orchestrator.cluster.names import Manifest


def as_yaml(manifests: Iterable[Manifest]) -> str:
    """Return the manifests as YAML, one document each."""
    text: str = yaml.dump_all(
        manifests,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=120,
        explicit_start=True,
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Writes repeated values in full instead of as aliases, and multi-line texts with their line
    breaks.
    """

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)
