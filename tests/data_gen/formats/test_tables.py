"""Tables of any dialect and order are read, number for number; what cannot be told is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import chain, moves, read_text

from graph.tools import Skeleton

JOINTS = moves(4, 1, 3, 3)
NAMES = [f"{axis}{v}" for v in range(3) for axis in "xyz"]


def csv_of(joints: np.ndarray, names: list[str] | None = None, mark: str = ",") -> str:
    lines = [mark.join(names)] if names else []
    lines += [mark.join(map(str, frame.ravel())) for frame in joints]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        csv_of(JOINTS, NAMES),
        csv_of(JOINTS),
        csv_of(JOINTS, NAMES, "\t"),
        csv_of(JOINTS, NAMES, ";"),
        csv_of(JOINTS, NAMES, ";").replace(".", ","),
        csv_of(JOINTS, None, " ").replace(".", ","),
        csv_of(JOINTS, None, "  "),
        csv_of(JOINTS, NAMES).replace("\n", ",\n"),
        csv_of(JOINTS, NAMES).replace("\n", ",\n").replace("z2,", "z2"),  # behind the numbers alone
        csv_of(JOINTS, NAMES).replace("z2", "z2,"),  # behind the heading alone
        csv_of(JOINTS, NAMES, "|"),
        csv_of(JOINTS, None, "|"),
        "sep=;\n" + csv_of(JOINTS, NAMES, ";").replace(".", ","),
        "# written by me\n# on Monday\n" + csv_of(JOINTS),
        "# written by me\n# " + csv_of(JOINTS, NAMES),
        csv_of(JOINTS, [f"{name[0]}{name[1]} (m)" for name in NAMES]),
        csv_of(JOINTS, [f"pos_{name[0]}_{name[1]}" for name in NAMES]),
        csv_of(JOINTS, NAMES).replace("\n", "\r\n"),
        csv_of(JOINTS, NAMES).replace("\n", "\r"),
        csv_of(JOINTS, NAMES).replace("\n", "\n\n"),
        "# " + csv_of(JOINTS, NAMES, " "),
        csv_of(JOINTS, [str(number) for number in range(9)]),
        re.sub(r"([\d.]+)", r'"\1"', csv_of(JOINTS)),
        re.sub(r"(\d+)\.(\d+)", r'"\1,\2"', csv_of(JOINTS)),
        "".join(f"\t{line}\n" for line in csv_of(JOINTS, None, "\t").splitlines()),
        csv_of(JOINTS, None, " ").replace(" ", "\t", 1),
        csv_of(JOINTS, NAMES).encode("utf-16").decode("latin-1"),
    ],
)
def test_every_dialect_gives_the_same_numbers(tmp_path: Path, text: str) -> None:
    recording = read_text(tmp_path, text.encode("latin-1"), skeleton=chain(3))
    np.testing.assert_array_equal(recording.joints, JOINTS.astype(np.float32))
    assert recording.present.all()
    assert recording.notes == ()


SHAPES = {
    "x1 y1 z1": lambda v, axis: f"{axis}{v + 1}",
    "lm_0_x": lambda v, axis: f"lm_{v}_{axis}",
    "j0 x": lambda v, axis: f"j{v} {axis.upper()}",
    "x_j0": lambda v, axis: f"{axis}_j{v}",
    "j0.x": lambda v, axis: f"j{v}.{axis}",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_a_heading_decides_and_not_the_order_of_columns(tmp_path: Path, shape: str, seed: int) -> None:
    V = 12  # j10 follows j9
    joints = moves(3, 1, V, 3)
    columns = [(v, c) for v in range(V) for c in range(3)]
    columns = [columns[place] for place in np.random.default_rng(seed).permutation(len(columns))]
    lines = [",".join(SHAPES[shape](v, "xyz"[c]) for v, c in columns)]
    lines += [",".join(str(frame[0, v, c]) for v, c in columns) for frame in joints]
    recording = read_text(tmp_path, "\n".join(lines), skeleton=chain(V))
    np.testing.assert_array_equal(recording.joints, joints.astype(np.float32))


def test_joints_are_found_by_the_skeletons_names(tmp_path: Path) -> None:
    skeleton = Skeleton("arm", ("neck", "left hand", "right hand"), (0, 0, 0))
    text = "RightHandX,RightHandY,left_hand_x,left_hand_y,NECK.x,NECK.y\n1,2,3,4,5,6\n"
    assert read_text(tmp_path, text, skeleton=skeleton).joints.tolist() == [[[[5, 6], [3, 4], [1, 2]]]]
    short = "RHand_x,RHand_y,LHand_x,LHand_y,neck_x,neck_y\n1,2,3,4,5,6\n"
    assert read_text(tmp_path, short, skeleton=skeleton).joints.tolist() == [[[[5, 6], [3, 4], [1, 2]]]]
    with pytest.raises(ValueError, match="'right hand' is no joint of the skeleton, and 'j0' of the skeleton is not"):
        read_text(tmp_path, text, skeleton=chain(3))


def test_columns_that_are_no_joint_are_named_and_left_out(tmp_path: Path) -> None:
    text = "time,frame,x0,y0,bbox_x,bbox_y,x1,y1,class,score\n0.1,7,1,2,9,9,3,4,walk,0.5\n0.2,8,5,6,9,9,7,8,walk,0.5\n"
    recording = read_text(tmp_path, text, skeleton=chain(2))
    assert recording.joints.tolist() == [[[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]]
    assert recording.notes == ("left out the columns time, bbox_x, bbox_y, class, score",)


def test_a_line_may_be_a_person_or_a_joint(tmp_path: Path) -> None:
    persons = "frame,person,x0,y0,x1,y1\n5,b,1,2,3,4\n5,a,5,6,7,8\n6,a,9,8,7,6\n"
    recording = read_text(tmp_path, persons, skeleton=chain(2))
    assert recording.joints[0].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert recording.present.any(axis=2).tolist() == [[True, True], [False, True]]
    assert recording.identity is not None
    assert recording.identity.tolist() == [[0, 1], [-1, 1]]
    joints = "frame,joint,x,y\n0,j1,3,4\n0,j0,1,2\n1,j0,5,6\n"
    recording = read_text(tmp_path, joints, skeleton=chain(2))
    assert recording.joints.tolist() == [[[[1, 2], [3, 4]]], [[[5, 6], [0, 0]]]]
    assert recording.present[1, 0].tolist() == [True, False]


def test_moments_count_where_several_lines_are_of_one(tmp_path: Path) -> None:
    text = "timestamp,person_index,x0,y0,x1,y1\n0.1,1,1,2,3,4\n0.1,2,5,6,7,8\n0.2,1,9,8,7,6\n"
    recording = read_text(tmp_path, text, skeleton=chain(2))
    assert recording.joints[:, :, 0, 0].tolist() == [[1, 5], [9, 0]]
    by_id = read_text(tmp_path, text.replace("timestamp,person_index", "frame,id"), skeleton=chain(2))
    np.testing.assert_array_equal(by_id.joints, recording.joints)
    assert (
        read_text(tmp_path, "frame,id,x0,y0,x1,y1\n0,1,1,2,3,4\n1,2,5,6,7,8\n", skeleton=chain(2)).joints.shape[1] == 1
    )
    with pytest.raises(ValueError, match=r"its lines are persons \(person\), and no column counts the frames"):
        read_text(tmp_path, text.replace("timestamp,person_index", "mood,person"), skeleton=chain(2))


@pytest.mark.parametrize("missing", ["", "None", "nan", "NaN", "null", "NA"])
def test_a_missing_number_makes_its_joint_missing(tmp_path: Path, missing: str) -> None:
    recording = read_text(tmp_path, f"x0,y0,x1,y1\n1,2,3,{missing}\n1,2,3,4\n", skeleton=chain(2))
    assert recording.joints[0].tolist() == [[[1, 2], [0, 0]]]
    assert recording.present[:, 0].tolist() == [[True, False], [True, True]]


def test_kard_and_msr_action_3d_have_a_joint_a_line(tmp_path: Path) -> None:
    kard = moves(4, 15, 3) * 1000
    text = "".join(" ".join(map(str, joint)) + "\n" for joint in kard.reshape(-1, 3))
    recording = read_text(tmp_path, text, "a01_s01_e01_realworld.txt", skeleton=chain(15))
    np.testing.assert_array_equal(recording.joints[:, 0], kard.astype(np.float32))
    msr = moves(5, 20, 4) / 2
    msr[2, 3] = 0
    text = "".join("  " + "  ".join(f"{x:.7e}" for x in joint) + "\n" for joint in msr.reshape(-1, 4))
    recording = read_text(tmp_path, text, "a01_s01_e01_skeleton3D.txt", skeleton=chain(20))
    np.testing.assert_allclose(recording.joints[:, 0], msr, rtol=1e-6)
    assert recording.channels.names == ("x", "y", "z", "score")
    assert np.argwhere(~recording.present[:, 0]).tolist() == [[2, 3]]
    with pytest.raises(ValueError, match="100 lines of 4 numbers are neither frames nor joints of 15 a frame"):
        read_text(tmp_path, text, "b.txt", skeleton=chain(15))


def test_utkinect_and_pku_mmd_have_a_frame_a_line(tmp_path: Path) -> None:
    utkinect = moves(6, 20, 3)
    text = "".join(
        f"{252 + max(t, 1)} " + " ".join(map(str, frame.ravel())) + " \n" for t, frame in enumerate(utkinect)
    )
    recording = read_text(tmp_path, text, "joints_s01_e01.txt", skeleton=chain(20))
    np.testing.assert_array_equal(recording.joints[:, 0], utkinect.astype(np.float32))
    assert recording.notes == ("left out column 1, the numbers of frames",)
    assert recording.frames is not None
    assert recording.frames.tolist() == [253, 253, 254, 255, 256, 257]  # the first is there twice
    pku = moves(3, 2, 25, 3)
    pku[1:, 1] = 0
    text = "".join(" ".join(map(str, frame.ravel())) + "\n" for frame in pku)
    recording = read_text(tmp_path, text, "0002-L.txt", skeleton=chain(25))
    np.testing.assert_array_equal(recording.joints, pku.astype(np.float32))
    assert recording.present.any(axis=2).tolist() == [[True, True], [True, False], [True, False]]


def test_a_heading_without_joints_is_a_joint_a_line(tmp_path: Path) -> None:
    recording = read_text(tmp_path, "frame,x,y\n1,1,2\n1,3,4\n2,5,6\n2,7,8\n", skeleton=chain(2))
    assert recording.joints[:, 0].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x0,y0,x2,y2\n1,2,3,4\n", "numbered from 0 to 2, and 1 is not there"),
        ("x0,y0,x1\n1,2,3\n", "its heading names 1 joint, the skeleton has 2"),
        ("x0,y0,z0,x1,y1\n1,2,3,4,5\n", "its heading names no z of 1"),
        ("x0,y0,x1,y1,X1\n1,2,3,4,5\n", "two columns of its heading are x of 1"),
        ("frame,person,x0,y0,x1,y1\n0,1,1,2,3,4\n0,1,1,2,3,4\n", "two lines are of the same frame and person"),
        ("joint,x,y\n0,1,2\n0,3,4\n1,5,6\n1,7,8\n", "its lines are joints, and no column counts the frames"),
        ("a,b,c\n1,2,3\n", "no column of its heading is x or y of a joint"),
        ("1,2,3,4,5,6,7,8\n", "8 numbers a frame are 4 for each of 2 joints: give their channels with --channel"),
        ('x0,y0,x1,y1\n1,2,"3,4\n', "a quotation mark is not closed on its line|fields"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as error:
        read_text(tmp_path, text, skeleton=chain(2))
    assert "\n" not in str(error.value)


def test_more_persons_and_frames_than_memory_holds_are_refused(tmp_path: Path) -> None:
    lines = [f"{number},{number},1,2,3,4" for number in range(6000)]
    with pytest.raises(ValueError, match="6,000 frames of 6,000 persons are too many for one recording"):
        read_text(tmp_path, "\n".join(["frame,person,x0,y0,x1,y1", *lines]), skeleton=chain(2))


def test_the_number_of_a_person_may_begin_a_heading(tmp_path: Path) -> None:
    joints = moves(2, 2, 3, 2)
    names = [f"p{m}_{axis}{v}" for m in (1, 2) for v in range(3) for axis in "xy"]
    np.testing.assert_array_equal(read_text(tmp_path, csv_of(joints, names)).joints, joints.astype(np.float32))


def test_what_some_programs_write_for_no_number_is_missing(tmp_path: Path) -> None:
    text = csv_of(JOINTS, NAMES).replace(f"{JOINTS[1, 0, 2, 0]}", "-1.#IND")
    assert np.argwhere(~read_text(tmp_path, text).present).tolist() == [[1, 0, 2]]


DEEP_LAB_CUT = """scorer,DLC_net,DLC_net,DLC_net,DLC_net,DLC_net,DLC_net
bodyparts,nose,nose,nose,tail,tail,tail
coords,x,y,likelihood,x,y,likelihood
7,1,2,0.9,3,4,0.8
9,5,6,0.7,,,
"""
SEVERAL_MICE = """scorer,net,net,net,net,net,net,net,net
individuals,lou,lou,lou,lou,max,max,max,max
bodyparts,nose,nose,tail,tail,nose,nose,tail,tail
coords,x,y,x,y,x,y,x,y
0,1,2,3,4,5,6,7,8
"""
MOUSE = Skeleton("mouse", ("tail", "nose"), (0, 0))


def test_a_heading_may_have_several_lines(tmp_path: Path) -> None:
    recording = read_text(tmp_path, DEEP_LAB_CUT, skeleton=MOUSE)
    assert recording.channels.names == ("x", "y", "score")
    np.testing.assert_allclose(
        recording.joints[::2, 0], [[[3, 4, 0.8], [1, 2, 0.9]], [[0, 0, 0], [5, 6, 0.7]]], rtol=1e-6
    )
    assert recording.present[:, 0].tolist() == [[True, True], [False, False], [False, True]]  # frames 7, 8, 9
    mice = read_text(tmp_path, SEVERAL_MICE, skeleton=MOUSE)
    assert mice.joints.tolist() == [[[[3, 4], [1, 2]], [[7, 8], [5, 6]]]]
    merged_text = "Frame,nose,,tail,\n,X,Y,X,Y\n1,1,2,3,4\n2,5,6,7,8\n"
    merged = read_text(tmp_path, merged_text, skeleton=MOUSE)
    assert merged.joints[:, 0].tolist() == [[[3, 4], [1, 2]], [[7, 8], [5, 6]]]
    assert merged.notes == ()
    short = merged_text.replace("tail,\n", "tail\n")
    np.testing.assert_array_equal(read_text(tmp_path, short, skeleton=MOUSE).joints, merged.joints)
    pandas = "joint,nose,nose,tail,tail\ncoord,x,y,x,y\nframe,,,,\n4,1,2,3,4\n5,5,6,7,8\n"
    recording = read_text(tmp_path, pandas, skeleton=MOUSE)
    np.testing.assert_array_equal(recording.joints, merged.joints)
    assert recording.frames is not None
    assert recording.frames.tolist() == [4, 5]


def test_text_of_many_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column of its heading is x or y of a joint"):
        read_text(tmp_path, "a word\nand others\n" * 20, skeleton=MOUSE)


LEADING = [  # the columns before the joints at line t, and what a note says of them
    (lambda t: [t + 5], "left out column 1, the numbers of frames"),
    (lambda t: [t + 5, round(t / 30, 3)], "left out column 1, the numbers of frames, and 2"),
    (lambda t: [round(t / 30, 3), t + 5, 7], "left out column 2, the numbers of frames, and 1, 3"),
    (lambda t: [t + 5, "wave"], "left out column 2, no numbers; left out column 1, the numbers of frames"),
]


@pytest.mark.parametrize(("leading", "note"), LEADING)
@pytest.mark.parametrize("count", [3, 12])
def test_columns_before_the_joints_are_left_out(tmp_path: Path, leading: Any, note: str, count: int) -> None:
    joints = moves(count, 5, 3)
    lines = ([*leading(t), *frame.ravel()] for t, frame in enumerate(joints))
    recording = read_text(tmp_path, "".join(f"{','.join(map(str, line))}\n" for line in lines), skeleton=chain(5))
    np.testing.assert_array_equal(recording.joints[:, 0], np.float32(joints))
    assert recording.frames is not None
    assert recording.frames.tolist() == list(range(5, 5 + count))
    assert "; ".join(recording.notes) == note


def test_the_joints_of_another_skeleton_are_no_leading_columns(tmp_path: Path) -> None:
    joints = (moves(12, 6, 3) * 100).round()
    still = joints.copy()
    still[:, 0] = 0
    for wrong in (joints, joints[:2], joints[:1], still):
        text = "".join(f"{' '.join(map(str, frame.ravel()))}\n" for frame in wrong)
        with pytest.raises(ValueError, match="18 numbers a frame are not 2 or more for each of 5 joints"):
            read_text(tmp_path, text, skeleton=chain(5))
    line = "5 7 " + " ".join(map(str, joints[0, :5].ravel()))
    with pytest.raises(ValueError, match="17 numbers a frame"):  # one line shows nothing that grows
        read_text(tmp_path, line, skeleton=chain(5))


def test_a_column_of_words_behind_the_joints_is_left_out(tmp_path: Path) -> None:
    joints = moves(3, 5, 3)
    text = "".join(f"{','.join(map(str, frame.ravel()))},walk\n" for frame in joints)
    recording = read_text(tmp_path, text, skeleton=chain(5))
    np.testing.assert_array_equal(recording.joints[:, 0], np.float32(joints))
    assert recording.notes == ("left out column 16, no numbers",)
