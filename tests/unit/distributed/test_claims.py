"""Claims among real Ray actors: one holder at a time, none held by a dead process, and a chain of
stages that is computed once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from orchestrator.config import Experiment
from orchestrator.config.execution import RayConfig
from orchestrator.config.experiment import StoreConfig
from orchestrator.distributed.environment import set_environment
from orchestrator.pipelines.run.execution import compute
from orchestrator.stages import Model, StageRunner, Work, prepare_work, runner
from orchestrator.stages.computation import StageInputs, compute_stage
from orchestrator.stages.events import EpochFinished, StageEvent, StageFinished
from orchestrator.training.context import LearningContext
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

# measured: at most one second; a claim whose release was never received is freed after half a
# minute
SOON = 25.0
MakeActor = Callable[..., Any]


class Holder:
    """Actor that claims keys."""

    def __init__(self, name: str) -> None:
        from orchestrator.distributed.claims import ClusterClaims

        self._claims = ClusterClaims(name)

    def pid(self) -> int:
        return os.getpid()

    def try_hold(self, key: str, token: str, patience_seconds: float = 0.1) -> bool:
        return self._claims.try_hold(key, token, patience_seconds)

    def release(self, key: str, token: str) -> None:
        self._claims.release(key, token)

    def be_busy(self, seconds: float) -> None:
        """Block the actor without handling messages, as in the middle of a stage."""
        time.sleep(seconds)


class Learner:
    """Actor that computes an experiment's stages, and records each computation that it starts."""

    def learn(
        self,
        experiment: dict[str, Any],
        claims: str,
        notes: str,
        dies_after_epochs: int | None = None,
    ) -> list[str]:
        """Return the names of the stages that it has computed itself, or kill itself in the
        middle.
        """
        from orchestrator.distributed.claims import ClusterClaims

        torch.set_num_threads(1)
        learned: list[str] = []
        num_epochs = 0

        def noted(inputs: StageInputs, context: LearningContext) -> Model:
            with Path(notes).open("a") as file:
                file.write(f"{inputs.stage.name}\n")
            return compute_stage(inputs, context)

        def listener(event: StageEvent) -> None:
            nonlocal num_epochs
            num_epochs += isinstance(event, EpochFinished)
            if num_epochs == dies_after_epochs:
                os.kill(os.getpid(), signal.SIGKILL)
            if isinstance(event, StageFinished) and not event.cached:
                learned.append(event.stage)

        pytest.MonkeyPatch().setattr(
            runner, "compute_stage", noted
        )  # for the lifetime of this process
        work = prepare_work(Experiment.model_validate(experiment))
        stages = StageRunner(work, torch.device("cpu"), listener, claims=ClusterClaims(claims))
        for stage in work.stages:
            stages.obtain(stage)
        return learned


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    set_environment(RayConfig())
    import ray

    from orchestrator.distributed.cluster import cluster

    ray.cloudpickle.register_pickle_by_value(
        sys.modules[__name__]
    )  # the workers cannot import tests
    with cluster(RayConfig(), tmp_path_factory.mktemp("log") / "ray.log"):
        yield ray
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def name(ray: ModuleType) -> Iterator[str]:
    """Open the claims in the driver, as in a sweep: they outlive every holder."""
    from orchestrator.distributed.claims import ClusterClaims

    name = f"claims-{uuid.uuid4().hex}"
    opened = ClusterClaims(name)
    yield name
    del opened


@pytest.fixture
def make(ray: ModuleType) -> Iterator[MakeActor]:
    """Create actors that are removed after the test."""
    made: list[Any] = []

    def actor(kind: type, *arguments: object) -> Any:  # noqa: ANN401
        made.append(ray.remote(kind).options(num_cpus=0).remote(*arguments))
        return made[-1]

    yield actor
    for one in made:
        ray.kill(one)


@pytest.fixture(scope="module")
def learners(ray: ModuleType) -> list[Any]:
    """Return actors that have imported all they need, so that they can start at the same moment."""
    made = [ray.remote(Learner).options(num_cpus=0).remote() for _ in range(4)]
    ray.get([learner.__ray_ready__.remote() for learner in made])
    return made


# --- one holder at a time -------------------------------------------------------------------------


def test_a_key_has_one_holder_at_a_time_and_is_passed_on_at_once(
    ray: ModuleType, name: str, make: MakeActor
) -> None:
    first, second, third = (make(Holder, name) for _ in range(3))
    assert ray.get(first.try_hold.remote("key", "1"))
    assert ray.get(first.try_hold.remote("key", "1"))  # the answer may have been lost
    assert not ray.get(second.try_hold.remote("key", "2"))
    assert not ray.get(first.try_hold.remote("key", "3"))
    assert ray.get(second.try_hold.remote("other key", "4"))
    assert ray.get(first.try_hold.remote("third key", "5"))
    waiting = {
        holder.try_hold.remote("key", token, PATIENCE_SECONDS): (holder, token)
        for holder, token in ((second, "6"), (third, "7"))
    }
    assert ray.wait([*waiting], timeout=0.5)[0] == []
    started = time.monotonic()
    first.release.remote("key", "1")
    (next_one,), (last,) = ray.wait([*waiting], timeout=PATIENCE_SECONDS)
    assert ray.get(next_one)
    assert ray.wait([last], timeout=0.5)[0] == []  # both were woken: one holds the key, one waits
    holder, token = waiting[next_one]
    holder.release.remote("key", token)
    assert ray.get(last)
    assert time.monotonic() - started < SOON
    assert not ray.get(first.try_hold.remote("key", "8"))


def test_a_released_claim_is_not_granted_and_other_claims_are_not_touched(
    ray: ModuleType, name: str, make: MakeActor
) -> None:
    first, second, third = (make(Holder, name) for _ in range(3))
    ray.get(first.release.remote("key", "withdrawn"))
    wait_until(lambda: not ray.get(first.try_hold.remote("key", "withdrawn")))
    assert ray.get(first.try_hold.remote("key", "1"))
    waiting = second.try_hold.remote("key", "2", PATIENCE_SECONDS)
    ray.get(third.release.remote("key", "2"))
    assert not ray.get(waiting, timeout=PATIENCE_SECONDS / 2)  # returns before the patience is over
    assert not ray.get(third.try_hold.remote("key", "3"))
    ray.get(first.release.remote("key", "1"))
    assert ray.get(third.try_hold.remote("key", "4", PATIENCE_SECONDS))


# --- dead holders and claims ----------------------------------------------------------------------


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "busy"])
def test_a_killed_holders_claims_are_soon_free(
    ray: ModuleType, name: str, make: MakeActor, is_busy: bool
) -> None:
    first, second = make(Holder, name), make(Holder, name)
    keys = ["key", "other key"]
    pid = ray.get(first.pid.remote())
    for key in keys:
        assert ray.get(first.try_hold.remote(key, f"{key} 1"))
    if is_busy:
        first.be_busy.remote(PATIENCE_SECONDS)
        time.sleep(2)
    assert not ray.get(second.try_hold.remote("key", "2"))
    started = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    for key in keys:
        assert ray.get(second.try_hold.remote(key, f"{key} 3", PATIENCE_SECONDS))
    assert time.monotonic() - started < SOON


def test_an_unresponsive_holder_keeps_its_claim(
    ray: ModuleType, name: str, make: MakeActor
) -> None:
    """Simulates a long call that lets no other thread of the process run."""
    first, second = make(Holder, name), make(Holder, name)
    pid = ray.get(first.pid.remote())
    assert ray.get(first.try_hold.remote("key", "1"))
    os.kill(pid, signal.SIGSTOP)
    try:
        assert not ray.get(second.try_hold.remote("key", "2", 6.0))
    finally:
        os.kill(pid, signal.SIGCONT)
    ray.get(first.release.remote("key", "1"))
    assert ray.get(second.try_hold.remote("key", "3", PATIENCE_SECONDS))


def test_a_claim_does_not_stay_with_a_waiter_that_died(
    ray: ModuleType, name: str, make: MakeActor
) -> None:
    first, second, third = (make(Holder, name) for _ in range(3))
    pid = ray.get(second.pid.remote())
    assert ray.get(first.try_hold.remote("key", "1"))
    second.try_hold.remote("key", "2", PATIENCE_SECONDS)
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    started = time.monotonic()
    ray.get(first.release.remote("key", "1"))
    assert ray.get(third.try_hold.remote("key", "3", PATIENCE_SECONDS))
    assert time.monotonic() - started < SOON


@pytest.mark.parametrize("comes_back", [True, False], ids=["restarted by Ray", "gone for good"])
def test_restarted_claims_are_empty(
    ray: ModuleType, name: str, make: MakeActor, comes_back: bool
) -> None:
    first, second = make(Holder, name), make(Holder, name)
    assert ray.get(first.try_hold.remote("key", "1"))
    waiting = second.try_hold.remote("key", "2", PATIENCE_SECONDS)
    time.sleep(0.5)
    ray.kill(ray.get_actor(name), no_restart=not comes_back)
    ray.wait([waiting], timeout=PATIENCE_SECONDS)
    wait_until(lambda: ray.get(second.try_hold.remote("key", "2", 1.0)))
    ray.get(first.release.remote("key", "1"))
    assert not ray.get(first.try_hold.remote("key", "3"))
    ray.get(second.release.remote("key", "2"))
    assert ray.get(first.try_hold.remote("key", "4", PATIENCE_SECONDS))


# --- a chain of stages ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """The same stages, requested by several learners."""

    experiment: Experiment
    claims: str
    notes: Path
    expected: Work

    def computed_by(self, learner: Any, dies_after_epochs: int | None = None) -> Any:  # noqa: ANN401
        return learner.learn.remote(
            self.experiment.model_dump(mode="json"), self.claims, str(self.notes), dies_after_epochs
        )

    @property
    def stages(self) -> list[str]:
        return sorted(stage.name for stage in self.expected.stages)

    def begun(self) -> Counter[str]:
        return Counter(self.notes.read_text().split())

    def assert_whole(self) -> None:
        work = prepare_work(self.experiment)
        for stage in work.stages:
            found, tensors = (
                work.artifact_of(stage).tensors,
                self.expected.artifact_of(stage).tensors,
            )
            assert [
                one for one, tensor in tensors.items() if not torch.equal(found[one], tensor)
            ] == []
            assert work.is_stored(stage)
        assert not list(Path(self.experiment.store.uri).glob("progress/*"))


@pytest.fixture(scope="module")
def expected(tiny_experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Return the result of a single process."""
    work = prepare_work(tiny_experiment)
    compute(work, lambda _: None, tmp_path_factory.mktemp("log") / "ray.log")
    return work


@pytest.fixture
def chain(tiny_experiment: Experiment, expected: Work, name: str, tmp_path: Path) -> Chain:
    experiment = tiny_experiment.model_copy(
        update={"store": StoreConfig(uri=str(tmp_path / "store"))}
    )
    return Chain(experiment, name, tmp_path / "notes", expected)


def test_a_chain_requested_by_several_learners_is_computed_once(
    ray: ModuleType, chain: Chain, learners: list[Any]
) -> None:
    learned = ray.get(
        [chain.computed_by(learner) for learner in learners], timeout=PATIENCE_SECONDS
    )
    assert sorted(stage for stages in learned for stage in stages) == chain.stages
    assert chain.begun() == Counter(chain.stages)
    chain.assert_whole()


def test_if_the_computing_learner_is_killed_another_one_resumes(
    ray: ModuleType, chain: Chain, learners: list[Any], make: MakeActor
) -> None:
    death = chain.computed_by(make(Learner), dies_after_epochs=1)
    wait_until(chain.notes.exists)
    others = [chain.computed_by(learner) for learner in learners[:2]]
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(death, timeout=PATIENCE_SECONDS)
    learned = [stage for stages in ray.get(others, timeout=PATIENCE_SECONDS) for stage in stages]
    assert sorted(learned) == chain.stages
    assert chain.begun() - Counter(learned) == Counter(
        ["teacher[0]"]
    )  # started by one, finished by another
    chain.assert_whole()


def test_killed_claims_stop_no_learner(ray: ModuleType, chain: Chain, learners: list[Any]) -> None:
    running = [chain.computed_by(learner) for learner in learners[:2]]
    wait_until(chain.notes.exists)
    ray.kill(ray.get_actor(chain.claims), no_restart=False)
    ray.get(running, timeout=PATIENCE_SECONDS)
    # the next learner may also have computed the stage that was held then, and no other
    assert (chain.begun() - Counter(chain.stages)).total() <= 1
    chain.assert_whole()
