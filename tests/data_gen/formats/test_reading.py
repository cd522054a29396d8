"""A file is what it holds, whatever its name; whatever it holds, it is read or refused in one sentence."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import chain, moves, one, read_content, read_text

from data_gen.formats.reading import FORMATS, read


def test_a_suffix_says_nothing(tmp_path: Path) -> None:
    joints = moves(4, 5, 3)
    np.save(tmp_path / "a.npy", joints)
    (tmp_path / "a.npy").rename(tmp_path / "a.csv")
    assert one(tmp_path / "a.csv").format == "npy"
    assert read_content(tmp_path, joints.tolist(), "a.txt").format == "json"
    assert read_text(tmp_path, "x0,y0,x1,y1\n1,2,3,4\n", "a.json").format == "csv"
    text = "x0,y0,x1,y1\n1,2,3,4\n"
    assert read_text(tmp_path, text, "a.npy", format="csv").joints.shape == (1, 1, 2, 2)
    with pytest.raises(ValueError, match=r"not a complete \.npy array"):
        read_text(tmp_path, text, "a.npy", format="npy")
    with pytest.raises(ValueError, match=r"format 'cvs' is none of auto, .*did you mean 'csv'"):
        read_text(tmp_path, text, format="cvs")
    with pytest.raises(FileNotFoundError):
        one(tmp_path / "absent.csv")


def test_lists_may_hold_any_number_of_persons(tmp_path: Path) -> None:
    a, b = moves(2, 5, 3).tolist()
    recording = read_content(tmp_path, [[a], [], [a, b], None])
    assert recording.present.any(axis=2).tolist() == [[True, False], [False, False], [True, True], [False, False]]
    np.testing.assert_array_equal(recording.joints[2, 1], np.float32(b))
    assert read_content(tmp_path, {"label": "wave", "skeleton": [a, b]}).label == "wave"
    for other in (a[:4], np.reshape(a, (3, 5)).tolist(), a[:1]):
        with pytest.raises(ValueError, match="of equal lengths"):
            read_content(tmp_path, [[a], [other]])


def test_a_joint_or_a_person_may_be_null(tmp_path: Path) -> None:
    a, b = moves(2, 5, 3).tolist()
    recording = read_content(tmp_path, [[a, None], [[*b[:2], None, *b[3:]], a]])
    assert np.argwhere(~recording.present).tolist() == [[0, 1, v] for v in range(5)] + [[1, 0, 2]]
    np.testing.assert_array_equal(recording.joints[1, 1], np.float32(a))


def test_mappings_of_joints_and_frames_are_lists_in_their_order(tmp_path: Path) -> None:
    joints = moves(12, 3, 2)
    named = [{f"j{v}": list(frame[v]) for v in (2, 0, 1)} for frame in joints.tolist()]
    by_number = {str(t): frame for t, frame in enumerate(joints.tolist())}
    axes = [{f"j{v}": dict(zip("xy", frame[v], strict=True)) for v in (1, 2, 0)} for frame in joints.tolist()]
    for content in (named, by_number, dict(sorted(by_number.items())), axes, {"frames": named}):
        recording = read_content(tmp_path, content, skeleton=chain(3))
        np.testing.assert_array_equal(recording.joints[:, 0], np.float32(joints))
    with pytest.raises(ValueError, match="its joints have names; give a skeleton"):
        read_content(tmp_path, named)
    with pytest.raises(ValueError, match="the order of its 3 joints cannot be told: 'a' is no joint of the skeleton"):
        read_content(tmp_path, [{key: [1.0, 2.0] for key in "abc"}], skeleton=chain(3))


def test_scores_beside_joints_are_kept(tmp_path: Path) -> None:
    content = {"keypoints": moves(4, 3, 2).tolist(), "scores": (moves(4, 3) / 2).tolist()}
    recording = read_content(tmp_path, content)
    assert recording.channels.names == ("x", "y", "score")
    np.testing.assert_array_equal(recording.joints[:, 0, :, 2], np.float32(content["scores"]))


def test_a_file_may_have_a_frame_on_each_line(tmp_path: Path) -> None:
    joints = moves(4, 5, 3)
    text = "".join(f"{json.dumps(frame)}\n" for frame in joints.tolist())
    np.testing.assert_array_equal(read_text(tmp_path, text, "a.jsonl").joints[:, 0], np.float32(joints))
    for end in ("", "\n", " "):  # a program that appends to its file writes no lines
        text = "".join(f"{json.dumps({'frame': t, 'joints': f}, indent=1)}{end}" for t, f in enumerate(joints.tolist()))
        np.testing.assert_array_equal(read_text(tmp_path, text).joints[:, 0], np.float32(joints))
    text = "".join(f"{json.dumps(frame)}\n" for frame in joints.tolist())
    with pytest.raises(ValueError, match="line 2, column 1: no JSON"):
        read_text(tmp_path, text + "[[1, 2")


def test_a_frame_may_be_a_row_of_numbers(tmp_path: Path) -> None:
    joints = moves(4, 5, 3)
    rows = joints.reshape(4, 15).tolist()
    for content in (rows, {"fps": 30, "data": rows}):
        recording = read_content(tmp_path, content, skeleton=chain(5))
        np.testing.assert_array_equal(recording.joints[:, 0], np.float32(joints))
    with pytest.raises(ValueError, match="15 numbers a frame are not 2 or more for each of 4 joints"):
        read_content(tmp_path, rows, skeleton=chain(4))
    with pytest.raises(ValueError, match="only a skeleton tells how many joints"):
        read_content(tmp_path, rows)
    for gap in ([], None):
        recording = read_content(tmp_path, [rows[0], gap, *rows[1:]], skeleton=chain(5))
        assert recording.present.any(axis=(1, 2)).tolist() == [True, False, True, True, True]
    by_number = {str(t): row for t, row in enumerate(rows)}
    np.testing.assert_array_equal(read_content(tmp_path, by_number, skeleton=chain(5)).joints[:, 0], np.float32(joints))


def test_rows_of_numbers_have_scores(tmp_path: Path) -> None:
    joints, scores = moves(4, 5, 2), moves(4, 5) / 2
    np.savez(tmp_path / "a.npz", keypoints=joints.reshape(4, 10), scores=scores)
    (recording,) = read(tmp_path / "a.npz", skeleton=chain(5))
    np.testing.assert_array_equal(recording.joints[:, 0], np.float32(np.concatenate([joints, scores[..., None]], 2)))
    np.savez(tmp_path / "a.npz", keypoints=joints.reshape(4, 10), scores=scores[:, :3])
    with pytest.raises(ValueError, match="do not fit joints of shape"):
        list(read(tmp_path / "a.npz", skeleton=chain(5)))


def test_keys_decide_which_lists_are_joints(tmp_path: Path) -> None:
    rows = moves(4, 5, 2).reshape(4, 10).tolist()
    content = {"bbox": [[1, 2, 3, 4]] * 4, "camera": [[[1, 0], [0, 1]]], "keypoints": rows}
    assert read_content(tmp_path, content, skeleton=chain(5)).joints.shape == (4, 1, 5, 2)
    with pytest.raises(ValueError, match="not nested lists of numbers"):
        read_content(tmp_path, {"bbox": [[1, 2, 3, 4]] * 4, "box": [[1, 2, 3, 4]] * 4}, skeleton=chain(2))


def test_classes_of_npz_may_be_a_column(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_test=moves(3, 2, 75), y_test=np.array([[2.0], [0.0], [1.0]]))
    assert [(r.label, r.split) for r in read(tmp_path / "a.npz")] == [(2, "val"), (0, "val"), (1, "val")]


def test_pixels_and_scores_are_told_by_their_numbers(tmp_path: Path) -> None:
    flat = moves(3, 5, 3) * [500, 500, 0.4]
    for joints, names, unit in (
        (flat, ("x", "y", "score"), "pixels"),
        (flat[..., :2], ("x", "y"), "pixels"),
        (moves(3, 5, 3), ("x", "y", "z"), "unknown"),
        (moves(3, 5, 3) * 900, ("x", "y", "z"), "unknown"),
        (moves(3, 5, 4) / 2, ("x", "y", "z", "score"), "unknown"),
        (moves(3, 5, 4) * 9, ("x", "y", "z", "channel 4"), "unknown"),
    ):
        channels = read_content(tmp_path, joints.tolist()).channels
        assert (channels.names, channels.unit) == (names, unit)


def test_the_fields_npz_holds_many(tmp_path: Path) -> None:
    x = moves(3, 6, 2 * 25 * 3).astype(np.float32)
    x[0, 4:] = 0
    x[1, :, 75:] = 0
    y = np.eye(4)[[2, 0, 3]]
    np.savez(tmp_path / "NTU60_CS.npz", x_train=x[:2], y_train=y[:2], x_test=x[2:], y_test=y[2:])
    recordings = list(read(tmp_path / "NTU60_CS.npz"))
    assert [(r.name, r.label, r.split) for r in recordings] == [
        ("train_0", 2, "train"), ("train_1", 0, "train"), ("test_0", 3, "val"),
    ]  # fmt: skip
    assert [r.joints.shape for r in recordings] == [(4, 2, 25, 3), (6, 2, 25, 3), (6, 2, 25, 3)]
    np.testing.assert_array_equal(recordings[2].joints, x[2].reshape(6, 2, 25, 3))
    assert not recordings[1].present[:, 1].any()
    np.savez(tmp_path / "one.npz", keypoints=moves(3, 2, 17, 2) * 300, scores=moves(3, 2, 17) / 2)
    assert one(tmp_path / "one.npz").channels.names == ("x", "y", "score")
    np.savez(tmp_path / "none.npz", weights=np.ones(3))
    with pytest.raises(ValueError, match="it holds weights: neither x_train and y_train, nor keypoints"):
        one(tmp_path / "none.npz")


def test_a_pickle_gives_its_recordings_with_labels_and_parts(tmp_path: Path) -> None:
    annotations = [
        {"frame_dir": name, "label": label, "total_frames": 4, "keypoint": moves(2, 4, 25, 3)}
        for label, name in enumerate("abc")
    ]
    content: Any = {"split": {"xsub_train": ("a", "c"), "xsub_val": ["b"]}, "annotations": annotations}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    found = list(read(tmp_path / "a.pkl"))
    assert [(r.name, r.label, r.split, r.joints.shape) for r in found] == [
        ("a", 0, "train", (4, 2, 25, 3)), ("b", 1, "val", (4, 2, 25, 3)), ("c", 2, "train", (4, 2, 25, 3)),
    ]  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_may_be_of_any_protocol_and_without_labels(tmp_path: Path, protocol: int) -> None:
    """A label of -1 is what demos of pyskl give a clip without a class."""
    clip = {"frame_dir": "a", "label": -1, "total_frames": 4, "keypoint": moves(2, 4, 25, 3)}
    without = {key: value for key, value in clip.items() if key != "label"} | {"frame_dir": "b"}
    for content in ([clip, without], {"split": {}, "annotations": [clip, without]}):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
        assert [(r.name, r.label, r.joints.shape) for r in read(tmp_path / "a.pkl")] == [
            ("a", None, (4, 2, 25, 3)), ("b", None, (4, 2, 25, 3)),
        ]  # fmt: skip


def test_arrays_in_another_order_of_axes_are_no_crowds(tmp_path: Path) -> None:
    for shape in ((3, 30, 25, 2), (2, 30, 25, 3)):
        np.save(tmp_path / "a.npy", moves(*shape))
        with pytest.raises(ValueError, match=r"30 persons; is it \(C, T, V, M\) or \(M, T, V, C\)\?"):
            one(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", moves(30, 12, 25, 3))
    assert one(tmp_path / "a.npy").joints.shape == (30, 12, 25, 3)


@pytest.mark.parametrize(("file", "package"), [("a.bvh", "bvhio"), ("a.c3d", "ezc3d"), ("a.mat", "scipy")])
def test_a_package_that_is_not_there_is_named(tmp_path: Path, file: str, package: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    heads = {"a.bvh": b"HIERARCHY\nROOT Hips\n", "a.c3d": b"\x02\x50" + bytes(600), "a.mat": b"MATLAB 5.0 MAT-file"}
    content = heads[file]
    with pytest.raises(ValueError, match=f"needs the package {package}; install it with pip install {package}$"):
        read_text(tmp_path, content, file)


def test_blank_lines_of_bvh_are_no_frames(tmp_path: Path, monkeypatch: Any) -> None:
    root = SimpleNamespace(Name="Hips", Children=[], PositionWorld=(1, 2, 3), loadPose=lambda frame: None)
    content = SimpleNamespace(FrameCount=2, FrameTime=0.5)
    package = SimpleNamespace(readAsBvh=lambda path: content, readAsHierarchy=lambda path: root)
    monkeypatch.setitem(sys.modules, "bvhio", package)
    text = "HIERARCHY\nROOT Hips\n{ }\nMOTION\nFrames: 2\nFrame Time: 0.5\n0 0 0\n \n\n0 0 0\n\n"
    assert read_text(tmp_path, text, "a.bvh").joints.tolist() == [[[[1, 2, 3]]]] * 2
    for wrong in (text.replace("Frames: 2", "Frames: 3"), text + "0 0 0\n"):
        with pytest.raises(ValueError, match="Frames is not the number of its lines of motion"):
            read_text(tmp_path, wrong, "a.bvh")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_refuses_what_it_is_not(tmp_path: Path, format: str) -> None:
    for content in (b"", b"\0\1\2", b"[1, 2", b'{"a": 1}', b"hello\nworld\n", b"[" * 50_000):
        with pytest.raises(ValueError) as error:  # noqa: PT011 - each has its own sentence
            read_text(tmp_path, content, format=format, skeleton=chain(3))
        assert str(error.value)
        assert "\n" not in str(error.value)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["people", "keypoints", "frames", "annotations", "info", "image_id", "data", "x", "y",
                             "landmarks", "instances", "label_index", "skeletons", "label", "visibility", "idx"]),
            inner, max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.filterwarnings("error")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ODD)
def test_any_json_is_read_or_refused(tmp_path: Path, content: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    try:
        recordings = list(read(tmp_path / "a.json"))
    except ValueError:
        return
    for recording in recordings:
        assert np.isfinite(recording.joints).all()
        assert not recording.joints[~recording.present].any()
