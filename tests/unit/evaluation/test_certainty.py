"""The number of images that a model is sure of, class by class."""

import torch

from orchestrator.evaluation.certainty import certainty_of


def logits(*probabilities: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(probabilities).log()


def test_images_count_for_the_most_probable_class() -> None:
    found = certainty_of(logits((0.95, 0.03, 0.02), (0.5, 0.3, 0.2), (0.04, 0.92, 0.04)))
    assert found.assigned.tolist() == [2, 1, 0]
    assert found.sure.tolist() == [1, 1, 0]


def test_a_model_is_sure_from_nine_tenths_on() -> None:
    found = certainty_of(logits((0.9001, 0.0999), (0.8999, 0.1001)))
    assert (found.assigned.tolist(), found.sure.tolist()) == ([2, 0], [1, 0])


def test_parts_add_up() -> None:
    whole = logits((0.95, 0.05), (0.2, 0.8), (0.01, 0.99))
    added = certainty_of(whole[:1]) + certainty_of(whole[1:])
    assert added.assigned.tolist() == certainty_of(whole).assigned.tolist() == [1, 2]
    assert added.sure.tolist() == certainty_of(whole).sure.tolist() == [1, 1]
