"""Bones and merged arrays of any known skeleton, in every folder of joints."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from data_gen import ntu_gen_bones
from data_gen.common import storage
from data_gen.ntu_gen_bones import gen_bones
from data_gen.ntu_merge_joint_bones import merge_joint_bones
from feeders.arrays import pack_missing
from graph.channels import Channels
from graph.common.yaml_text import dump


def write_joints(path: Path, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    joints = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    np.save(path, joints)
    return joints


@pytest.mark.parametrize("name", ["ntu_rgb_d", "kinetics", "nw_ucla"])
def test_bones_equal_a_loop_over_joints(tmp_path: Path, name: str) -> None:
    skeleton = import_module(f"graph.{name}").SKELETON
    joints = write_joints(tmp_path / "val_data_joint.npy", (150, 3, 2, skeleton.num_point, 2))  # three chunks
    gen_bones(tmp_path)
    expected = np.zeros_like(joints)
    for child, parent in enumerate(skeleton.parents):
        expected[:, :, :, child] = joints[:, :, :, child] - joints[:, :, :, parent]
    np.testing.assert_array_equal(np.load(tmp_path / "val_data_bone.npy"), expected)


@pytest.mark.parametrize("unit", ["pixels", ""])
def test_a_bone_with_a_missing_end_is_zero_and_its_score_is_the_mean(tmp_path: Path, unit: str) -> None:
    """With a mask; without `prepared.yaml` the third channel is a coordinate, as in published arrays."""
    joints = write_joints(tmp_path / "val_data_joint.npy", (70, 3, 2, 17, 1))
    missing = np.random.default_rng(1).random((70, 2, 17, 1)) < 0.1
    joints.transpose(0, 2, 3, 4, 1)[missing] = 0
    np.save(tmp_path / "val_data_joint.npy", joints)
    np.save(tmp_path / "val_missing.npy", pack_missing(missing))
    if unit:
        channels = Channels(("x", "y", "score"), "pixels")
        (tmp_path / "prepared.yaml").write_text(dump({"channels": channels.as_mapping()}))
    gen_bones(tmp_path)
    bones = np.load(tmp_path / "val_data_bone.npy")
    parents = import_module("graph.coco").SKELETON.parents
    for n, t, child in np.ndindex(70, 2, 17):
        here, there = joints[n, :, t, child, 0], joints[n, :, t, parents[child], 0]
        expected = here - there
        if unit:
            expected[2] = (here[2] + there[2]) / 2
        if missing[n, t, child, 0] or missing[n, t, parents[child], 0]:
            expected = np.zeros(3)
        np.testing.assert_allclose(bones[n, :, t, child, 0], expected, atol=1e-6)


def test_every_folder_of_joints_is_done(tmp_path: Path) -> None:
    joints = {
        folder: write_joints(tmp_path / folder / "train_data_joint.npy", (70, 3, 2, 25, 2), seed)
        for seed, folder in enumerate(("xsub", "xview", "xset", "."))
    }
    gen_bones(tmp_path)
    report = merge_joint_bones(tmp_path)
    assert len(report.written) == 4
    for folder, expected in joints.items():
        merged = np.load(tmp_path / folder / "train_data_joint_bones.npy")
        assert merged.shape == (70, 6, 2, 25, 2)
        np.testing.assert_array_equal(merged[:, :3], expected)
        np.testing.assert_array_equal(merged[:, 3:], np.load(tmp_path / folder / "train_data_bone.npy"))


def test_what_cannot_be_used_is_named_and_skipped(tmp_path: Path) -> None:
    write_joints(tmp_path / "a" / "train_data_joint.npy", (2, 3, 4, 7, 1))
    write_joints(tmp_path / "b" / "train_data_joint.npy", (2, 3, 4, 25, 1))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "train_data_joint.npy").write_text("no array")
    report = gen_bones(tmp_path)
    assert list(report.written) == [tmp_path / "b" / "train_data_bone.npy"]
    assert "7 joints are those of no known skeleton; known are" in report.skipped[0]
    assert "18 (Kinetics-skeleton)" in report.skipped[0]
    assert "is not a complete .npy array" in report.skipped[1]
    with pytest.raises(ValueError, match="7 joints are those of no known skeleton"):
        gen_bones(tmp_path, strict=True)


def test_bones_of_other_joints_are_not_merged(tmp_path: Path) -> None:
    write_joints(tmp_path / "train_data_joint.npy", (2, 3, 4, 25, 1))
    with pytest.raises(ValueError, match=r"train_data_bone\.npy is missing: run data_gen/ntu_gen_bones\.py first"):
        merge_joint_bones(tmp_path)
    gen_bones(tmp_path)
    write_joints(tmp_path / "train_data_joint.npy", (3, 3, 4, 25, 1))
    with pytest.raises(ValueError, match="belongs to other joints"):
        merge_joint_bones(tmp_path)
    assert not (tmp_path / "train_data_joint_bones.npy").exists()


def test_failing_midway_leaves_finished_bones_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_joints(tmp_path / "train_data_joint.npy", (70, 3, 2, 25, 1))
    gen_bones(tmp_path)
    finished = (tmp_path / "train_data_bone.npy").read_bytes()
    write_joints(tmp_path / "train_data_joint.npy", (80, 3, 2, 25, 1))
    calls = []

    def bones(joints: np.ndarray, *_: object, **__: object) -> np.ndarray:
        calls.append(len(joints))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return joints

    monkeypatch.setattr(ntu_gen_bones.streams, "derive", bones)
    with pytest.raises(KeyboardInterrupt):
        gen_bones(tmp_path)
    assert calls == [64, 16]
    assert (tmp_path / "train_data_bone.npy").read_bytes() == finished
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train_data_bone.npy", "train_data_joint.npy"]


@pytest.mark.parametrize("again", [False, True])
def test_the_space_for_all_files_is_asked_for_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    for part in ("train", "val"):
        write_joints(tmp_path / f"{part}_data_joint.npy", (200, 3, 2, 25, 1))
    if again:  # then one after the other takes the place of an earlier one
        gen_bones(tmp_path)
    size = (tmp_path / "val_data_joint.npy").stat().st_size
    needed = size if again else 2 * size
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: type("", (), {"free": needed - size // 2}))
    with pytest.raises(ValueError, match="make room or choose another folder"):
        gen_bones(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: type("", (), {"free": needed}))
    assert len(gen_bones(tmp_path).written) == 2
