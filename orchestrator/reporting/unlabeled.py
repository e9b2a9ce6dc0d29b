"""Describe unlabelled images in words: how many are used, and how many are skipped."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.reporting.quantities import count

_REASONS = {
    "in_test": "test image",
    "in_validation": "validation image",
    "in_training": "training image",
    "repeated": "repeated image",
}


def unlabeled_words(num_images: int, num_left_out: Mapping[str, int]) -> str:
    """Return the numbers of used and skipped images as text, such as `8,000 images without labels;
    13 skipped: 12 test images, 1 repeated image`.

    Args:
        num_images: Number of used images.
        num_left_out: Number of skipped images by reason. The reasons are named as the fields of
            `orchestrator.data.unlabeled.LeftOut`.
    """
    used, total = f"{count(num_images)} images without labels", sum(num_left_out.values())
    if not total:
        return used
    reasons = [
        f"{count(num)} {_REASONS[name]}{'' if num == 1 else 's'}"
        for name, num in num_left_out.items()
        if num
    ]
    return f"{used}; {count(total)} skipped: {', '.join(reasons)}"
