"""Compare a champion's predictions for new images with those for held-out images, by three signals.

- Agreement of student and teacher, tested by Fisher's exact test, one-sided.
- Images far from every class. The closeness of an image is its highest logit minus its mean logit
  (after Vaze et al., "Open-Set Recognition: A Good Closed-Set Classifier Is All You Need", ICLR
  2022). An image is far if its closeness is below the k-th smallest closeness of the m held-out
  images. If new and held-out images are alike, the number of far images among n new images has the
  beta-binomial distribution BB(n, k, m + 1 - k). This result holds for any distribution of logits,
  so the test is valid for every method and for small samples.
- Predicted classes, tested by a G-test and by Fisher's exact test of each class. The G-test merges
  rare classes into one. The p-values of Fisher's tests are multiplied by the number of classes. The
  smaller p-value of both kinds of test is then doubled (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.config.monitoring import MonitoringConfig
from orchestrator.retraining.changes import FindingKind
from orchestrator.retraining.monitoring.records import Answers, Noted

_NUM_SIGNALS = 3
_LEAST_EXPECTED = 5.0  # minimum expected count of a class for which the G-test is accurate
_MOST_CLASSES = 5

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Signals:
    """Result of comparing new images with held-out images.

    P-values are in [0, 1]. A small p-value means that chance does not explain the difference.

    Attributes:
        agreement_p_value: P-value of the one-sided test whether student and teacher agree less
            often on the new images than on the held-out images.
        far_share: Share of the new images that are far from every class.
        expected_far_share: Expected value of `far_share` if the new images resemble the held-out
            images.
        far_p_value: P-value of the number of far images.
        class_distance: Total variation distance between the predicted classes of the new and of the
            held-out images, in [0, 1].
        class_p_value: P-value of the difference between the predicted classes.
        moved: Predicted classes whose share differs significantly between new and held-out images,
            the largest difference first.
    """

    agreement_p_value: float
    far_share: float
    expected_far_share: float
    far_p_value: float
    class_distance: float
    class_p_value: float
    moved: Sequence[str] = ()


def compare(new: Answers, held_out: Answers, config: MonitoringConfig) -> Signals:
    """Compare two samples of predictions by the three signals that the module's docstring defines.

    Args:
        new: Predictions for the new images.
        held_out: Predictions for the held-out images.
        config: Configuration of monitoring, including the quantile for far images and the
            significance level.
    """
    from scipy.stats import betabinom, fisher_exact  # noqa: PLC0415 - slow to import

    agreeing = [[it.num_agreeing, it.num_images - it.num_agreeing] for it in (new, held_out)]
    rank = max(1, int(config.far_quantile * (held_out.num_images + 1)))
    others = held_out.num_images + 1 - rank
    num_far = int((np.asarray(new.closeness) < held_out.closeness[rank - 1]).sum())
    labels = [*dict.fromkeys([*held_out.classes, *new.classes])]
    counts = np.asarray([[it.classes.get(at, 0) for at in labels] for it in (new, held_out)])
    by_class = class_p_values(counts)
    shares = counts / counts.sum(axis=1, keepdims=True)
    changes = np.abs(shares[0] - shares[1])
    level = config.p_value / _NUM_SIGNALS
    return Signals(
        agreement_p_value=float(fisher_exact(agreeing, alternative="less").pvalue),
        far_share=num_far / new.num_images,
        expected_far_share=rank / (held_out.num_images + 1),
        far_p_value=float(betabinom.sf(num_far - 1, new.num_images, rank, others)),
        class_distance=float(changes.sum() / 2),
        class_p_value=min(1.0, 2 * min(mixture_p_value(counts), float(by_class.min()))),
        moved=[labels[at] for at in np.argsort(-changes, kind="stable") if by_class[at] < level],
    )


def mixture_p_value(counts: Counts) -> float:
    """Return the p-value of the hypothesis that two samples have the same mixture of classes.

    Args:
        counts: (2, classes), number of images of each class in each sample.
    """
    from scipy.stats import chi2_contingency  # noqa: PLC0415 - as above

    sizes, of_class = counts.sum(axis=1), counts.sum(axis=0)
    is_rare = of_class * sizes.min() / sizes.sum() < _LEAST_EXPECTED
    rare = counts[:, is_rare].sum(axis=1, keepdims=True)
    table = np.concatenate([counts[:, ~is_rare], *([rare] if rare.any() else [])], axis=1)
    if table.shape[1] < 2:
        return 1.0
    return float(chi2_contingency(table, correction=False, lambda_="log-likelihood").pvalue)


def class_p_values(counts: Counts) -> npt.NDArray[np.float64]:
    """Test for each class whether its share differs between two samples of images, and return the
    p-values.

    Each p-value is multiplied by the number of classes (Bonferroni).

    Args:
        counts: (2, classes), number of images of each class in each sample.
    """
    from scipy.stats import fisher_exact  # noqa: PLC0415 - as above

    sizes = counts.sum(axis=1)
    alone = [float(fisher_exact([of_class, sizes - of_class]).pvalue) for of_class in counts.T]
    return np.asarray([min(1.0, p_value * len(alone)) for p_value in alone])


def crossed_bounds(
    signals: Signals, new: Answers, held_out: Answers, config: MonitoringConfig
) -> list[Noted]:
    """Return a finding for each signal that crosses its bound and is statistically significant.

    Args:
        signals: The result of `compare`.
        new: Predictions for the new images.
        held_out: Predictions for the held-out images.
        config: Configuration of monitoring, including the bounds.
    """
    found = []
    drop, bound = held_out.agreement - new.agreement, config.max_agreement_drop
    if _is_crossed(drop, bound, signals.agreement_p_value, config):
        what = (
            f"student and teacher agree on {_percent(new.agreement)} of {new.num_images} new images"
            f" without labels, on {_percent(held_out.agreement)} of {held_out.num_images} held-out"
            f" ones ({_chance(signals.agreement_p_value)})"
        )
        found.append(Noted(kind=FindingKind.AGREEMENT, message=what))
    if _is_crossed(signals.far_share, config.max_far_share, signals.far_p_value, config):
        what = (
            f"{_percent(signals.far_share)} of {new.num_images} new images without labels are far"
            f" from every class, where {_percent(signals.expected_far_share)} are expected"
            f" ({_chance(signals.far_p_value)}): look for classes that the champion does not know"
        )
        found.append(Noted(kind=FindingKind.FAR_IMAGES, message=what))
    distance = signals.class_distance
    if _is_crossed(distance, config.max_class_distance, signals.class_p_value, config):
        what = (
            f"the classes of {new.num_images} new images without labels differ from those of"
            f" {held_out.num_images} held-out ones by {_percent(distance)}"
            f" ({_chance(signals.class_p_value)}){_moved(signals.moved, new, held_out)}"
        )
        found.append(
            Noted(kind=FindingKind.CLASS_DRIFT, message=what, classes=tuple(signals.moved))
        )
    return found


def _is_crossed(
    value: float, bound: float | None, p_value: float, config: MonitoringConfig
) -> bool:
    return bound is not None and value > bound and p_value < config.p_value / _NUM_SIGNALS


def _moved(labels: Sequence[str], new: Answers, held_out: Answers) -> str:
    if not labels:
        return ""
    shares = [
        f"{label} ({_percent(_share(new.classes, label))}, held out"
        f" {_percent(_share(held_out.classes, label))})"
        for label in labels[:_MOST_CLASSES]
    ]
    more = f", and {len(labels) - _MOST_CLASSES} more" if len(labels) > _MOST_CLASSES else ""
    return f": {', '.join(shares)}{more}"


def _share(classes: Mapping[str, int], label: str) -> float:
    return classes.get(label, 0) / sum(classes.values())


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _chance(p_value: float) -> str:
    return f"p = {p_value:.1e}"
