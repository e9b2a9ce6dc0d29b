"""Write manifests as YAML for people and for `kubectl apply -f -`."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from orchestrator.cluster.names import Manifest


def as_yaml(manifests: Iterable[Manifest]) -> str:
    """Return the manifests as YAML text, with one YAML document for each manifest."""
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
    """Writes YAML without aliases for repeated values, and keeps the line breaks of multi-line
    texts.
    """

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)
