import torch

from orchestrator.methods.features.shrinkage import shrinkage_for_images

COVARIANCE = torch.diag(torch.tensor([4.0, 2.0, 1.0, 1.0]))


def test_with_factor_zero_shrinkage_is_the_configured_value() -> None:
    assert abs(shrinkage_for_images(COVARIANCE, 5.0, 0.2, 0.0) - 0.2) < 1e-9


def test_shrinkage_grows_as_images_get_fewer() -> None:
    found = [shrinkage_for_images(COVARIANCE, freedom, 0.05, 8.0) for freedom in (1e3, 1e2, 2e1)]
    assert found == sorted(found)
    assert len(set(found)) == len(found)


def test_the_odds_of_shrinkage_grow_by_effective_dimensions_per_image() -> None:
    freedom, squared = 100.0, 22.0 - 64.0 / 100.0
    ratio = 64.0 / squared / freedom
    odds = 0.05 / 0.95 + 8.0 * ratio
    assert abs(shrinkage_for_images(COVARIANCE, freedom, 0.05, 8.0) - odds / (1 + odds)) < 1e-9


def test_full_shrinkage_remains_full() -> None:
    assert shrinkage_for_images(COVARIANCE, 10.0, 1.0, 8.0) == 1.0
