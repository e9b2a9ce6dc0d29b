"""Patent B steps 1 to 5 as formulas: softened distributions, KDR, TSTR and the selection of
TSSR.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.transfer import (
    FixedTransferConfig,
    LinearTransferConfig,
    Similarity,
    ThresholdTransferConfig,
)
from orchestrator.methods.dual_teacher.student.transfer import kdr, soften
from orchestrator.training.loop import Step

Array = npt.NDArray[np.float64]
SIMILARITIES: tuple[Similarity, ...] = ("jensen_shannon", "cosine")
fractions = st.floats(0, 1, allow_nan=False)


def _distributions(seed: int, shape: tuple[int, int] = (6, 5)) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(seed).dirichlet(np.full(shape[1], 0.4), size=shape[0])
    )


def _jensen_shannon_in_nats(p: Array, q: Array) -> float:
    """Entropy of the mixture minus the mean entropy: another form of the same divergence."""

    def entropy(x: Array) -> float:
        return -sum(float(value * np.log(value)) for value in x if value > 0)

    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


def test_soften_is_the_softmax_of_the_logits_over_the_temperature() -> None:
    logits = np.array([[1.0, 2.0, -1.0], [0.0, 0.0, 5.0]])
    expected = np.exp(logits / 4) / np.exp(logits / 4).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(soften(torch.from_numpy(logits), 4.0).numpy(), expected)


def test_kdr_is_one_minus_the_jensen_shannon_divergence_in_bits() -> None:
    p, q = _distributions(0), _distributions(1)
    expected = np.mean(
        [
            1 - _jensen_shannon_in_nats(a, b) / np.log(2)
            for a, b in zip(p.numpy(), q.numpy(), strict=True)
        ]
    )
    assert kdr(p, q, "jensen_shannon") == pytest.approx(expected)


def test_kdr_by_cosine_is_the_mean_cosine_of_the_rows() -> None:
    p, q = _distributions(0), _distributions(1)
    expected = np.mean(
        [
            a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
            for a, b in zip(p.numpy(), q.numpy(), strict=True)
        ]
    )
    assert kdr(p, q, "cosine") == pytest.approx(expected)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_kdr_is_1_for_equal_and_0_for_disjoint_distributions(similarity: Similarity) -> None:
    p = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    q = torch.tensor([[0.0, 0.0, 0.25, 0.75]])
    assert kdr(p, p, similarity) == pytest.approx(1)
    assert kdr(p, q, similarity) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@given(seed=st.integers(0, 10_000))
def test_kdr_is_symmetric_and_within_0_and_1(similarity: Similarity, seed: int) -> None:
    p, q = _distributions(seed).float(), _distributions(seed + 1).float()
    value = kdr(p, q, similarity)
    assert 0 <= value <= 1
    assert value == pytest.approx(kdr(q, p, similarity), abs=1e-6)


def test_tstr_is_the_current_step_over_all_steps() -> None:
    assert [Step(index, 8, 0).progress for index in (0, 2, 7)] == [0.0, 0.25, 0.875]


TABLE = ThresholdTransferConfig(
    similarity_thresholds=(0.5, 0.8),
    progress_thresholds=(0.3, 0.7),
    ratios=((0.95, 0.85, 0.75), (0.65, 0.55, 0.45), (0.35, 0.25, 0.15)),
)


@pytest.mark.parametrize(
    ("similarity", "progress", "expected"),
    [
        (0.0, 0.0, 0.95),
        (0.4999, 0.2999, 0.95),
        (0.2, 0.3, 0.85),  # a threshold that is reached counts as passed
        (0.2, 0.7, 0.75),
        (0.5, 0.0, 0.65),
        (0.5, 0.3, 0.55),
        (0.7999, 0.9, 0.45),
        (0.8, 0.2999, 0.35),
        (0.9, 0.5, 0.25),
        (1.0, 1.0, 0.15),
    ],
)
def test_tssr_by_threshold_is_the_cell_of_the_table(
    similarity: float, progress: float, expected: float
) -> None:
    assert TABLE.tssr(similarity, progress) == expected


def test_tssr_of_a_table_without_thresholds_is_its_only_cell() -> None:
    table = ThresholdTransferConfig(
        similarity_thresholds=(), progress_thresholds=(), ratios=((0.4,),)
    )
    assert table.tssr(0.9, 0.1) == 0.4


def test_fixed_tssr_depends_on_nothing() -> None:
    assert {
        FixedTransferConfig(ratio=0.6).tssr(s, p) for s in (0.0, 0.5, 1.0) for p in (0.0, 0.5, 1.0)
    } == {0.6}


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.9), (0.25, 0.7), (0.5, 0.5), (1.0, 0.1)]
)
def test_linear_tssr_falls_in_a_straight_line_whatever_the_similarity(
    progress: float, expected: float
) -> None:
    config = LinearTransferConfig(start=0.9, end=0.1)
    for similarity in (0.0, 1.0):
        assert config.tssr(similarity, progress) == pytest.approx(expected)


@st.composite
def tables(draw: st.DrawFn) -> ThresholdTransferConfig:
    """Any valid table: ascending thresholds, ratios that fall along both axes."""
    similarities = sorted(draw(st.sets(fractions, max_size=4)))
    progresses = sorted(draw(st.sets(fractions, max_size=4)))
    num_rows, num_columns = len(similarities) + 1, len(progresses) + 1
    cells = draw(
        st.lists(fractions, min_size=num_rows * num_columns, max_size=num_rows * num_columns)
    )
    ratios = np.minimum.accumulate(
        np.minimum.accumulate(np.reshape(cells, (num_rows, num_columns)), axis=0), axis=1
    )
    return ThresholdTransferConfig(
        similarity_thresholds=tuple(similarities),
        progress_thresholds=tuple(progresses),
        ratios=tuple(tuple(float(ratio) for ratio in row) for row in ratios),
    )


@st.composite
def falling_lines(draw: st.DrawFn) -> LinearTransferConfig:
    end, start = sorted((draw(fractions), draw(fractions)))
    return LinearTransferConfig(start=start, end=end)


rules = st.one_of(tables(), falling_lines(), st.builds(FixedTransferConfig, ratio=fractions))


@given(rules, fractions, fractions)
def test_tssr_is_a_fraction(
    rule: ThresholdTransferConfig | LinearTransferConfig | FixedTransferConfig, s: float, p: float
) -> None:
    assert 0 <= rule.tssr(s, p) <= 1


@given(rules, fractions, fractions, fractions)
def test_tssr_never_grows_with_similarity_or_progress(
    rule: ThresholdTransferConfig | LinearTransferConfig | FixedTransferConfig,
    one: float,
    other: float,
    fixed: float,
) -> None:
    lower, upper = sorted((one, other))
    rounding = 1e-12
    assert rule.tssr(upper, fixed) <= rule.tssr(lower, fixed)
    assert rule.tssr(fixed, upper) <= rule.tssr(fixed, lower) + rounding
