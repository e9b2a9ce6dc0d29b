"""The drift of features is estimated from available images."""

import pytest
import torch

from orchestrator.methods.features.drift import drift_between

CLASSES, FEATURES = 4, 6


@pytest.mark.parametrize("seed", range(5))
def test_the_drift_of_old_classes_is_estimated_from_new_ones(seed: int) -> None:
    """If features vary equally in all directions, images of any classes show how all of them
    moved.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(200)
    features = torch.randn(CLASSES, FEATURES, generator=generator)[labels] + torch.randn(
        len(labels), FEATURES, generator=generator
    )
    change = torch.eye(FEATURES) + 0.1 * torch.randn(FEATURES, FEATURES, generator=generator)
    moved = features @ change + torch.randn(FEATURES, generator=generator)
    old, new = labels < 2, labels >= 2
    found = drift_between(features[new], moved[new], 0)
    error = (found.of_points(features[old]) - moved[old]).norm()
    assert error < 0.1 * (features[old] - moved[old]).norm()


def test_without_drift_points_stay_in_place() -> None:
    features = torch.randn(50, FEATURES, generator=torch.Generator().manual_seed(0))
    found = drift_between(features, features, 2)
    torch.testing.assert_close(found.of_points(features), features, rtol=1e-4, atol=1e-4)


def test_few_images_show_a_shift_but_not_a_turn() -> None:
    """Three images cannot determine a rotation of six features: unobserved directions do not
    change.
    """
    generator = torch.Generator().manual_seed(0)
    few = torch.randn(3, FEATURES, generator=generator)
    found = drift_between(few, 2 * few + 5, 0)
    assert (found.change - torch.eye(FEATURES)).norm() < 0.5
    torch.testing.assert_close(
        found.of_points(few.mean(dim=0)), 2 * few.mean(dim=0) + 5, rtol=1e-3, atol=1e-3
    )


def test_all_exemplars_together_weigh_a_tenth_of_the_new_images() -> None:
    generator = torch.Generator().manual_seed(0)
    still, moving = (
        torch.randn(4, FEATURES, generator=generator),
        torch.randn(40, FEATURES, generator=generator),
    )
    found = drift_between(torch.cat([still, moving]), torch.cat([still, moving + 1.1]), 4)
    centre = (0.1 * still.mean(dim=0) + moving.mean(dim=0)) / 1.1
    torch.testing.assert_close(found.of_points(centre), centre + 1.0, rtol=1e-3, atol=1e-3)


def test_identical_images_give_finite_values() -> None:
    found = drift_between(torch.zeros(5, FEATURES), torch.ones(5, FEATURES), 1)
    torch.testing.assert_close(found.of_points(torch.zeros(FEATURES)), torch.ones(FEATURES))
