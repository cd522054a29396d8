"""A token of time stands for the same frames wherever it is drawn, counted or named."""

from __future__ import annotations

import numpy as np
import pytest

from processor.engine.attention import Seen, frames_of
from processor.engine.attribution import attended
from processor.results.body_pictures import between_frames, over_time
from processor.results.tokens import at_frames, step_of


def test_strides_of_two_make_steps_of_powers_of_two() -> None:
    counts = ((300, 300), (300, 150), (300, 75), (5, 3), (3, 1), (5, 2), (9, 3))
    assert [step_of(T, num_token) for T, num_token in counts] == [1, 2, 4, 2, 4, 4, 4]
    assert step_of(300, 100) == 3  # of a user's block


@pytest.mark.parametrize("num_frame", range(1, 40))
def test_tokens_stand_where_strides_of_two_leave_them(num_frame: int) -> None:
    frames = np.arange(num_frame)
    tokens = frames
    while len(tokens) > 1:
        tokens = tokens[::2]
        np.testing.assert_array_equal(frames[:: step_of(num_frame, len(tokens))], tokens)
        nearest = [tokens[tokens <= frame].max() for frame in frames]
        np.testing.assert_array_equal(at_frames(tokens, num_frame), nearest)


def test_nine_frames_of_three_tokens() -> None:
    rng = np.random.default_rng(0)
    token = [0, 0, 0, 0, 1, 1, 1, 1, 2]
    joints = Seen("a", "joints", 0, rng.random((1, 3, 4, 4)))
    frames = Seen("b", "frames", 0, rng.random((1, 4, 3, 3)))
    assert frames_of(joints, np.arange(9)).tolist() == [0, 4, 8]
    np.testing.assert_allclose(over_time([joints], "joints", 9)[0], joints.values[0, token])
    A = frames.values[0].mean(axis=0)[np.ix_(token, token)]
    A /= A.sum(axis=1, keepdims=True)
    drawn = between_frames([frames], 9)
    assert drawn is not None
    np.testing.assert_allclose(drawn, A)
    np.testing.assert_allclose(attended([frames], (3, 9, 4, 1))["attention", "frames"], A.mean(axis=0))
