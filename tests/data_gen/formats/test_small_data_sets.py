"""Florence 3D Actions and UTD-MHAD in their own form: every number is where it was, and labels and actors are told."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_gen.custom_gendata import gendata
from data_gen.formats.reading import read
from graph.custom import skeleton_text
from graph.nw_ucla import SKELETON as KINECT
from graph.sbu import SKELETON as OPENNI

scipy_io: Any = pytest.importorskip("scipy.io", reason="pip install scipy")
savemat = scipy_io.savemat


def florence(path: Path, lengths: tuple[int, ...], separator: str = " ") -> list[np.ndarray]:
    """A file of recordings of two actors in turns and three classes; their joints (T, V, C)."""
    rng = np.random.default_rng(0)
    recordings = [rng.normal(size=(length, 15, 3)).round(4) for length in lengths]
    with path.open("w") as file:
        for number, joints in enumerate(recordings):
            for frame in joints:
                head = (number + 1, 1 + number % 2, 1 + number % 3)
                print(*head, *(f"{x:.4f}" for x in frame.ravel()), sep=separator, file=file)
    return recordings


@pytest.mark.parametrize("separator", [" ", ",", "\t"])
def test_lines_of_many_recordings(tmp_path: Path, separator: str) -> None:
    expected = florence(tmp_path / "world.txt", (4, 1, 7, 2), separator)
    recordings = list(read(tmp_path / "world.txt", skeleton=OPENNI))
    assert [r.name for r in recordings] == [f"video{n}_actor{a}_category{c}" for n, a, c in
                                            ((1, 1, 1), (2, 2, 2), (3, 1, 3), (4, 2, 1))]  # fmt: skip
    assert [(r.format, r.label) for r in recordings] == [("florence", label) for label in "1231"]
    for recording, joints in zip(recordings, expected, strict=True):
        np.testing.assert_array_equal(recording.joints[:, 0], joints.astype(np.float32))


def test_actors_split_them(tmp_path: Path) -> None:
    expected = florence(tmp_path / "world.txt", (4, 2, 7, 5))
    (tmp_path / "skeleton.yaml").write_text(skeleton_text(OPENNI))
    for names in (None, "video*_actor{performer}_category{label}"):
        options = {"names": names, "val": "performer=2"} if names else {}
        gendata(tmp_path / "world.txt", skeleton=tmp_path / "skeleton.yaml", out_folder=tmp_path / "out", **options)
        order, labels = pickle.loads((tmp_path / "out" / "train_label.pkl").read_bytes())
        assert len(order) == (2 if names else 4)
        assert (tmp_path / "out" / "classes.txt").read_text().split() == ["1", "2", "3"]
        assert labels == ([0, 2] if names else [0, 1, 2, 0])
        x = np.load(tmp_path / "out" / "train_data_joint.npy")
        np.testing.assert_array_equal(x[0, :, :4, :, 0], expected[0].transpose(2, 0, 1).astype(np.float32))


def test_a_line_that_is_cut_is_named(tmp_path: Path) -> None:
    florence(tmp_path / "world.txt", (4, 3))
    lines = (tmp_path / "world.txt").read_text().splitlines()
    lines[5] = lines[5][:100]
    (tmp_path / "world.txt").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"^line 6: 48 numbers expected, found "):
        list(read(tmp_path / "world.txt", skeleton=OPENNI))


@pytest.mark.parametrize("axes", [(1, 2, 0), (0, 1, 2), (2, 1, 0)])
def test_arrays_of_matlab(tmp_path: Path, axes: tuple[int, ...]) -> None:
    joints = np.random.default_rng(1).normal(size=(31, 20, 3))
    path = tmp_path / "a1_s2_t1_skeleton.mat"
    savemat(path, {"d_skel": joints.transpose(axes), "rate": 30.0}, do_compression=axes[0] == 1)
    (recording,) = read(path, skeleton=KINECT)
    assert recording.format == "mat"
    np.testing.assert_array_equal(recording.joints[:, 0], joints.astype(np.float32))


def test_of_as_many_frames_as_joints_the_last_axis_is_that_of_the_frames(tmp_path: Path) -> None:
    joints = np.random.default_rng(1).normal(size=(20, 20, 3))
    savemat(tmp_path / "a.mat", {"d_skel": joints.transpose(1, 2, 0)})
    (recording,) = read(tmp_path / "a.mat", skeleton=KINECT)
    np.testing.assert_array_equal(recording.joints[:, 0], joints.astype(np.float32))


def test_what_no_array_of_matlab_is_taken_for(tmp_path: Path) -> None:
    path, joints = tmp_path / "a.mat", np.ones((20, 3, 5))
    for held, problem in (
        (
            {"a": joints, "b": joints},
            r"one array \(20 joints, 3 coordinates, frames\) expected, found a \(20, 3, 5\), b",
        ),
        ({"a": joints[:19]}, r"found a \(19, 3, 5\)"),
        ({"a": "text"}, "found no array of three axes"),
    ):
        savemat(path, held)
        with pytest.raises(ValueError, match=problem):
            list(read(path, skeleton=KINECT))
    with pytest.raises(ValueError, match="only a skeleton tells"):
        list(read(path))
    savemat(path, {"a": joints})
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"no complete \.mat file|one array"):
        list(read(path, skeleton=KINECT))
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: PCWIN64" + bytes(500))
    with pytest.raises(ValueError, match=r"MATLAB 7\.3; save it with the option -v7"):
        list(read(path, skeleton=KINECT))
