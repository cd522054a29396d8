"""Joints that name themselves, or are named in a list beside them, come in the skeleton's order, whatever theirs is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import moves, one, read_content, read_text

from data_gen.formats.recording import fitted
from graph.tools import Skeleton

NAMES = ("head", "hand", "foot")
SKELETON = Skeleton("own", NAMES, (0, 0, 0))
WRITTEN = ("foot", "head", "hand")  # the order of the files
JOINTS = moves(4, 3, 3)  # (T, V, C) in the skeleton's order


def listed(t: int, key: str = "name", channels: str = "xyz") -> list[dict[str, Any]]:
    """The joints of a frame in the file's order."""
    return [{key: name, **dict(zip(channels, JOINTS[t, NAMES.index(name)].tolist(), strict=False))} for name in WRITTEN]


def numbered(t: int, first: int) -> list[dict[str, Any]]:
    return [{**joint, "id": first + NAMES.index(joint.pop("name"))} for joint in listed(t)]


def moved(t: int, key: str, *, as_list: bool) -> list[dict[str, Any]]:
    joints = listed(t)
    return [
        {"part": joint.pop("name"), key: list(joint.values()) if as_list else joint, "score": 0.5} for joint in joints
    ]


def in_file(t: int) -> list[list[float]]:
    return [JOINTS[t, NAMES.index(name)].tolist() for name in WRITTEN]


FRAMES = range(len(JOINTS))
TOLD: dict[str, Any] = {
    "a list": [listed(t) for t in FRAMES],
    "Kinect's names": [listed(t, "JointType", "XYZ") for t in FRAMES],
    "numbers from 0": [numbered(t, 0) for t in FRAMES],
    "numbers from 1": [numbered(t, 1) for t in FRAMES],
    "joints": {"frames": [{"joints": listed(t)} for t in FRAMES]},
    "people": [{"people": [{"keypoints": listed(t)}]} for t in FRAMES],
    "skeletons": [{"skeletons": [{"joints": listed(t)}]} for t in FRAMES],
    "joint_names": {"joint_names": WRITTEN, "keypoints": [in_file(t) for t in FRAMES]},
    "joint_names, frames": {"joint_names": WRITTEN, "frames": [in_file(t) for t in FRAMES]},
    "keypoint_names": {"keypoint_names": WRITTEN, "frames": [{"frame": t, "keypoints": in_file(t)} for t in FRAMES]},
    "joint_names, numbered": {"joint_names": WRITTEN, "frames": [{"frame": t, "joints": in_file(t)} for t in FRAMES]},
    "position": [{"keypoints": moved(t, "position", as_list=False)} for t in FRAMES],
    "position, a list": [{"joints": moved(t, "Position", as_list=True)} for t in FRAMES],
    "Kinect": [
        {"Joints": {j["part"]: {"Position": j["Position"]} for j in moved(t, "Position", as_list=False)}}
        for t in FRAMES
    ],
}


@pytest.mark.parametrize("form", TOLD)
def test_the_file_tells_the_order(tmp_path: Path, form: str) -> None:
    recording = fitted(read_content(tmp_path, TOLD[form], skeleton=SKELETON), SKELETON)
    position = recording.joints[:, 0][..., list(recording.channels.position)]
    np.testing.assert_allclose(position, JOINTS, atol=1e-6)
    assert recording.present.all()


def test_npz_may_name_its_joints(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", keypoints=[in_file(t) for t in FRAMES], joint_names=np.array(WRITTEN))
    recording = fitted(one(tmp_path / "a.npz", skeleton=SKELETON), SKELETON)
    np.testing.assert_allclose(recording.joints[:, 0], JOINTS, atol=1e-6)
    np.savez(tmp_path / "b.npz", poses=JOINTS)  # the only array
    np.testing.assert_allclose(one(tmp_path / "b.npz", skeleton=SKELETON).joints[:, 0], JOINTS, atol=1e-6)


@pytest.mark.parametrize("nest", [lambda joints: joints, lambda joints: {"keypoints": joints}], ids=["alone", "person"])
def test_a_joint_that_was_not_seen_may_be_left_out(tmp_path: Path, nest: Any) -> None:
    frames = [{joint["name"]: [joint["x"], joint["y"], joint["z"]] for joint in listed(t)} for t in FRAMES]
    del frames[1]["hand"]
    frames[3] = {"hand": frames[3]["hand"]}
    recording = fitted(read_content(tmp_path, [nest(frame) for frame in frames], skeleton=SKELETON), SKELETON)
    expected = np.array([[True] * 3, [True, False, True], [True] * 3, [False, True, False]])
    assert recording.present[:, 0].tolist() == expected.tolist()
    np.testing.assert_allclose(recording.joints[:, 0], np.where(expected[..., None], JOINTS, 0), atol=1e-6)


def test_names_that_do_not_fit_are_told(tmp_path: Path) -> None:
    two = [[joint for joint in listed(t) if joint["name"] != "hand"] for t in FRAMES]
    with pytest.raises(ValueError, match="order of its 2 joints cannot be told: 'hand' of the skeleton is not there"):
        read_content(tmp_path, two, skeleton=SKELETON)
    strange = [[{**joint, "name": joint["name"].replace("hand", "paw")} for joint in listed(t)] for t in FRAMES]
    with pytest.raises(ValueError, match="'paw' is no joint of the skeleton, and 'hand' of the skeleton is not there"):
        read_content(tmp_path, strange, skeleton=SKELETON)


@pytest.mark.parametrize("key", ["frame_{}", "img_{:04}.png", "{}"])
def test_frames_may_have_names_at_the_top(tmp_path: Path, key: str) -> None:
    content = {key.format(t): JOINTS[t].tolist() for t in (2, 0, 3)}
    recording = read_content(tmp_path, content, skeleton=SKELETON)
    assert recording.present[:, 0, 0].tolist() == [True, False, True, True]
    np.testing.assert_allclose(recording.joints[[0, 2, 3], 0], JOINTS[[0, 2, 3]], atol=1e-6)


def test_joints_with_a_point_in_their_names_are_no_frames(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not nested lists"):
        read_content(tmp_path, {"arm.left": JOINTS[:, 0].tolist(), "leg.left": JOINTS[:, 1].tolist()})


def test_records_are_a_table(tmp_path: Path) -> None:
    """What pandas writes as JSON, wide and long."""
    columns = [f"{name}_{c}" for name in WRITTEN for c in "xyz"]
    wide = [{"frame": t, **dict(zip(columns, np.ravel(in_file(t)).tolist(), strict=True))} for t in FRAMES]
    long = [{"frame": t, "joint": joint.pop("name"), **joint} for t in FRAMES for joint in listed(t)]
    for content in (wide, long, [wide[0], *wide[2:]]):
        recording = fitted(read_content(tmp_path, content, skeleton=SKELETON), SKELETON)
        seen = recording.present[:, 0, 0]
        np.testing.assert_allclose(recording.joints[seen, 0], JOINTS[seen], atol=1e-6)
        assert len(seen) == len(JOINTS)


def wide(frames: Any, **columns: str) -> str:
    """A table with a heading, a line a frame."""
    heading = ",".join(["frame", *(f"{c}{v}" for v in range(3) for c in ("x", "y", "z", *columns))])
    rows = []
    for t, frame in zip(FRAMES, frames, strict=True):
        cells = [f"{value:.9e}" for v in range(3) for value in (*JOINTS[t, v], *map(float, columns.values()))]
        rows.append(",".join([frame, *cells]))
    return "\n".join([heading, *rows, ""])


@pytest.mark.parametrize("form", ["{}", "{}.0", "{:.18e}", "{:.2e}"])
def test_numbers_of_frames_have_any_form(tmp_path: Path, form: str) -> None:
    recording = read_text(tmp_path, wide([form.format(float(t) if "e" in form else t) for t in (0, 1, 5, 6)]))
    assert recording.present[:, 0, 0].tolist() == [True, True, False, False, False, True, True]
    lines = [f"{t:.18e} {v:.18e} " + " ".join(f"{x:.18e}" for x in JOINTS[t, v]) for t in FRAMES for v in (2, 0, 1)]
    recording = read_text(tmp_path, "\n".join(lines), "b.txt", skeleton=SKELETON)
    np.testing.assert_allclose(recording.joints[:, 0], JOINTS, atol=1e-6)


def test_pixels_beside_a_joint_are_no_score(tmp_path: Path) -> None:
    recording = read_text(tmp_path, wide(map(str, FRAMES), u="320", v="240"))
    assert recording.channels.names == ("x", "y", "z")
    assert recording.notes == ("left out the columns u0, v0, u1, v1, u2, v2",)
    content = [[dict(zip("xyzuv", [*joint, 320, 240], strict=True)) for joint in frame.tolist()] for frame in JOINTS]
    assert read_content(tmp_path, content).channels.names == ("x", "y", "z")


@pytest.mark.parametrize("heading", ["x,y,z,x,y,z,x,y,z", "x,y,z,x.1,y.1,z.1,x.2,y.2,z.2"])
def test_x_y_and_z_may_come_again_and_again(tmp_path: Path, heading: str) -> None:
    text = "\n".join([heading, *(",".join(map(str, frame.ravel())) for frame in JOINTS)])
    np.testing.assert_allclose(read_text(tmp_path, text, skeleton=SKELETON).joints[:, 0], JOINTS, atol=1e-6)


def test_rotations_and_velocities_are_left_out(tmp_path: Path) -> None:
    kinds = [f"{name}_{kind}{c}" for name in WRITTEN for kind in ("Pos", "Rot") for c in "XYZ"]
    rows = [[x for v in range(3) for x in (*in_file(t)[v], 7, 8, 9)] for t in FRAMES]
    text = "\n".join([",".join(kinds), *(",".join(map(str, row)) for row in rows)])
    np.testing.assert_allclose(read_text(tmp_path, text, skeleton=SKELETON).joints[:, 0], JOINTS, atol=1e-6)


@pytest.mark.parametrize(
    ("first", "left_out"),
    [("3", "column 1,"), ("0", "column 1,"), ("{time}", "column 1,"), ("{time} 3", "columns 1, 2,"), ("1 2 3", None)],
)
def test_columns_of_a_class_or_a_time_are_left_out(tmp_path: Path, first: str, left_out: str | None) -> None:
    """Three numbers that stay the same may be a joint that stands still: they are refused."""
    lines = [f"{first.format(time=t / 30)} {' '.join(map(str, JOINTS[t].ravel()))}" for t in FRAMES]
    if left_out is None:
        with pytest.raises(ValueError, match="12 numbers a frame are 4 for each of 3 joints"):
            read_text(tmp_path, "\n".join(lines), "a.txt", skeleton=SKELETON)
        return
    recording = read_text(tmp_path, "\n".join(lines), "a.txt", skeleton=SKELETON)
    np.testing.assert_allclose(recording.joints[:, 0], JOINTS, atol=1e-6)
    assert left_out in recording.notes[0]


@pytest.mark.parametrize("shape", [(2, 8, 20, 3), (3, 20, 20)])
def test_axes_that_are_no_recording_s_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", moves(*shape))
    with pytest.raises(ValueError, match=r"is it \("):
        one(tmp_path / "a.npy", skeleton=Skeleton("s", tuple(map(str, range(20))), (0,) * 20))
