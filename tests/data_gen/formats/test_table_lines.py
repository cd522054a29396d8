"""What a line of a table is of, its frame, person or joint, is told by a column, or the file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made import chain, read_text

from data_gen.formats.headings import words_of
from data_gen.formats.recording import fitted
from graph import coco, mediapipe, ntu_rgb_d
from graph.tools import Skeleton

ARM = Skeleton("arm", ("neck", "left hand", "right hand"), (0, 0, 0))
TWO = [[[[1, 2], [3, 4]], [[5, 6], [7, 8]]], [[[9, 10], [11, 12]], [[13, 14], [15, 16]]]]  # (T, M, V, C)
PERSONS = "5,1,1,2,3,4\n5,2,5,6,7,8\n6,1,9,10,11,12\n6,2,13,14,15,16\n"
JOINTS = "5,1,1,2\n5,1,3,4\n5,2,5,6\n5,2,7,8\n6,1,9,10\n6,1,11,12\n6,2,13,14\n6,2,15,16\n"


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("FrameID", ["frame", "id"]),
        ("FRAME_ID", ["frame", "id"]),
        ("X_HAND_LEFT", ["x", "hand", "left"]),
        ("LeftShoulderX", ["left", "shoulder", "x"]),
        ("lm_0_x", ["lm", "0", "x"]),
        ("RHand.x2", ["r", "hand", "x", "2"]),
    ],
)
def test_headings_are_split_into_words(heading: str, words: list[str]) -> None:
    assert words_of(heading) == words


@pytest.mark.parametrize("end", ["", "ID", "_id", " No", "_num", "Index", "_IDX", "-number"])
@pytest.mark.parametrize(("frame", "person"), [("frame", "person"), ("Frame", "Body"), ("FRAME", "TRACK")])
def test_numbers_of_frames_and_persons_have_many_headings(tmp_path: Path, frame: str, person: str, end: str) -> None:
    recording = read_text(tmp_path, f"{frame}{end},{person}{end},x0,y0,x1,y1\n{PERSONS}", skeleton=chain(2))
    assert recording.joints.tolist() == TWO
    assert recording.frames is not None
    assert recording.frames.tolist() == [5, 6]
    assert recording.identity is not None
    assert recording.identity.tolist() == [[1, 2], [1, 2]]


def test_headings_of_capitals_name_joints(tmp_path: Path) -> None:
    text = "X_HAND_LEFT,Y_HAND_LEFT,NECKX,NECKY,HAND_RIGHT_X,HAND_RIGHT_Y\n1,2,3,4,5,6\n"
    assert read_text(tmp_path, text, skeleton=ARM).joints.tolist() == [[[[3, 4], [1, 2], [5, 6]]]]


@pytest.mark.parametrize("prefix", ["pose_", "PoseLandmark.", "world landmark "])
def test_what_all_names_of_joints_begin_with_does_not_count(tmp_path: Path, prefix: str) -> None:
    text = ",".join(f"{prefix}{name}_{c}" for name in ("hand_right", "neck", "hand_left") for c in "xy")
    recording = read_text(tmp_path, f"{text}\n1,2,3,4,5,6\n", skeleton=ARM)
    assert recording.joints.tolist() == [[[[3, 4], [5, 6], [1, 2]]]]
    names = [f"{prefix}{name}" for name in mediapipe.SKELETON.joints]
    text = ",".join(f"{name}_{c}" for name in reversed(names) for c in "xy")
    recording = read_text(tmp_path, f"{text}\n{','.join(map(str, range(66)))}\n")
    assert recording.skeleton == mediapipe.SKELETON
    assert recording.joints[0, 0, 0].tolist() == [64, 65]


@pytest.mark.parametrize("heading", ["frame,person,x,y", "Time,BodyID,X,Y", "FrameNo,id,x,y"])
def test_lines_of_a_joint_each_are_of_a_frame_and_a_person(tmp_path: Path, heading: str) -> None:
    recording = read_text(tmp_path, f"{heading}\n{JOINTS}", skeleton=chain(2))
    assert recording.joints.tolist() == TWO
    assert recording.identity is not None
    assert recording.identity.tolist() == [[1, 2], [1, 2]]


@pytest.mark.parametrize("heading", ["JointType", "keypoint_idx", "landmark", "kpt", "node", "BodyPart", "what"])
@pytest.mark.parametrize("names", [("neck", "HandLeft", "right_hand"), ("0", "1", "2"), ("1.0", "2.0", "3.0")])
def test_joints_come_in_the_order_of_their_column(tmp_path: Path, heading: str, names: tuple[str, ...]) -> None:
    lines = [f"{t},{names[v]},{10 * t + v},{v}\n" for v in (2, 0, 1) for t in (4, 3)]  # sorted by joint
    recording = read_text(tmp_path, f"frame,{heading},x,y\n{''.join(lines)}", skeleton=ARM)
    assert recording.joints.tolist() == [[[[30, 0], [31, 1], [32, 2]]], [[[40, 0], [41, 1], [42, 2]]]]
    assert recording.frames is not None
    assert recording.frames.tolist() == [3, 4]


def test_joints_by_name_need_no_column_of_frames_where_each_comes_once(tmp_path: Path) -> None:
    text = "joint,x,y\nneck,1,2\nleft hand,3,4\nright hand,5,6\nright hand,7,8\nneck,9,10\nleft hand,11,12\n"
    recording = read_text(tmp_path, text, skeleton=ARM)
    assert recording.joints.tolist() == [[[[1, 2], [3, 4], [5, 6]]], [[[9, 10], [11, 12], [7, 8]]]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("frame,x,y\n0,1,2\n1,3,4\n0,5,6\n1,7,8\n", "the lines of a frame do not follow each other, so the order of"),
        ("frame,x,y\n0,1,2\n0,3,4\n7,5,6\n8,7,8\n", "frame 7 has 1 line, not one for each of 2 joints"),
        ("frame,x,y\n" + "0,1,2\n" * 4, "frame 0 has 4 lines, .*; name joints and persons in columns"),
        ("frame,joint,x,y\n0,0,1,2\n0,1,1,2\n0,1,1,2\n", "two lines are of the same frame and person and joint"),
        ("frame,joint,x,y\n0,0,1,2\n0,1,1,2\n0,2,1,2\n", "its lines name 3 joints, the skeleton has 2"),
        ("x,y\n1,2\n3,4\n5,6\n", "3 lines of a joint are no frames of 2 joints"),
    ],
)
def test_lines_whose_order_cannot_be_told_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_text(tmp_path, text, skeleton=chain(2))


def test_a_frame_that_is_left_out_has_nobody(tmp_path: Path) -> None:
    for numbers in (("0", "1", "4"), ("0.0", "1.0", "4.0"), ("a_0.png", "a_1.png", "a_4.png")):
        text = "frame,x0,y0,x1,y1\n" + "".join(f"{number},1,2,3,4\n" for number in numbers)
        recording = read_text(tmp_path, text, skeleton=chain(2))
        assert recording.present.all(axis=(1, 2)).tolist() == [True, True, False, False, True]
        assert recording.between(4, 9).joints.shape == (1, 1, 2, 2)
    halves = read_text(tmp_path, "frame,x0,y0,x1,y1\n0.5,1,2,3,4\n0.25,5,6,7,8\n", skeleton=chain(2))
    assert halves.joints[:, 0, 0, 0].tolist() == [5, 1]


def test_moments_have_no_frames_between_them(tmp_path: Path) -> None:
    text = "time,person,x0,y0,x1,y1\n33,1,1,2,3,4\n33,2,1,2,3,4\n66,1,1,2,3,4\n"
    assert read_text(tmp_path, text, skeleton=chain(2)).joints.shape == (2, 2, 2, 2)


BLOCK = [(v, 0.5 + v, 1.5 + v) for v in (2, 0, 1)]
POINTS = [[[0.5, 1.5], [1.5, 2.5], [2.5, 3.5]]]


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize(
    ("leading", "frames", "identity"),
    [
        ([""], [0], None),
        (["", ""], [0, 1], None),
        (["7 "], [7], None),
        (["7 ", "9 "], [7, 8, 9], None),
        (["7 1 ", "7 2 ", "8 1 ", "8 2 "], [7, 8], [[1, 2], [1, 2]]),
    ],
)
def test_without_a_heading_whole_numbers_tell_frame_person_and_joint(
    tmp_path: Path, base: int, leading: list[str], frames: list[int], identity: list[list[int]] | None
) -> None:
    text = "".join(f"{key}{v + base} {x} {y}\n" for key in leading for v, x, y in BLOCK)
    recording = read_text(tmp_path, text, "a.txt", skeleton=ARM)
    assert recording.frames is not None
    assert recording.frames.tolist() == frames
    assert (None if recording.identity is None else recording.identity.tolist()) == identity
    assert recording.joints[0].tolist() == recording.joints[-1].tolist() == POINTS * len(identity or "1")


def test_without_a_heading_names_tell_the_joint(tmp_path: Path) -> None:
    text = "right_hand 5 6 0.5\nneck 1 2 0.5\nleft_hand 3 4 0.5\n"
    assert read_text(tmp_path, text, "a.txt", skeleton=ARM).joints[..., :2].tolist() == [[[[1, 2], [3, 4], [5, 6]]]]


def test_frames_of_lines_of_a_joint_need_no_number_of_it(tmp_path: Path) -> None:
    text = "".join(f"{t} {x} {y} 9.5\n" for t in (3, 4) for _, x, y in BLOCK)
    recording = read_text(tmp_path, text, "a.txt", skeleton=ARM)
    assert recording.joints[1, 0, 0].tolist() == [2.5, 3.5, 9.5]
    assert recording.notes == ("took column 1 for the frame",)


@pytest.mark.parametrize(
    "keys",
    [
        ["1 1", "2 1", "1 2", "2 2", "1 3", "2 3"],
        ["1 1", "2 1", "3 1", "1 2", "2 2", "3 2", "1 3", "2 3", "3 3"],
        ["1", "2", "1", "2", "1", "2"],
        ["1", "1", "2", "2", "3", "3"],
    ],
)
def test_without_a_heading_lines_in_another_order_are_refused(tmp_path: Path, keys: list[str]) -> None:
    text = "".join(f"{key} 0.5 {number}.25\n" for number, key in enumerate(keys))
    with pytest.raises(ValueError, match="column 1 counts, but whether frames, persons or joints cannot be told; name"):
        read_text(tmp_path, text, "a.txt", skeleton=ARM)


@pytest.mark.parametrize("missing", ["None", "NA", "null", "-"])
def test_a_first_frame_without_numbers_is_no_heading(tmp_path: Path, missing: str) -> None:
    recording = read_text(tmp_path, ",".join([missing] * 4) + "\n1,2,3,4\n", skeleton=chain(2))
    assert recording.present[:, 0].tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize("heading", ["x0,y0,x1,y1\n", ""])
def test_lines_of_separators_at_the_end_are_no_frames(tmp_path: Path, heading: str) -> None:
    recording = read_text(tmp_path, f"{heading}1,2,3,4\n,,,\n5,6,7,8\n,,,\n,,,\n", skeleton=chain(2))
    assert recording.present[:, 0].all(axis=1).tolist() == [True, False, True]


def test_joints_of_a_known_skeleton_become_those_of_another(tmp_path: Path) -> None:
    marks = [f"{number + 1},{number + 2},0.5" for number in range(33)]
    official = [" ".join(reversed(name.split())) if "mouth" in name else name for name in mediapipe.SKELETON.joints]
    named = [name.upper().replace(" ", "_") for name in official]
    for names in ([f"lm_{v}" for v in range(33)], named, named[::-1]):
        values = marks[::-1] if names[0] == named[-1] else marks
        text = ",".join(f"{name}_{axis}" for name in names for axis in "xyz") + "\n" + ",".join(values) + "\n"
        recording = read_text(tmp_path, text, skeleton=coco.SKELETON)
        assert recording.skeleton == mediapipe.SKELETON
        assert fitted(recording, coco.SKELETON).joints[0, 0, 5].tolist() == [12, 13, 0.5]  # the left shoulder
    lines = "".join(f"0,{name},{mark}\n" for name, mark in zip(named, marks, strict=True))
    recording = read_text(tmp_path, f"frame,landmark,x,y,z\n{lines}", skeleton=ntu_rgb_d.SKELETON)
    np.testing.assert_array_equal(fitted(recording, ntu_rgb_d.SKELETON).joints[0, 0, 4], [12, 13, 0.5])
