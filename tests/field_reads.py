"""Record which fields of an experiment some code reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from orchestrator.config import Experiment
from orchestrator.config.base import Config


class FieldReads:
    """Recorder of the fields of an experiment that are read, by dotted path: fields that hold a
    value, not groups of fields.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.paths: set[str] = set()
        self._known: dict[int, tuple[Config, str]] = {}
        self._learn_paths(experiment, "")

    def _learn_paths(self, config: Config, prefix: str) -> None:
        # an object in two places would have two paths
        assert id(config) not in self._known
        self._known[id(config)] = (config, prefix)
        for name in type(config).model_fields:
            value = getattr(config, name)
            if isinstance(value, Config):
                self._learn_paths(value, f"{prefix}{name}.")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record every read inside; pydantic's own reads go through `__dict__` and are not
        recorded.
        """

        def read(config: Config, name: str) -> Any:  # noqa: ANN401 - any attribute
            value = object.__getattribute__(config, name)
            _, prefix = self._known.get(id(config), (None, None))
            if prefix is not None:
                if name == "model_copy":
                    return lambda **changes: self._copied(value(**changes), prefix)
                if name in type(config).model_fields and not isinstance(value, Config):
                    self.paths.add(f"{prefix}{name}")
            return value

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Config, "__getattribute__", read, raising=False)
            yield

    def _copied(self, copy: Config, prefix: str) -> Config:
        self._known[id(copy)] = (copy, prefix)
        return copy
