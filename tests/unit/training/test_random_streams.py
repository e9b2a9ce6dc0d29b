"""Random streams depend on a seed, a stage and a purpose, and on nothing else."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.training.context import LearningContext
from orchestrator.training.random_streams import derive_seed, seeded_initialisation, stream


def draw(generator: torch.Generator) -> list[float]:
    return [float(value) for value in torch.rand(4, generator=generator)]


def test_equal_contexts_draw_equal_numbers_and_different_contexts_different_ones() -> None:
    contexts = [
        LearningContext(0, "teacher[0]"),
        LearningContext(1, "teacher[0]"),
        LearningContext(0, "teacher[1]"),
    ]
    drawn = [draw(context.stream("views", 0)) for context in contexts]
    assert draw(LearningContext(0, "teacher[0]").stream("views", 0)) == drawn[0]
    others = [
        draw(contexts[0].stream("views", 1)),
        draw(contexts[0].stream("batches", 0)),
        draw(contexts[0].stream("views")),
    ]
    assert len({tuple(numbers) for numbers in [*drawn, *others]}) == 6


def test_a_stream_does_not_depend_on_earlier_draws() -> None:
    context = LearningContext(0, "teacher[0]")
    first = draw(context.stream("views"))
    draw(context.stream("batches"))
    torch.rand(7)
    assert draw(context.stream("views")) == first


@given(
    st.integers(0, 2**63 - 1), st.lists(st.one_of(st.text(max_size=5), st.integers()), max_size=3)
)
def test_torch_accepts_derived_seeds(seed: int, purpose: list[str | int]) -> None:
    derived = derive_seed(seed, *purpose)
    assert 0 <= derived < 2**63
    assert stream(seed, *purpose).initial_seed() == derived


def test_purposes_cannot_be_confused_by_joining_their_texts() -> None:
    assert derive_seed(0, "ab", "c") != derive_seed(0, "a", "bc")
    assert derive_seed(0, "1") != derive_seed(0, 1)


def test_modules_are_initialised_by_the_seed_without_changing_the_callers_generator() -> None:
    before = torch.get_rng_state()
    weights = []
    for seed in (0, 0, 1):
        with seeded_initialisation(seed, "network"):
            weights.append(torch.nn.Linear(3, 3).weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), before)
