"""Persons keep one place for a whole recording, by the tracker's number or by distance."""

from __future__ import annotations

import numpy as np
import pytest

from data_gen.formats.persons import follow
from data_gen.formats.recording import Recording
from graph.channels import Channels

BODY = np.array([[0.0, 0.0, 0.0], [0.2, 0.9, 0.1], [0.1, 1.7, 0.0]])


def recording(frames: list[list[float | None]], identity: list[list[int]] | None = None) -> Recording:
    """Bodies at these x in each frame, in this order; None: nobody."""
    joints = np.array(
        [[np.full((3, 3), np.nan) if x is None else np.add(BODY, [x, 0, 3]) for x in row] for row in frames]
    )
    number = None if identity is None else np.array(identity)
    return Recording.of("a", joints, Channels(), identity=number)


def places(found: Recording) -> list[list[float | None]]:
    """The x of the first joint at each place."""
    return [
        [round(float(x), 3) if there else None for x, there in zip(row, present, strict=True)]
        for row, present in zip(found.joints[:, :, 0, 0], found.present.any(axis=2), strict=True)
    ]


def test_persons_who_change_places_are_put_back() -> None:
    found, changes = follow(recording([[1, 5], [5.1, 1.1], [1.2, 5.2], [5.3, 1.3]]))
    assert changes
    assert places(found) == [[1, 5], [1.1, 5.1], [1.2, 5.2], [1.3, 5.3]]


def test_persons_who_stay_are_left_alone() -> None:
    before = recording([[1, 5], [1.1, 5.1], [1.2, None], [1.3, 5.3]])
    found, changes = follow(before)
    assert not changes
    np.testing.assert_array_equal(found.joints, before.joints)


def test_a_person_alone_who_comes_back_keeps_the_place() -> None:
    found, changes = follow(recording([[1, 5], [5.1, None], [5.2, None], [5.3, 1.4]]))
    assert changes
    assert places(found) == [[5, 1], [5.1, None], [5.2, None], [5.3, 1.4]]  # who is there longest comes first


def test_somebody_far_away_is_somebody_else() -> None:
    found, _ = follow(recording([[1, None], [9, None], [1.1, 9.1]]))
    assert places(found) == [[1, None], [None, 9], [1.1, 9.1]]


def test_somebody_of_whom_one_joint_is_seen_keeps_the_place() -> None:
    frames: list[list[float | None]] = [[1, None], [1.1, None], [1.2, None], [1.3, None], [1.4, 9]]
    before = recording(frames)
    before.present[2, 0, 1:] = False
    found, _ = follow(before)
    assert places(found) == frames


def test_the_trackers_number_beats_distance() -> None:
    frames: list[list[float | None]] = [[1, 5], [1.1, 5.1], [1.2, 5.2]]
    found, changes = follow(recording(frames, [[7, 8], [8, 7], [7, 8]]))
    assert changes
    assert places(found) == [[1, 5], [5.1, 1.1], [1.2, 5.2]]
    assert found.identity is not None
    assert found.identity.tolist() == [[7, 8]] * 3


def test_numbers_that_a_tracker_loses_make_no_further_places() -> None:
    found, _ = follow(recording([[1, 5], [1.1, 5.1], [1.2, 5.2], [5.3, 1.3]], [[1, 2], [1, 3], [4, 3], [3, 4]]))
    assert places(found) == [[1, 5], [1.1, 5.1], [1.2, 5.2], [1.3, 5.3]]


def test_empty_places_go() -> None:
    found, _ = follow(recording([[None, 2, None], [1, None, None], [None, None, 2.1]]))
    assert found.joints.shape[1] == 1


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_lost_or_doubled(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [[float(x) if rng.random() < 0.7 else None for x in rng.permutation(4) * 3.0] for _ in range(12)]
    frames[0][0] = 1.5
    numbers = rng.integers(-1, 4, size=(12, 4)).tolist() if seed % 2 else None
    before = recording(frames, numbers)
    found, _ = follow(before)
    for old, new in zip(places(before), places(found), strict=True):
        assert sorted(x for x in old if x is not None) == sorted(x for x in new if x is not None)
