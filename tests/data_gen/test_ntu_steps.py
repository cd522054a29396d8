"""The preprocessing equals plain loops on random recordings; the published figures are in test_ntu_convert."""

from __future__ import annotations

import numpy as np
import pytest
import slow_preprocess
from recordings import random_bodies

from data_gen.ntu.steps import fill, plain, preprocessed, rotation, strongest


@pytest.mark.parametrize("seed", range(40))
def test_preprocessing_equals_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bodies = random_bodies(rng, int(rng.integers(1, 5)), int(rng.integers(1, 13)))
    before = bodies.copy()
    bodies_of_four = np.concatenate([bodies, np.zeros((4 - len(bodies), *bodies.shape[1:]))])
    sample, expected = preprocessed(bodies_of_four, num_frame=30), slow_preprocess.preprocessed(bodies_of_four, 30)
    np.testing.assert_allclose(sample, expected[: len(sample)], atol=1e-9)
    assert not expected[len(sample) :].any()
    np.testing.assert_array_equal(bodies, before)


def test_the_first_body_is_the_one_that_moves_most() -> None:
    rng = np.random.default_rng(0)
    bodies = np.stack([scale * rng.normal(size=(5, 25, 3)) for scale in (0.1, 3.0, 0.2, 2.0)])
    sample = preprocessed(bodies, num_frame=5)
    lengths = np.linalg.norm(np.diff(sample, axis=2), axis=-1)  # rotations keep them
    np.testing.assert_allclose(lengths, np.linalg.norm(np.diff(bodies[[1, 3]], axis=2), axis=-1))


def test_gaps_close_only_after_a_late_start() -> None:
    body = np.arange(1.0, 7.0)[None, :, None, None] * np.ones((1, 1, 25, 3))
    body[:, 3] = 0
    np.testing.assert_array_equal(fill(body, 8)[0, :, 0, 0], [1, 2, 3, 0, 5, 6, 1, 2])
    body[:, 0] = 0
    np.testing.assert_array_equal(fill(body, 8)[0, :, 0, 0], [2, 3, 5, 6, 2, 3, 5, 6])


def test_plain_is_the_first_bodies_and_frames() -> None:
    bodies = np.random.default_rng(0).normal(size=(4, 7, 25, 3))
    np.testing.assert_array_equal(plain(bodies, num_frame=5), bodies[:2, :5])
    np.testing.assert_array_equal(plain(bodies, num_frame=9), bodies[:2])


def test_absent_bodies_at_the_end_are_left_out() -> None:
    bodies = np.zeros((4, 3, 25, 3))
    bodies[2] = np.random.default_rng(0).normal(size=(3, 25, 3))
    np.testing.assert_array_equal(strongest(bodies), bodies[2:3])
    bodies[3] = 1  # present, though it does not move: no less than the absent ones before it, and no more
    np.testing.assert_array_equal(strongest(bodies), bodies[2:3])
    bodies[0] = 1
    np.testing.assert_array_equal(strongest(bodies), bodies[[2, 0]])


def test_spine_points_up_and_shoulders_along_x() -> None:
    sample = preprocessed(np.random.default_rng(3).normal(size=(4, 6, 25, 3)), num_frame=6)
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
