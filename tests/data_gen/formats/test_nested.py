"""Lists and mappings of numbers in JSON: what numbers and names in them tell is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import chain, moves, read_content

from data_gen.formats.recording import fitted
from graph import coco, mediapipe

A, B = moves(2, 5, 3).tolist()


def test_persons_by_number_keep_their_places(tmp_path: Path) -> None:
    recording = read_content(tmp_path, [{"3": A, "7": B}, {"7": B}, {}, {"7": A, "3": B}])
    assert recording.identity is not None
    assert recording.identity.tolist() == [[3, 7], [-1, 7], [-1, -1], [3, 7]]
    np.testing.assert_array_equal(recording.joints[1, 1], np.float32(B))
    np.testing.assert_array_equal(recording.joints[3], np.float32([B, A]))
    named = read_content(tmp_path, [{"ann": A, "bob": B}, {"bob": B}])
    assert named.present.any(axis=2).tolist() == [[True, True], [False, True]]
    assert read_content(tmp_path, [[A, B], [B, None]]).identity is None


@pytest.mark.parametrize("nest", [lambda frames: frames, lambda frames: {"fps": 30, "keypoints": frames}])
@pytest.mark.parametrize("frame", [A, [A, B], [None, *A[1:]], np.ravel(A).tolist()])
def test_frames_by_number_keep_their_numbers(tmp_path: Path, nest: Any, frame: Any) -> None:
    recording = read_content(tmp_path, nest({"12": frame, "9": frame, "10": frame}), skeleton=chain(5))
    assert recording.frames is not None
    assert recording.frames.tolist() == [9, 10, 11, 12]
    assert recording.present.any(axis=(1, 2)).tolist() == [True, True, False, True]


@pytest.mark.parametrize("name", ["score", "confidence", "conf", "c", "likelihood", "visibility", "Score", "prob"])
def test_a_score_is_no_depth(tmp_path: Path, name: str) -> None:
    points = [[{"x": 0.25, "y": 0.5, name: 0.75}] * 5]
    recording = read_content(tmp_path, points)
    assert recording.channels.names == ("x", "y", "score")
    assert recording.joints[0, 0, 0].tolist() == [0.25, 0.5, 0.75]
    deep = [[{"X": 1, "Y": 2, name: 0.75, "Z": 3}, {"X": 1, "Y": 2, name: None, "Z": 3}]]
    recording = read_content(tmp_path, deep)
    assert recording.channels.names == ("x", "y", "z", "score")
    assert recording.joints[0, 0].tolist() == [[1, 2, 3, 0.75], [0, 0, 0, 0]]
    pixels = [[{name: 0.5, "x": 320, "y": 240}] * 5]
    assert read_content(tmp_path, pixels).channels.unit == "pixels"


def test_the_first_frames_may_be_null(tmp_path: Path) -> None:
    for gap in (None, [], [None] * 5):
        recording = read_content(tmp_path, [gap, [None, *A[1:]], A])
        assert recording.present[:, 0].sum(axis=1).tolist() == [0, 4, 5]
        np.testing.assert_array_equal(recording.joints[2, 0], np.float32(A))
    recording = read_content(tmp_path, [[[None] * 5, None], [B, [*A[:4], None]]])
    assert recording.present.sum(axis=2).tolist() == [[0, 0], [5, 4]]


def test_joints_with_names_of_a_known_skeleton_become_those_of_another(tmp_path: Path) -> None:
    frame = {name.title().replace(" ", ""): [v, v + 1, 0.5] for v, name in enumerate(mediapipe.SKELETON.joints)}
    recording = read_content(tmp_path, [dict(reversed(frame.items()))], skeleton=coco.SKELETON)
    assert fitted(recording, coco.SKELETON).joints[0, 0, 5].tolist() == [11, 12, 0.5]


@pytest.mark.parametrize("nest", [lambda persons: {"fps": 25, **persons}, lambda persons: {"keypoints": persons}])
def test_each_person_may_have_frames(tmp_path: Path, nest: Any) -> None:
    recording = read_content(tmp_path, nest({"person_0": [A, B, A], "person_1": [B, A]}))
    assert recording.present.any(axis=2).tolist() == [[True, True], [True, True], [True, False]]
    np.testing.assert_array_equal(recording.joints[:2], np.float32([[A, B], [B, A]]))
    assert recording.identity is not None
    assert recording.identity[2].tolist() == [0, -1]
    numbered = read_content(tmp_path, nest({"body 4": {"7": A, "9": B, "8": A}, "body 6": {"8": B}}))
    assert numbered.frames is not None
    assert numbered.frames.tolist() == [7, 8, 9]
    np.testing.assert_array_equal(numbered.joints[1], np.float32([A, B]))
    alone = read_content(tmp_path, nest({"person_0": [A, B]}))
    np.testing.assert_array_equal(alone.joints[:, 0], np.float32([A, B]))
