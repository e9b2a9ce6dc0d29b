"""Training: epochs, batches, learning rate, and how much old classes lengthen an epoch."""

from __future__ import annotations

from pydantic import Field

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_BATCH, MOST_EPOCHS, MOST_RATE


class TrainingConfig(Config):
    """One optimisation: AdamW with a one-cycle learning rate."""

    epochs: int = Field(
        default=30,
        ge=1,
        le=MOST_EPOCHS,
        description=(
            "Epochs; in one, the largest class is seen about once and smaller ones are repeated."
        ),
    )
    batch_size: int = Field(
        default=64, ge=2, le=MOST_BATCH, description="Images a step, over all workers."
    )
    learning_rate: float = Field(
        default=0.002, gt=0, le=MOST_RATE, description="Peak learning rate."
    )
    weight_decay: float = Field(
        default=0.0005, ge=0, le=MOST_RATE, description="Decoupled weight decay of AdamW."
    )


class RefinementConfig(TrainingConfig):
    """Training of the teacher's embedding module and classifier on top of the closed form."""

    epochs: int = Field(
        default=0,
        ge=0,
        le=MOST_EPOCHS,
        description=(
            "Epochs in every task; 0 keeps the closed form, which refinement was measured not to"
            " improve."
        ),
    )
    learning_rate: float = Field(
        default=0.001, gt=0, le=MOST_RATE, description="Peak learning rate."
    )
    weight_decay: float = Field(
        default=0.0, ge=0, le=MOST_RATE, description="Decoupled weight decay of AdamW."
    )


Rehearsal: float = Field(
    default=1.0,
    ge=0,
    le=1,
    description=(
        "By how much every old class makes an epoch of a later task longer, as a share of what a"
        " new one does. At 1 each new image is seen about once an epoch, however many old classes"
        " there are; at 0 a task costs the same early and late. Batches are balanced over all"
        " classes either way."
    ),
)
