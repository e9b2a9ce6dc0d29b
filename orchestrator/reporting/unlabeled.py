"""Images without labels in words: how many there are, and which are left out."""

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
    """Return `8,000 images without labels; 13 left out: 12 test images, 1 repeated image`.

    Args:
        num_images: That are used.
        num_left_out: The others, by reason: the fields of `LeftOut`.
    """
    used, total = f"{count(num_images)} images without labels", sum(num_left_out.values())
    if not total:
        return used
    reasons = [
        f"{count(num)} {_REASONS[name]}{'' if num == 1 else 's'}"
        for name, num in num_left_out.items()
        if num
    ]
    return f"{used}; {count(total)} left out: {', '.join(reasons)}"
