"""Fine-tuning, the lower bound: train on each task's new classes, without protection from
forgetting.
"""

from orchestrator.methods.networks import TrainedNetwork

METHOD = TrainedNetwork()
