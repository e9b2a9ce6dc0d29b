"""One run: an experiment from its configuration to its summary.

Everything that can be wrong is found before anything is trained: data, split, output folder, tracking. Then the stages are
computed one after another, each task's teacher and then its student, and every row of both accuracy matrices goes to MLflow
as soon as it is known.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from orchestrator.config.experiment import Experiment, InProcessConfig
from orchestrator.data import Scenario, load_images
from orchestrator.data.scenario import build_scenario
from orchestrator.errors import ConfigError, InterruptedRunError, OrchestratorError, StorageUnavailableError
from orchestrator.models import build_backbone
from orchestrator.pipelines.listener import RunListener, SilentListener
from orchestrator.pipelines.outputs import write_outputs
from orchestrator.pipelines.record import RunRecord, StageResult, evaluate, kept_refinement
from orchestrator.pipelines.run_log import RunLog
from orchestrator.stages import Model, Role, Stage, StageStore, stage_graph
from orchestrator.stages.computation import StageInputs, Upstream, obtain_stage
from orchestrator.tracking import RunStatus, Tracker, names, open_run
from orchestrator.training.context import EpochReport, LearningContext
from orchestrator.training.random_streams import seeded_initialisation

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What a run gives.

    Attributes:
        summary: The content of summary.json.
        output_dir: Where summary.json and the figures lie.
        models: The last task's teacher and student.
    """

    summary: dict[str, Any]
    output_dir: Path
    models: dict[Role, Model]


def run(
    experiment: Experiment,
    output: str | Path | None = None,
    name: str | None = None,
    listener: RunListener | None = None,
    tracker: Tracker | None = None,
) -> RunResult:
    """Runs an experiment.

    Args:
        experiment: What to run.
        output: Folder for summary.json and figures; None means `out/NAME-RUN_ID`.
        name: What the run is called in MLflow; None means the experiment's name, method and seed.
        listener: Told about every epoch and stage; None for silence.
        tracker: Where numbers go; None opens a run in the configured MLflow store.

    Raises:
        UserInputError: Configuration or data cannot be used.
        TransientError: The output folder or the tracking store cannot be reached.
        InterruptedRunError: The run was interrupted; it is closed as KILLED.
    """
    listener = listener or SilentListener()
    device = _device(experiment)
    scenario = prepare_scenario(experiment)
    stages = stage_graph(experiment, scenario)
    store = StageStore(experiment.store.uri)
    store.check_writable()
    _check_backbones(experiment, scenario)
    run_name = name or f"{experiment.name} {experiment.method.kind} seed {experiment.seed}"
    if output is not None:
        _make_writable(Path(output))
    tracker = tracker or open_run(experiment.tracking.uri, experiment.tracking.experiment or experiment.name, run_name, {})
    with _closed_truthfully(tracker):
        output_dir = Path(output) if output is not None else Path("out") / f"{experiment.name}-{tracker.run_id[:8]}"
        _make_writable(output_dir)
        (output_dir / names.SUMMARY_FILE).unlink(missing_ok=True)  # of an earlier run: it must not pass for this one's
        log = RunLog(tracker, experiment, scenario)
        log.start()
        listener.run_started(experiment, scenario, stages)
        record = RunRecord(tracker.run_id, experiment, scenario)
        with _threads(experiment):
            models = _compute_all(stages, store, record, (log, listener), device)
        summary = record.summary()
        write_outputs(output_dir, summary, experiment, record, tracker)
        log.finish(summary)
    listener.run_finished(summary, output_dir, experiment)
    return RunResult(summary, output_dir, models)


def prepare_scenario(experiment: Experiment) -> Scenario:
    """Loads the data and cuts it into tasks.

    Raises:
        DataError: The data cannot be used.
    """
    table = load_images(experiment.data)
    return build_scenario(table, experiment.scenario, experiment.data.validation_fraction, experiment.seed)


def _compute_all(
    stages: Sequence[Stage], store: StageStore, record: RunRecord, told: tuple[RunLog, RunListener], device: torch.device
) -> dict[Role, Model]:
    log, listener = told
    models: dict[Role, Model] = {}
    for stage in stages:
        listener.stage_started(stage)

        def report(epoch: EpochReport, stage: Stage = stage) -> None:
            log.epoch(stage, epoch)
            listener.epoch_finished(stage, epoch)

        started = time.perf_counter()
        context = LearningContext(record.experiment.seed, stage.name, device, record.experiment.data.augmentation, report)
        upstream = Upstream(models.get(stage.role), models.get("teacher"))
        models[stage.role], cached = obtain_stage(store, StageInputs(stage, record.experiment, record.scenario, upstream), context)
        seconds = time.perf_counter() - started
        network = models[stage.role].network
        result = StageResult(stage, seconds, cached, *evaluate(network, stage, record.scenario), kept_refinement(models[stage.role]))
        record.add(result, network.num_parameters())
        log.stage(result, record)
        listener.stage_finished(result, record)
    return models


@contextmanager
def _closed_truthfully(tracker: Tracker) -> Iterator[None]:
    """Whatever happens, the tracked run ends with the status that is true."""
    try:
        yield
    except (KeyboardInterrupt, InterruptedRunError) as interruption:
        reason = str(interruption) or "interrupted"
        _close_after_failure(tracker, RunStatus.KILLED, reason)
        raise InterruptedRunError(f"{reason}; run {tracker.run_id} is closed as KILLED") from None
    except OrchestratorError as error:
        _close_after_failure(tracker, RunStatus.FAILED, str(error))
        raise
    except BaseException as error:
        _close_after_failure(tracker, RunStatus.FAILED, f"{type(error).__name__}: {error}")
        raise
    tracker.close(RunStatus.FINISHED)


def _close_after_failure(tracker: Tracker, status: RunStatus, reason: str) -> None:
    """Closes the run; what made it fail is worth more to the user than that closing it failed as well."""
    try:
        tracker.close(status, reason)
    except OrchestratorError as error:
        logger.warning("run %s could not be closed as %s: %s", tracker.run_id, status, error)


@contextmanager
def _threads(experiment: Experiment) -> Iterator[None]:
    """The configured number of CPU threads, for as long as the run lasts."""
    before = torch.get_num_threads()
    if isinstance(experiment.execution, InProcessConfig) and experiment.execution.num_threads:
        torch.set_num_threads(experiment.execution.num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _device(experiment: Experiment) -> torch.device:
    if not isinstance(experiment.execution, InProcessConfig):
        raise ConfigError(
            f"execution.kind = {experiment.execution.kind!r} is not built yet", next_step="use --set execution.kind=in_process"
        )
    wanted = experiment.execution.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("execution.device = 'cuda', but torch sees no GPU here", next_step="use auto or cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def _check_backbones(experiment: Experiment, scenario: Scenario) -> None:
    """Builds both extractors for nothing: an unknown model or weights that cannot be had are found before anything is trained."""
    for role, backbone in (("teacher", experiment.teacher.backbone), ("student", experiment.student.backbone)):
        with seeded_initialisation(experiment.seed, "check"):
            extractor = build_backbone(backbone, scenario.shape)
        try:
            extractor.train()(torch.zeros(2, *scenario.shape, dtype=torch.uint8))
        except (RuntimeError, ValueError, AttributeError, AssertionError) as error:
            size = "x".join(map(str, scenario.shape))
            what = f"the backbone cannot work on images of {size}: {str(error).splitlines()[0]}"
            raise ConfigError(what, where=f"{role}.backbone", next_step="choose another backbone or another data.image_size") from None


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".write-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StorageUnavailableError(
            f"cannot be written ({error.strerror or error})", where=str(folder), next_step="choose another --output"
        ) from None
