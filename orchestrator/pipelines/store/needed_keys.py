"""Compute the stage-store keys that an experiment needs."""

from __future__ import annotations

from orchestrator.config.experiment import Experiment
from orchestrator.pipelines.planning.planned_stages import tables_of
from orchestrator.stages import prepare_work
from orchestrator.stages.graph import evaluation_key
from orchestrator.stages.label_beliefs import beliefs_key
from orchestrator.stages.stage_reading import tables_read_for


def keys_needed_by(experiment: Experiment) -> list[str]:
    """Return the keys of an experiment's stages, of the stages' evaluations and judgements of
    labels, and of the feature tables that the stages read.

    Raises:
        UserInputError: The experiment's data cannot be used.
        StorageUnavailableError: The data cache cannot be reached.
    """
    work = prepare_work(experiment)
    tables = tables_of(work)
    computed = [
        key
        for stage in (*work.learned, *work.stages)
        for key in (stage.key, evaluation_key(stage, work.scenario))
    ]
    read = dict.fromkeys(
        images
        for stage in work.stages
        for images in tables_read_for(stage, experiment, work.scenario)
    )
    believed = [beliefs_key(stage, work.scenario) for stage in work.final_stages.values()]
    return [*computed, *believed, *(tables.key_of(*images) for images in read)]
