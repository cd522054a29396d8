"""The files beside a prepared array: lengths, missing joints and channels; each is checked against the array."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from feeders.arrays import LENGTH, MISSING, PREPARED, load_lengths, load_missing, load_prepared, pack_missing
from graph.channels import Channels

SHAPE = N, C, T, V, M = (4, 3, 5, 7, 2)


@pytest.fixture
def array(tmp_path: Path) -> Path:
    np.save(tmp_path / "val_data_joint.npy", np.ones(SHAPE, np.float32))
    return tmp_path / "val_data_joint.npy"


def test_without_files_nothing_is_known(array: Path) -> None:
    assert load_lengths(array) is None
    assert load_missing(array) is None
    assert load_prepared(array) is None


def test_missing_joints_are_a_bit_each(array: Path) -> None:
    missing = np.random.default_rng(0).random((N, T, V, M)) < 0.3
    packed = pack_missing(missing)
    assert packed.shape == (N, 9)  # 70 bits
    for n, t, v, m in np.ndindex(N, T, V, M):
        place = (t * V + v) * M + m
        assert packed[n, place // 8] >> (7 - place % 8) & 1 == missing[n, t, v, m]
    np.save(array.with_name(f"val_{MISSING}"), packed)
    for copy in (load_missing(array), pickle.loads(pickle.dumps(load_missing(array)))):
        assert isinstance(copy.rows, np.memmap)
        assert len(copy) == N
        np.testing.assert_array_equal([copy[n] for n in range(N)], missing)
    assert len(pickle.dumps(load_missing(array))) < 500


def test_lengths_are_read(array: Path) -> None:
    np.save(array.with_name(f"val_{LENGTH}"), np.array([0, 1, 4, 5], np.int32))
    lengths = load_lengths(array)
    assert lengths is not None
    assert lengths.tolist() == [0, 1, 4, 5]


@pytest.mark.parametrize(
    "wrong", [np.zeros(3, int), np.zeros(N), np.array([0, 1, 2, 6]), np.array([0, -1, 2, 3]), np.zeros((N, 1), int)]
)
def test_lengths_of_another_array_are_refused(array: Path, wrong: np.ndarray) -> None:
    np.save(array.with_name(f"val_{LENGTH}"), wrong)
    with pytest.raises(ValueError, match=r"val_length\.npy does not hold 4 lengths from 0 to 5, .*; make both again"):
        load_lengths(array)


@pytest.mark.parametrize("wrong", [np.zeros((N, 8), np.uint8), np.zeros((3, 9), np.uint8), np.zeros((N, 9), bool)])
def test_missing_joints_of_another_array_are_refused(array: Path, wrong: np.ndarray) -> None:
    np.save(array.with_name(f"val_{MISSING}"), wrong)
    with pytest.raises(ValueError, match=r"val_missing\.npy does not hold 9 bytes for each of the 4 samples of .*"):
        load_missing(array)


@pytest.mark.parametrize("name", [LENGTH, MISSING])
def test_damaged_files_are_named(array: Path, name: str) -> None:
    array.with_name(f"val_{name}").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=rf"val_{name} is not a complete \.npy array"):
        (load_lengths if name == LENGTH else load_missing)(array)


def test_channels_are_told(array: Path) -> None:
    path = array.with_name(PREPARED)
    path.write_text("channels: {names: [x, y, score], unit: pixels, picture: [640, 480]}\nframe_rate: 30\n")
    prepared = load_prepared(array)
    assert prepared is not None
    assert prepared.channels == Channels(("x", "y", "score"), "pixels", (640, 480))
    assert (prepared.channels.position, prepared.channels.score, prepared.channels.is_flat) == ((0, 1), 2, True)
    assert (prepared.frame_rate, prepared.made) == (30, {})
    assert Channels.of_mapping(prepared.channels.as_mapping()) == prepared.channels
    assert Channels(("score", "z", "y", "x")).position == (3, 2, 1)
    assert not Channels().is_flat
    assert [Channels(("x", "y", name)).score for name in ("confidence", "visibility", "speed")] == [2, 2, None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("channels: {names: [x, y], unit: pixels}", "names 2 channels, .* has 3; make both again"),
        ("channels: {names: [x, y, x]}", "x, y, x name a channel twice"),
        ("channels: {names: [x, y, z], unit: feet}", "'feet' is none of metres, millimetres"),
        ("channels: {names: [x, y, z], unit: [metres]}", "is none of metres, millimetres"),
        ("channels: {names: [x, y, z], picture: [640]}", r"picture: \(640,\) is not a width and a height"),
        ("channels: {names: xyz}", "names and picture must be lists"),
        ("channels: {names: []}", "names must be a list of text"),
        ("channels: {name: [x]}", "a mapping with the keys names, unit and picture is expected"),
        ("channels: {names: [x, y, z]}\nframe_rate: -1", "frame_rate: -1 is no number"),
        ("frame_rate: 30", "the key channels is missing"),
        ("channels: [", "line 1: not valid YAML"),
        ("a: !!python/object:os.system x", "not valid YAML"),
    ],
)
def test_a_wrong_description_is_refused(array: Path, content: str, message: str) -> None:
    array.with_name(PREPARED).write_text(content)
    with pytest.raises(ValueError, match=rf"prepared\.yaml.*{message}"):
        load_prepared(array)
