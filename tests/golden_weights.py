"""Golden checkpoints, each tensor made once: many of the variants share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from golden.golden import weight


def golden_weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """The state dict of a published model with these keys and shapes; nobody writes into its arrays."""
    return {key: _weight(key, (*shape,)) for key, shape in shapes.items()}


@cache
def _weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    return weight(key, list(shape))
