"""Frames whose numbers are all at one stride follow each other; one that is left out is a frame without anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import chain, moves, one, read_content, read_text

from data_gen.formats.places import frame_places
from data_gen.formats.recording import Recording

NUMBERS = (10, 15, 30, 35)  # 20 and 25 are left out
THERE = [True, True, False, False, True, True]
POINTS = moves(4, 2, 3) * [300, 300, 0.5]


def check(recording: Recording, first: np.ndarray) -> None:
    assert recording.present.any(axis=(1, 2)).tolist() == THERE
    np.testing.assert_allclose(recording.joints[THERE, 0], first, rtol=1e-6)
    assert recording.frames is not None
    assert recording.frames.tolist() == [10, 15, 20, 25, 30, 35]
    assert recording.between(15, 30).joints.shape[0] == 4
    assert recording.notes == ("took frames numbered in steps of 5 as consecutive",)


@pytest.mark.parametrize("name", ["{}", "{}.0", "frame_{:06}.jpg"])
def test_lines_of_a_table_may_be_of_every_fifth_frame(tmp_path: Path, name: str) -> None:
    lines = (f"{name.format(t)},{','.join(map(str, p[:, :2].ravel()))}\n" for t, p in zip(NUMBERS, POINTS, strict=True))
    check(read_text(tmp_path, "frame,x0,y0,x1,y1\n" + "".join(lines)), POINTS[..., :2])
    text = "".join(f"{t} {x} {y}\n" for t, p in zip(NUMBERS, POINTS, strict=True) for x, y in p[:, :2])
    if name == "{}":
        recording = read_text(tmp_path, text, "a.txt", skeleton=chain(2))
        assert recording.present.any(axis=(1, 2)).tolist() == THERE


CONTENTS: dict[str, Any] = {
    "nested": {str(t): p.tolist() for t, p in zip(NUMBERS, POINTS, strict=True)},
    "alphapose": [
        {"image_id": f"{t}.jpg", "keypoints": p.ravel().tolist()} for t, p in zip(NUMBERS, POINTS, strict=True)
    ],
    "mmpose": [
        {"frame_id": t, "instances": [{"keypoints": p[:, :2].tolist(), "keypoint_scores": p[:, 2].tolist()}]}
        for t, p in zip(NUMBERS, POINTS, strict=True)
    ],
}


@pytest.mark.parametrize("program", CONTENTS)
def test_json_may_be_of_every_fifth_frame(tmp_path: Path, program: str) -> None:
    check(read_content(tmp_path, CONTENTS[program]), POINTS)


def test_files_may_be_of_every_fifth_frame(tmp_path: Path) -> None:
    for t, p in zip(NUMBERS, POINTS, strict=True):
        content = {"people": [{"pose_keypoints_2d": p.ravel().tolist()}]}
        (tmp_path / f"a_{t:012}_keypoints.json").write_text(json.dumps(content))
    check(one(tmp_path), POINTS)


def test_clips_of_kinetics_form_may_be_of_every_fifth_frame(tmp_path: Path) -> None:
    body = {"pose": [0.5, 0.6] * 18, "score": [0.9] * 18}
    frames = [{"frame_index": t, "skeleton": [body] if t != 10 else []} for t in (5, 10, 15, 25)]
    recording = read_content(tmp_path, {"data": frames, "label_index": 3})
    assert recording.present.any(axis=(1, 2)).tolist() == [True, False, True, False, True]
    assert recording.frames is not None
    assert recording.frames.tolist() == [5, 10, 15, 20, 25]


def test_the_frame_rate_is_that_of_the_frames_that_are_there(tmp_path: Path) -> None:
    frames = [{"frame_id": t, "instances": [{"keypoints": POINTS[0].tolist()}]} for t in (0, 5, 10)]
    assert read_content(tmp_path, {"fps": 30, "instance_info": frames}).frame_rate == 6


def test_two_frames_or_one_other_step_are_no_stride() -> None:
    assert len(frame_places([3, 8]).numbers) == 6
    assert len(frame_places([0, 5, 10, 16]).numbers) == 17
    assert frame_places([0, 1000, 3000]).of == {0: 0, 1000: 1, 3000: 3}
    assert frame_places([1, 2, 3]).notes == ()
