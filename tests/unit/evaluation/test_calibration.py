"""Temperature scaling: the factor that makes the given labels most probable."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from orchestrator.evaluation.calibration import likeliest_factor, log_likelihoods


def test_likelihoods_are_those_of_the_scaled_softmax() -> None:
    """Seventeen factors from 1/8 to 32; the seventh is 1, the ninth 2."""
    logits = np.array([[1.0, 3.0], [0.0, -2.0]])
    found = log_likelihoods(torch.from_numpy(logits), torch.tensor([1, 1])).numpy()
    assert found.shape == (2, 17)
    for column, factor in ((0, 1 / 8), (6, 1.0), (8, 2.0), (16, 32.0)):
        # for two classes: 1 / (1 + exp(difference))
        expected = -np.log1p(np.exp(-factor * (logits[:, 1] - logits[:, 0])))
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_factor_that_generated_the_labels_is_recovered(factor: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(20_000, 4))
    powers = np.exp(factor * logits)
    shares = powers / powers.sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) < random.random((len(shares), 1))).sum(axis=1)
    likelihoods = log_likelihoods(torch.from_numpy(logits), torch.from_numpy(labels))
    assert likeliest_factor(likelihoods)[1] == pytest.approx(factor)


def test_summed_parts_give_the_factor_of_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(60, 3, generator=generator)
    labels = torch.randint(3, (60,), generator=generator)
    parts = [log_likelihoods(logits[i : i + 20], labels[i : i + 20]) for i in (0, 20, 40)]
    together = likeliest_factor(torch.cat(parts))
    assert together == likeliest_factor(log_likelihoods(logits, labels))
