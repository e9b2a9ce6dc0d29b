"""Joint training, the upper bound: at every task, train from scratch on all images so far."""

from __future__ import annotations

from orchestrator.methods.networks import TrainedNetwork


class Joint(TrainedNetwork):
    """Train from scratch on all images so far."""

    learns_from_all_images = True


METHOD = Joint()
