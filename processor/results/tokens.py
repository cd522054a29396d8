"""Tokens of time and the frames of the input: where each token stands, and for which frames.

Each stride of 2 in a model halves the number of tokens, rounded up, so that a token stands for 1, 2, 4, ... frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def step_of(num_frame: int, num_token: int) -> int:
    """Frames of the input from one token to the next.

    Where no strides of 2 make this number of tokens, as in a user's block, they are spread evenly.
    """
    step = 1
    while -(-num_frame // step) > num_token:
        step *= 2
    return step if -(-num_frame // step) == num_token else -(-num_frame // num_token)


def at_frames(x: np.ndarray, num_frame: int, *, axes: Sequence[int] = (0,)) -> np.ndarray:
    """`x` with `num_frame` entries along each of these axes of tokens: a token's entry at all of its frames."""
    for axis in axes:
        token = np.arange(num_frame) // step_of(num_frame, x.shape[axis])
        x = x.take(token, axis=axis)
    return x


def map_at_frames(A: np.ndarray, num_frame: int) -> np.ndarray:
    """Attention (L, L) between tokens -> (T, T): a token's weight is spread over the frames that it stands for."""
    y = at_frames(A, num_frame, axes=(0, 1))
    return y / y.sum(axis=1, keepdims=True)
