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
    PerSampleTransferConfig,
    Similarity,
    ThresholdTransferConfig,
    TransferRule,
)
from orchestrator.errors import ConfigError
from orchestrator.methods.dual_teacher.student.transfer import (
    kdr,
    soften,
    transfer_ratios,
    transfer_target,
    transfer_targets,
)
from orchestrator.training.loop import Step

Array = npt.NDArray[np.float64]
SIMILARITIES: tuple[Similarity, ...] = ("jensen_shannon", "cosine")
ZEROS = torch.zeros(6, dtype=torch.int64)  # arbitrary labels for similarities that ignore them
fractions = st.floats(0, 1, allow_nan=False)


def _distributions(seed: int, shape: tuple[int, int] = (6, 5)) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(seed).dirichlet(np.full(shape[1], 0.4), size=shape[0])
    )


def _jensen_shannon_in_nats(p: Array, q: Array) -> float:
    """Return the entropy of the mixture minus the mean entropy: another form of the same
    divergence.
    """

    def entropy(x: Array) -> float:
        return -sum(float(value * np.log(value)) for value in x if value > 0)

    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


def test_soften_is_the_softmax_of_the_logits_over_the_temperature() -> None:
    logits = np.array([[1.0, 2.0, -1.0], [0.0, 0.0, 5.0]])
    expected = np.exp(logits / 4) / np.exp(logits / 4).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(soften(torch.from_numpy(logits), 4.0).numpy(), expected)


def test_kdr_is_one_minus_the_jensen_shannon_divergence_in_bits() -> None:
    p, q = _distributions(0), _distributions(1)
    expected = [
        1 - _jensen_shannon_in_nats(a, b) / np.log(2)
        for a, b in zip(p.numpy(), q.numpy(), strict=True)
    ]
    np.testing.assert_allclose(kdr(p, q, ZEROS, "jensen_shannon").numpy(), expected)


def test_kdr_by_cosine_is_the_cosine_of_each_row() -> None:
    p, q = _distributions(0), _distributions(1)
    expected = [
        a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        for a, b in zip(p.numpy(), q.numpy(), strict=True)
    ]
    np.testing.assert_allclose(kdr(p, q, ZEROS, "cosine").numpy(), expected)


def test_kdr_by_answer_is_one_minus_the_total_variation_of_teacher_and_real_answer() -> None:
    student, teacher = _distributions(0), _distributions(1)
    labels = torch.tensor([4, 0, 2, 2, 1, 3])
    expected = [
        1 - np.abs(row - np.eye(5)[label]).sum() / 2
        for row, label in zip(teacher.numpy(), labels.tolist(), strict=True)
    ]
    similarities = kdr(student, teacher, labels, "answer")
    np.testing.assert_allclose(similarities.numpy(), expected)
    assert float(similarities[3]) == float(teacher[3, 2])


@pytest.mark.parametrize("similarity", [*SIMILARITIES, "answer"])
def test_kdr_of_a_diverged_network_is_0(similarity: Similarity) -> None:
    nothing = torch.full((1, 5), torch.nan)
    assert kdr(nothing, nothing, ZEROS[:1], similarity).tolist() == [0.0]


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_kdr_is_1_for_equal_and_0_for_disjoint_distributions(similarity: Similarity) -> None:
    p = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    q = torch.tensor([[0.0, 0.0, 0.25, 0.75]])
    assert float(kdr(p, p, ZEROS[:1], similarity)) == pytest.approx(1)
    assert float(kdr(p, q, ZEROS[:1], similarity)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@given(seed=st.integers(0, 10_000))
def test_kdr_is_symmetric_and_within_0_and_1(similarity: Similarity, seed: int) -> None:
    p, q = _distributions(seed).float(), _distributions(seed + 1).float()
    values = kdr(p, q, ZEROS, similarity)
    assert 0 <= values.min() <= values.max() <= 1
    torch.testing.assert_close(values, kdr(q, p, ZEROS, similarity), rtol=0, atol=1e-6)


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
        (0.2, 0.3, 0.85),  # a threshold counts as passed when it is reached
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


def test_fixed_tssr_is_constant() -> None:
    assert {
        FixedTransferConfig(ratio=0.6).tssr(s, p) for s in (0.0, 0.5, 1.0) for p in (0.0, 0.5, 1.0)
    } == {0.6}


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.0, 0.9), (0.25, 0.7), (0.5, 0.5), (1.0, 0.1)]
)
def test_linear_tssr_falls_linearly_whatever_the_similarity(
    progress: float, expected: float
) -> None:
    config = LinearTransferConfig(start=0.9, end=0.1)
    for similarity in (0.0, 1.0):
        assert config.tssr(similarity, progress) == pytest.approx(expected)


@st.composite
def tables(draw: st.DrawFn) -> ThresholdTransferConfig:
    """Draw any valid table: ascending thresholds, ratios that fall along both axes."""
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


@pytest.mark.parametrize(
    ("similarity", "expected"), [(0.0, 0.8), (0.25, 0.65), (0.5, 0.5), (1.0, 0.2)]
)
def test_per_sample_tssr_falls_linearly_whatever_the_progress(
    similarity: float, expected: float
) -> None:
    config = PerSampleTransferConfig(highest=0.8, lowest=0.2)
    for progress in (0.0, 1.0):
        assert config.tssr(similarity, progress) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("similarity", "expected"), [(0.0, 1.0), (0.2, 0.5), (0.5, 0.2), (0.8, 1 / 17), (1.0, 0.0)]
)
def test_per_sample_tssr_is_half_at_the_midpoint(similarity: float, expected: float) -> None:
    """By hand, at a midpoint of 1/5: the odds of the teacher are (1 - KDR) / KDR / 4."""
    config = PerSampleTransferConfig(midpoint=0.2)
    assert config.tssr(similarity, 0.0) == pytest.approx(expected)


@st.composite
def lines_by_sample(draw: st.DrawFn) -> PerSampleTransferConfig:
    lowest, highest = sorted((draw(fractions), draw(fractions)))
    midpoint = draw(st.floats(0.001, 0.999))
    return PerSampleTransferConfig(lowest=lowest, highest=highest, midpoint=midpoint)


rules = st.one_of(
    tables(), falling_lines(), lines_by_sample(), st.builds(FixedTransferConfig, ratio=fractions)
)


@given(rules, fractions, fractions)
def test_tssr_is_a_fraction(rule: TransferRule, s: float, p: float) -> None:
    assert 0 <= rule.tssr(s, p) <= 1


@given(rules, fractions, fractions, fractions)
def test_tssr_never_grows_with_similarity_or_progress(
    rule: TransferRule,
    one: float,
    other: float,
    fixed: float,
) -> None:
    lower, upper = sorted((one, other))
    rounding = 1e-12
    assert rule.tssr(upper, fixed) <= rule.tssr(lower, fixed) + rounding
    assert rule.tssr(fixed, upper) <= rule.tssr(fixed, lower) + rounding


# --- one ratio for each sample --------------------------------------------------------------------

STUDENT = torch.tensor([[0.6, 0.4], [0.5, 0.5], [0.1, 0.9]])
TEACHER = torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.0, 1.0]])
LABELS = torch.tensor([0, 1, 1])


def test_the_weight_of_a_label_is_the_probability_that_the_teacher_gives_it() -> None:
    """By hand: the teacher gives the labels 3/4, 1/4 and 1, so TSSR is 1/4, 3/4 and 0."""
    found = transfer_targets(STUDENT, TEACHER, LABELS, PerSampleTransferConfig(), 0.5)
    assert found.kdr.tolist() == [0.75, 0.25, 1.0]
    assert found.tssr.tolist() == [0.25, 0.75, 0.0]
    assert found.targets.tolist() == [
        [0.25 * 0.75 + 0.75, 0.25 * 0.25],
        [0.75 * 0.75, 0.75 * 0.25 + 0.25],
        [0.0, 1.0],
    ]


def test_a_table_is_read_once_per_batch_or_once_per_sample() -> None:
    """KDR is 3/4, 1/4 and 1, their mean 2/3; the rows are cut at 1/2 and 0.8."""
    by_batch = TABLE.model_copy(update={"similarity": "answer"})
    by_sample = by_batch.model_copy(update={"per": "sample"})
    ratios = transfer_targets(STUDENT, TEACHER, LABELS, by_batch, 0.5).tssr
    assert ratios.tolist() == pytest.approx([0.55] * 3)
    ratios = transfer_targets(STUDENT, TEACHER, LABELS, by_sample, 0.5).tssr
    assert ratios.tolist() == pytest.approx([0.55, 0.85, 0.25])


class HalfOfDoubt(TransferRule):
    """Rule as another package may write it: it overrides only the method on floats, and applies to
    each sample.
    """

    @property
    def is_per_sample(self) -> bool:
        return True

    def tssr(self, kdr: float, tstr: float) -> float:
        return (1 - kdr) / 2


class TooMuch(HalfOfDoubt):
    def tssr(self, kdr: float, tstr: float) -> float:
        return 1.5 - kdr


def test_a_rule_on_floats_is_applied_to_each_sample() -> None:
    rule = HalfOfDoubt(similarity="answer")
    ratios = transfer_targets(STUDENT, TEACHER, LABELS, rule, 0.0).tssr
    assert ratios.tolist() == [0.125, 0.375, 0.0]


def test_a_ratio_outside_0_to_1_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"tssr\(kdr=0.25, tstr=0.0\) = 1.25 is not a number"):
        transfer_targets(STUDENT, TEACHER, LABELS, TooMuch(similarity="answer"), 0.0)


def test_the_ratio_of_a_batch_follows_its_mean_similarity() -> None:
    rule = PerSampleTransferConfig()
    similarities = torch.tensor([0.2, 0.4, 0.9])
    by_sample = transfer_ratios(similarities, rule, 0.0)
    np.testing.assert_allclose(by_sample.numpy(), [0.8, 0.6, 0.1], rtol=1e-6)
    by_batch = transfer_ratios(similarities, LinearTransferConfig(start=0.5, end=0.5), 0.0)
    assert by_batch.tolist() == [0.5] * 3


@given(st.integers(0, 10_000), rules, fractions)
def test_targets_are_distributions_and_ratios_are_fractions(
    seed: int, rule: TransferRule, progress: float
) -> None:
    labels = torch.tensor([0, 1, 2, 3, 4, 4])
    found = transfer_targets(
        _distributions(seed).float(), _distributions(seed + 1).float(), labels, rule, progress
    )
    assert found.targets.min() >= 0
    np.testing.assert_allclose(found.targets.sum(dim=1).numpy(), 1, rtol=1e-5)
    assert 0 <= found.tssr.min() <= found.tssr.max() <= 1
    assert 0 <= found.kdr.min() <= found.kdr.max() <= 1


# --- the target -----------------------------------------------------------------------------------


@given(st.integers(0, 10_000), fractions)
def test_transfer_target_is_a_distribution(seed: int, ratio: float) -> None:
    teacher = _distributions(seed, (4, 6))
    target = transfer_target(teacher, torch.tensor([0, 5, 2, 2]), ratio)
    assert target.min() >= 0
    np.testing.assert_allclose(target.sum(dim=1).numpy(), 1)


def test_transfer_target_mixes_the_teacher_with_the_real_answers() -> None:
    teacher = torch.tensor([[0.5, 0.3, 0.2]])
    np.testing.assert_allclose(
        transfer_target(teacher, torch.tensor([2]), 0.4).numpy(), [[0.2, 0.12, 0.68]], rtol=1e-6
    )


def test_transfer_target_leans_on_the_teacher_at_1_and_on_the_answers_at_0() -> None:
    teacher = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    target = transfer_target(teacher, torch.tensor([1, 1]), torch.tensor([1.0, 0.0]))
    assert torch.equal(target, torch.stack([teacher[0], torch.tensor([0.0, 1.0, 0.0])]))
    assert torch.equal(transfer_target(teacher, torch.tensor([1, 1]), 1.0), teacher)
