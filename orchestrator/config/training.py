"""Configure training: epochs, batch size, learning rate, and rehearsal of old classes."""

from __future__ import annotations

from pydantic import Field

from orchestrator.config.base import Config
from orchestrator.config.bounds import MOST_BATCH, MOST_EPOCHS, MOST_RATE


class TrainingConfig(Config):
    """Training with AdamW and a one-cycle learning rate."""

    epochs: int = Field(
        default=30,
        ge=1,
        le=MOST_EPOCHS,
        description=(
            "Number of epochs; an epoch covers the largest class about once and repeats smaller"
            " classes."
        ),
    )
    batch_size: int = Field(
        default=64, ge=2, le=MOST_BATCH, description="Images per step, over all workers."
    )
    learning_rate: float = Field(
        default=0.002, gt=0, le=MOST_RATE, description="Peak learning rate."
    )
    weight_decay: float = Field(
        default=0.0005, ge=0, le=MOST_RATE, description="Decoupled weight decay of AdamW."
    )


class RefinementConfig(TrainingConfig):
    """Further training of the teacher's embedding module and classifier, which starts from their
    closed-form solution.
    """

    epochs: int = Field(
        default=0,
        ge=0,
        le=MOST_EPOCHS,
        description=(
            "Number of epochs in every task; 0 keeps the closed form, which refinement did not"
            " improve in measurements."
        ),
    )
    learning_rate: float = Field(
        default=0.001, gt=0, le=MOST_RATE, description="Peak learning rate."
    )
    weight_decay: float = Field(
        default=0.0, ge=0, le=MOST_RATE, description="Decoupled weight decay of AdamW."
    )


Rehearsal: float = Field(
    default=0.0,
    ge=0,
    le=1,
    description=(
        "How much each old class lengthens an epoch of a later task, relative to a new class (which"
        " counts as 1). At 1, an epoch covers each new image about once, however many old classes"
        " there are. At 0, old classes add no length, so that early and late tasks cost the same;"
        " on digits this was measured to cost no accuracy. Batches are balanced over all classes in"
        " either case."
    ),
)
