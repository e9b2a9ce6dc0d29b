"""Types of the arrays that an exported model reads and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, UInt8

Images: TypeAlias = UInt8[np.ndarray, "n c h w"]
Logits: TypeAlias = Float32[np.ndarray, "n classes"]
Predictor: TypeAlias = Callable[[Images], Logits]
