"""Create the sampler that draws a sweep's trials. Reports use the sampler too, so this module does
not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from orchestrator.tuning.ledger import LedgerTrial, ledger_of
from orchestrator.tuning.sampler import Sampler, Value
from orchestrator.tuning.space import Space


def sampler_of(space: Space, trials: Iterable[LedgerTrial] = ()) -> Sampler:
    """Return a sampler with the results of earlier trials: the ended trials of a warm start, and
    all trials of a ledger. Unfinished trials of the ledger are included, because they are resumed
    and must not be drawn again.

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
    """Return a trial's result in the form that the sampler expects: one value, or one value per
    objective if there are several objectives.
    """
    metrics = space.search_space.metrics
    if metrics is None or trial.value is None:
        return trial.value
    return [trial.values.get(name, math.nan) for name in metrics]
