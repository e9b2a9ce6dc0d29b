"""The student's classifier in closed form: class means that follow the features, and their linear
discriminants.
"""

import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from orchestrator.methods.dual_teacher.student.closed_form import (
    FeatureStatistics,
    discriminant,
    no_statistics,
)
from orchestrator.methods.features.drift import FeatureDrift

CLASSES, FEATURES = 4, 6


def drawn(seed: int = 0, num: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features of some classes with a common, anisotropic spread, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(num)
    means = 3 * torch.randn(CLASSES, FEATURES, generator=generator)
    stretched = torch.randn(len(labels), FEATURES, generator=generator) @ torch.randn(
        FEATURES, FEATURES, generator=generator
    )
    return means[labels] + stretched, labels


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return float((logits.argmax(dim=1) == labels).double().mean())


def test_classes_added_one_after_another_equal_all_classes_at_once() -> None:
    features, labels = drawn()
    at_once = no_statistics(FEATURES).with_classes(features, labels)
    one_by_one = no_statistics(FEATURES)
    for c in range(CLASSES):
        one_by_one = one_by_one.with_classes(features[labels == c], labels[labels == c])
    for name in ("means", "counts", "covariance"):
        torch.testing.assert_close(getattr(one_by_one, name), getattr(at_once, name))
    within = torch.stack([torch.cov(features[labels == c].T) for c in range(CLASSES)]).mean(dim=0)
    torch.testing.assert_close(at_once.covariance, within)
    assert at_once.counts.tolist() == [50] * CLASSES


def test_the_discriminants_equal_those_of_scikit_learn() -> None:
    features, labels = drawn()
    ours = discriminant(no_statistics(FEATURES).with_classes(features, labels), shrinkage=1e-9)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(features.numpy(), labels.numpy())
    assert (ours(features).argmax(dim=1).numpy() == theirs.predict(features.numpy())).mean() > 0.99
    probable = torch.softmax(ours(features), dim=1)
    assert (
        probable - torch.from_numpy(theirs.predict_proba(features.numpy())).float()
    ).abs().mean() < 0.01


def test_statistics_follow_a_drift() -> None:
    features, labels = drawn()
    drift = FeatureDrift(torch.eye(FEATURES) * 2, torch.arange(FEATURES).float())
    followed = no_statistics(FEATURES).with_classes(features, labels).followed(drift)
    moved = no_statistics(FEATURES).with_classes(drift.of_points(features), labels)
    for name in ("means", "counts", "covariance"):
        torch.testing.assert_close(
            getattr(followed, name), getattr(moved, name), rtol=1e-4, atol=1e-4
        )


def test_a_class_with_few_images_is_predicted_as_often_as_one_with_many() -> None:
    """Two classes differ only in their number of images. With the noise in its mean removed, the
    smaller one is predicted half of the time.
    """
    generator = torch.Generator().manual_seed(0)
    counts, dimensions, shares = torch.tensor([400, 5]), 40, []
    for _ in range(50):
        means = torch.randn(2, dimensions, generator=generator) / counts[:, None].sqrt()
        answers = discriminant(FeatureStatistics(means, counts, torch.eye(dimensions)), 0.1)
        fresh = torch.randn(500, dimensions, generator=generator)
        shares.append(float((answers(fresh).argmax(dim=1) == 1).double().mean()))
    assert 0.4 < sum(shares) / len(shares) < 0.6


@pytest.mark.parametrize("num", [1, 2])
def test_a_few_identical_images_give_finite_values(num: int) -> None:
    features = torch.zeros(2 * num, FEATURES)
    logits = discriminant(
        no_statistics(FEATURES).with_classes(features, torch.arange(2).repeat_interleave(num)), 0.1
    )(features)
    assert torch.isfinite(logits).all()


def test_adding_classes_does_not_change_the_earlier_statistics() -> None:
    features, labels = drawn()
    before = no_statistics(FEATURES).with_classes(features[labels < 2], labels[labels < 2])
    kept = [tensor.clone() for tensor in (before.means, before.counts, before.covariance)]
    after = before.with_classes(features[labels >= 2], labels[labels >= 2])
    assert accuracy(discriminant(after, 0.1)(features), labels) > 0.9
    assert all(
        torch.equal(one, other)
        for one, other in zip(kept, (before.means, before.counts, before.covariance), strict=True)
    )


def shares_of(labels: torch.Tensor, seed: int = 1) -> torch.Tensor:
    """Return shares that favour the labels."""
    generator = torch.Generator().manual_seed(seed)
    leaning = torch.rand(len(labels), CLASSES, generator=generator)
    leaning += 2 * torch.nn.functional.one_hot(labels, CLASSES)
    return leaning / leaning.sum(dim=1, keepdim=True)


def test_statistics_of_shares_are_weighted_means_and_deviations() -> None:
    features, labels = drawn()
    shares = shares_of(labels)
    found = no_statistics(FEATURES).with_shares(features, shares)
    rows, weights = features.double(), shares.double()
    means = torch.stack([(w[:, None] * rows).sum(dim=0) / w.sum() for w in weights.T])
    scatter = sum(
        ((rows - mean).T * w) @ (rows - mean) for w, mean in zip(weights.T, means, strict=True)
    )

    torch.testing.assert_close(found.means, means.float())
    torch.testing.assert_close(found.counts, shares.sum(dim=0))
    expected = scatter / (len(rows) - CLASSES)
    torch.testing.assert_close(found.covariance, expected.float(), rtol=1e-4, atol=1e-5)


def test_shares_added_one_after_another_equal_all_at_once() -> None:
    features, labels = drawn()
    shares = shares_of(labels)
    at_once = no_statistics(FEATURES).with_shares(features, shares)
    first = labels < 2
    later = no_statistics(FEATURES).with_shares(features[first], shares[first])
    later = later.with_shares(features[~first], shares[~first])
    for name in ("means", "counts", "covariance"):
        torch.testing.assert_close(
            getattr(later, name), getattr(at_once, name), rtol=1e-3, atol=1e-4
        )


def test_an_image_that_belongs_to_no_class_changes_nothing() -> None:
    features, labels = drawn()
    known = no_statistics(FEATURES).with_shares(features, shares_of(labels))
    after = known.with_shares(torch.full((3, FEATURES), 9.0), torch.zeros(3, CLASSES))
    for name in ("means", "counts", "covariance"):
        torch.testing.assert_close(getattr(after, name), getattr(known, name))


def test_discriminants_do_not_depend_on_the_units_of_features() -> None:
    features, labels = drawn()
    units = torch.tensor([1.0, 10.0, 0.1, 3.0, 100.0, 0.01])
    plain = discriminant(no_statistics(FEATURES).with_classes(features, labels), 0.3)
    scaled = discriminant(no_statistics(FEATURES).with_classes(features * units, labels), 0.3)

    torch.testing.assert_close(scaled(features * units), plain(features), rtol=1e-3, atol=1e-3)
