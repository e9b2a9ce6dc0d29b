"""Embedding modules: their initial state, and how they follow a space whose axes change."""

import pytest
import torch

from orchestrator.models import PowerNormalization, ProjectionEmbedding, WhitenedEmbedding


@pytest.fixture
def embedding() -> WhitenedEmbedding:
    torch.manual_seed(0)
    module = WhitenedEmbedding(num_features=6, dimensions=4, adapter_width=16)
    module.whitening.copy_(torch.randn(6, 4))
    module.offset.copy_(torch.randn(4))
    return module


def test_power_normalisation_is_the_signed_root_scaled_to_length_one() -> None:
    # roots of 9, 16 and 0 are 3, 4 and 0, with length 5
    result = PowerNormalization()(torch.tensor([[9.0, -16.0, 0.0], [0.0, 0.0, 0.0]]))
    torch.testing.assert_close(result, torch.tensor([[0.6, -0.8, 0.0], [0.0, 0.0, 0.0]]))


def test_the_teachers_embedding_initially_equals_the_linear_map(
    embedding: WhitenedEmbedding,
) -> None:
    normalized = torch.randn(5, 6)
    expected = normalized @ embedding.whitening - embedding.offset
    assert torch.equal(embedding.embed_normalized(normalized), expected)


def test_features_are_normalised_before_they_are_embedded(embedding: WhitenedEmbedding) -> None:
    features = torch.randn(5, 6)
    torch.testing.assert_close(
        embedding(features), embedding.embed_normalized(PowerNormalization()(features))
    )
    torch.testing.assert_close(embedding(features), embedding(7 * features))


def test_only_the_adapter_is_trained(embedding: WhitenedEmbedding) -> None:
    assert {name for name, _ in embedding.named_parameters()} == {
        f"adapter.{i}.{part}" for i in (0, 2) for part in ("weight", "bias")
    }
    assert {"whitening", "offset"} <= set(embedding.state_dict())
    embedding(torch.randn(5, 6)).square().sum().backward()
    gradient = dict(embedding.named_parameters())["adapter.2.weight"].grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_the_adapter_reads_standardised_features_and_adds_to_the_linear_map() -> None:
    # features of mean (1, 2) and variances 4 and 16: (5, 2) is standardised to (2, 0), and (-1, 10)
    # to (-1, 2). The adapter adds the first component where it is positive
    module = WhitenedEmbedding(num_features=2, dimensions=2, adapter_width=1)
    module.whitening.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    module.set_standardization(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 16.0]))
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        parameters["adapter.0.weight"].copy_(torch.tensor([[1.0, 0.0]]))
        parameters["adapter.0.bias"].zero_()
        parameters["adapter.2.weight"].copy_(torch.tensor([[100.0], [0.0]]))
    normalized = torch.tensor([[5.0, 2.0], [-1.0, 10.0]])
    torch.testing.assert_close(
        module.standardize(normalized), torch.tensor([[2.0, 0.0], [-1.0, 2.0]])
    )
    torch.testing.assert_close(
        module.embed_normalized(normalized), torch.tensor([[202.0, 5.0], [10.0, -1.0]])
    )


@pytest.mark.parametrize("variances", [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
def test_a_constant_feature_is_not_amplified_without_bound(variances: list[float]) -> None:
    module = WhitenedEmbedding(num_features=3, dimensions=2, adapter_width=1)
    module.set_standardization(torch.zeros(3), torch.tensor(variances))
    assert module.scale.max() <= 1e4 * (1 + 1e-6)


def test_standardisation_is_stored_with_the_module(embedding: WhitenedEmbedding) -> None:
    embedding.set_standardization(torch.randn(6), torch.rand(6) + 0.5)
    with torch.no_grad():
        dict(embedding.named_parameters())["adapter.2.weight"].normal_()
    again = WhitenedEmbedding(num_features=6, dimensions=4, adapter_width=16)
    again.load_state_dict(embedding.state_dict())
    features = torch.randn(5, 6)
    assert torch.equal(again(features), embedding(features))


def test_a_learned_adapter_moves_the_embedding(embedding: WhitenedEmbedding) -> None:
    features = torch.randn(5, 6)
    before = embedding(features)
    with torch.no_grad():
        dict(embedding.named_parameters())["adapter.2.bias"].add_(0.1)
    assert not torch.allclose(embedding(features), before)


def test_a_projection_follows_changed_axes_exactly() -> None:
    torch.manual_seed(0)
    projection = ProjectionEmbedding(6, 4).double()
    features = torch.randn(5, 6, dtype=torch.float64)
    change, shift = torch.randn(4, 4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    expected = projection(features) @ change + shift
    projection.rebase(change, shift)
    torch.testing.assert_close(projection(features), expected, rtol=0, atol=1e-12)
    assert projection.weight.requires_grad
