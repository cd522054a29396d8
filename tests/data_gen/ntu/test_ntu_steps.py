"""The preprocessing equals plain loops on random recordings; the published figures are in test_ntu_convert."""

from __future__ import annotations

import numpy as np
import pytest
import slow_preprocess
from recordings import random_bodies

from data_gen.ntu.steps import (
    follow,
    origin,
    plain,
    preprocessed,
    presence,
    recorded,
    rotation,
    strongest,
    swaps,
)


def in_array(bodies: np.ndarray, num_frame: int) -> np.ndarray:
    kept = preprocessed(bodies, num_frame)
    assert not kept.bodies[~kept.present].any()
    return kept.bodies[:, kept.frames]


@pytest.mark.parametrize("seed", range(40))
def test_preprocessing_equals_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bodies = random_bodies(rng, int(rng.integers(1, 5)), int(rng.integers(1, 13)))
    before = bodies.copy()
    bodies_of_four = np.concatenate([bodies, np.zeros((4 - len(bodies), *bodies.shape[1:]))])
    sample, expected = in_array(bodies_of_four, num_frame=30), slow_preprocess.preprocessed(bodies_of_four, 30)
    np.testing.assert_allclose(sample, expected[: len(sample)], atol=1e-9)
    assert not expected[len(sample) :].any()
    np.testing.assert_array_equal(bodies, before)


def test_the_first_body_is_the_one_that_moves_most() -> None:
    rng = np.random.default_rng(0)
    bodies = np.stack([scale * rng.normal(size=(5, 25, 3)) for scale in (0.1, 3.0, 0.2, 2.0)])
    sample = in_array(bodies, num_frame=5)
    lengths = np.linalg.norm(np.diff(sample, axis=2), axis=-1)  # rotations keep them
    np.testing.assert_allclose(lengths, np.linalg.norm(np.diff(bodies[[1, 3]], axis=2), axis=-1))


def test_gaps_close_only_after_a_late_start() -> None:
    present = np.array([1, 1, 1, 0, 1, 1, 0, 0], bool)
    assert recorded(present).tolist() == [0, 1, 2, 3, 4, 5]
    present[0] = False
    assert recorded(present).tolist() == [1, 2, 4, 5]
    assert recorded(np.zeros(8, bool)).tolist() == [0]


@pytest.mark.parametrize(("first", "second", "length"), [(6, 6, 6), (6, 4, 6), (3, 7, 7), (7, 0, 7), (12, 5, 8)])
def test_the_length_is_that_of_the_body_seen_longest(first: int, second: int, length: int) -> None:
    bodies = np.random.default_rng(0).normal(size=(2, 12, 25, 3))
    for body, end in zip(bodies, (first, second), strict=True):
        body[end:] = 0
    assert preprocessed(bodies, num_frame=8).length == length


def test_a_missing_joint_is_never_a_position() -> None:
    """The others come out as if it had been seen; where the spine alone is missing, it is where it was before."""
    rng = np.random.default_rng(5)
    bodies = rng.normal(size=(1, 6, 25, 3)) + np.array([0, 0, 3])
    bodies[0, :, 1] = bodies[0, 0, 1]  # the spine stays in its place
    expected = in_array(bodies, num_frame=9)
    for t, v in ((0, 0), (0, 8), (3, 1), (5, 20)):
        lost = bodies.copy()
        lost[0, t, v] = 0
        found = in_array(lost, num_frame=9)
        assert not found[0, t::6, v].any()
        if t:
            found[0, t::6, v] = expected[0, t::6, v]
            np.testing.assert_allclose(found, expected, atol=1e-12)
        elif v == 8:  # frame 1 decides the rotation, because frame 0 has no right shoulder
            shoulders = found[0, 1, 8] - found[0, 1, 4]
            np.testing.assert_allclose(shoulders[1:], 0, atol=1e-12)
            assert shoulders[0] > 0


def test_the_spine_is_where_it_was_last() -> None:
    body = np.arange(1.0, 6.0)[:, None, None] * np.ones((5, 25, 3))
    body[[0, 2], 1] = 0
    body[3] = 0  # the body is absent: nothing is subtracted, as published
    np.testing.assert_array_equal(origin(body, presence(body[None])[0])[:, 0], [2, 2, 2, 0, 5])
    body[:, 1] = 0
    np.testing.assert_array_equal(origin(body, presence(body[None])[0]), np.zeros((5, 3)))


def test_a_missing_joint_does_not_make_a_body_the_stronger() -> None:
    bodies = np.stack([scale * np.random.default_rng(0).normal(size=(5, 25, 3)) for scale in (1.0, 1.1)])
    bodies += np.array([0, 0, 9])
    bodies[0, :, 3] = 0  # as a position it would be nine metres away from the others
    assert strongest(bodies, presence(bodies)).tolist() == [1, 0]


def test_identities_become_bodies() -> None:
    bodies = np.arange(1.0, 7.0).reshape(2, 3, 1, 1) * np.ones((2, 3, 25, 3))
    identity = np.array([[0, 1, 1], [1, -1, 2]])
    assert swaps(identity)
    assert not swaps(identity[:1])
    assert not swaps(np.zeros((0, 3), int))
    np.testing.assert_array_equal(follow(bodies, identity)[..., 0, 0], [[1, 0, 0], [4, 2, 3], [0, 0, 6]])
    np.testing.assert_array_equal(follow(bodies, identity, num_body=2)[..., 0, 0], [[1, 0, 0], [4, 2, 3]])


def test_plain_is_the_first_bodies_and_frames() -> None:
    bodies = np.random.default_rng(0).normal(size=(4, 7, 25, 3))
    kept = plain(bodies, num_frame=5)
    np.testing.assert_array_equal(kept.bodies[:, kept.frames], bodies[:2, :5])
    assert kept.length == 5
    kept = plain(bodies, num_frame=9)
    np.testing.assert_array_equal(kept.bodies[:, kept.frames][:, :7], bodies[:2])
    assert not kept.bodies[:, kept.frames][:, 7:].any()
    assert kept.length == 7


def test_absent_bodies_at_the_end_are_left_out() -> None:
    bodies = np.zeros((4, 3, 25, 3))
    bodies[2] = np.random.default_rng(0).normal(size=(3, 25, 3))
    assert strongest(bodies, presence(bodies)).tolist() == [2]
    bodies[3] = 1  # present, though it does not move: no less than the absent ones before it, and no more
    assert strongest(bodies, presence(bodies)).tolist() == [2]
    bodies[0] = 1
    assert strongest(bodies, presence(bodies)).tolist() == [2, 0]


def test_spine_points_up_and_shoulders_along_x() -> None:
    sample = in_array(np.random.default_rng(3).normal(size=(4, 6, 25, 3)), num_frame=6)
    shoulders = sample[0, 0, 8] - sample[0, 0, 4]
    np.testing.assert_allclose(shoulders / np.linalg.norm(shoulders), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(sample[0, :, 1], 0, atol=1e-12)


@pytest.mark.parametrize("tilt", [3.0, 1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("sign", [1, -1])
def test_rotation_is_one_and_exact_next_to_the_axis(tilt: float, sign: int) -> None:
    source = np.array([np.sin(tilt), 0.0, sign * np.cos(tilt)]) * 0.4
    R = rotation(source, np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(R), 1)
    np.testing.assert_allclose(R @ source, [0, 0, 0.4], atol=1e-9)


@pytest.mark.parametrize("source", [(0, 0, 0), (0, 0, 2), (0, 0, -2)])
def test_without_an_axis_nothing_turns(source: tuple[float, float, float]) -> None:
    np.testing.assert_array_equal(rotation(np.array(source), np.array([0, 0, 1])), np.eye(3))
