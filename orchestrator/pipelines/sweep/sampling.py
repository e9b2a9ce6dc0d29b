"""Create the sampler that draws a sweep's trials. Torch is not imported, as reports use the sampler
too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from orchestrator.tuning.ledger import LedgerTrial, ledger_of
from orchestrator.tuning.sampler import Sampler, Value
from orchestrator.tuning.space import Space


def sampler_of(space: Space, trials: Iterable[LedgerTrial] = ()) -> Sampler:
    """Return a sampler that knows the ended trials of a warm start and all trials of a ledger. The
    sampler knows open trials as well, because they are resumed and must not be drawn again.

    Raises:
        ConfigError: The folder of the warm start contains no sweep.
    """
    folder = space.search_space.warm_start
    earlier = (
        []
        if folder is None
        else [trial for trial in ledger_of(folder).trials.values() if not trial.is_open]
    )
    return Sampler(
        space, [(trial.configuration, told_value(space, trial)) for trial in [*earlier, *trials]]
    )


def told_value(space: Space, trial: LedgerTrial) -> Value:
    """Return a trial's objective or objectives as the sampler's input."""
    metrics = space.search_space.metrics
    if metrics is None or trial.value is None:
        return trial.value
    return [trial.values.get(name, math.nan) for name in metrics]
