"""Geometry and streams against plain loops, with missing joints, absent persons and scores."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from feeders import streams
from feeders.arrays import pack_missing
from feeders.feeder import Feeder
from graph.ntu_rgb_d import SKELETON as NTU_RGB_D

T, V, M = 6, 25, 2
NTU = (1, 20, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 1, 22, 7, 24, 11)  # bone parents
nan = np.nan


@pytest.fixture
def x() -> np.ndarray:
    """A sample (3, T, V, M) with missing joints; the second person is there in the frames 2 and 3 only."""
    x = np.random.default_rng(0).standard_normal((3, T, V, M)).astype(np.float32)
    x[:, 1, 5, 0] = x[:, :, 20, 0] = nan
    x[:, [0, 1, 4, 5], :, 1] = 0
    return x


PARENTS = tuple(1 if v == 1 else parent for v, parent in enumerate(NTU))  # the root, 1, is its parent


def test_bones_over_two_joints(x: np.ndarray) -> None:
    y = streams.derive(x, "bone2", PARENTS)
    moved = streams.derive(x, "bone2_motion", PARENTS)
    scored = np.concatenate([x, x[:1] ** 2])
    z = streams.derive(scored, "bone2", PARENTS, score=3)
    for t, v, m in np.ndindex(T, V, M):
        place = PARENTS[PARENTS[v]]
        np.testing.assert_array_equal(y[:, t, v, m], x[:, t, v, m] - x[:, t, place, m])
        np.testing.assert_array_equal(z[:3, t, v, m], y[:, t, v, m])
        np.testing.assert_allclose(z[3, t, v, m], (scored[3, t, v, m] + scored[3, t, place, m]) / 2)
        if t + 1 < T:
            np.testing.assert_array_equal(moved[:, t, v, m], y[:, t + 1, v, m] - y[:, t, v, m])
    np.testing.assert_array_equal(y[:, :, 1], 0 * x[:, :, 1])


def test_a_centre_in_each_frame_and_its_path(x: np.ndarray) -> None:
    y = streams.derive(x, "local+trajectory", ())
    for t, v, m, c in np.ndindex(T, V, M, 3):
        there = [float(x[c, t, u, m]) for u in range(V) if not np.isnan(x[c, t, u, m])]
        centre = sum(there) / len(there)
        if np.isnan(x[c, t, v, m]):
            assert np.isnan(y[c, t, v, m])
            assert np.isnan(y[3 + c, t, v, m])
        else:
            assert y[c, t, v, m] == pytest.approx(float(x[c, t, v, m]) - centre, abs=1e-5)
            assert y[3 + c, t, v, m] == pytest.approx(centre, abs=1e-5)
    assert (y[:, 0, :, 1] == 0).all()  # an absent person


def write(folder: Path, x: np.ndarray, missing: np.ndarray | None = None, channels: str = "") -> dict[str, Any]:
    np.save(folder / "val_data_joint.npy", x.astype(np.float32))
    (folder / "l.pkl").write_bytes(pickle.dumps(([f"s{i}" for i in range(len(x))], [0] * len(x))))
    if missing is not None:
        np.save(folder / "val_missing.npy", pack_missing(missing))
    if channels:
        (folder / "prepared.yaml").write_text(f"channels: {{{channels}}}\n")
    return {"data_path": str(folder / "val_data_joint.npy"), "label_path": str(folder / "l.pkl")}


def samples(paths: dict[str, Any], **options: Any) -> np.ndarray:
    feeder = Feeder(**paths, **options)
    return np.stack([feeder[i][0].numpy() for i in range(len(feeder))])


DRAWING: list[dict[str, Any]] = [
    {"random_scaling": (0.5, 2)}, {"random_rotation": (20, 40, 0)}, {"joint_jitter": 0.1, "center": 1},
]  # fmt: skip


@pytest.mark.parametrize("stream", ["joint", "bone2+local"])
@pytest.mark.parametrize("derive", ["before", "after"])
@pytest.mark.parametrize("options", DRAWING, ids=lambda options: "+".join(options))
def test_each_sample_draws_for_itself_and_keeps_what_is_missing(
    tmp_path: Path, options: dict[str, Any], derive: str, stream: str
) -> None:
    one = np.random.default_rng(0).standard_normal((1, 3, T, V, M))
    missing = np.zeros((12, T, V, M), bool)
    missing[:, 2, 7] = missing[:, :, 9, 1] = True
    missing[:, :2, :, 1] = False
    one[0][:, missing[0]] = 0
    one[:, :, :2, :, 1] = 0
    paths = write(tmp_path, np.repeat(one, 12, axis=0), missing)
    feeder = Feeder(**paths, stream=stream, derive=derive, **options)
    y = np.stack([feeder[i][0].numpy() for i in range(12)])
    assert np.isfinite(y).all()
    assert (y[:, :, missing[0]] == 0).all()
    assert (y[:, :, :2, :, 1] == 0).all()
    assert len({z.tobytes() for z in y}) > 2
    for index in (11, 4, 4):  # whatever was read before
        np.testing.assert_array_equal(feeder[index][0], y[index])
    feeder.set_epoch(1)
    assert any(feeder[i][0].numpy().tobytes() != y[i].tobytes() for i in range(12))


def test_scores_are_left_alone(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(0.1, 1, (20, 3, T, 17, 1))
    paths = write(tmp_path, x, channels="names: [x, y, score], unit: normalised")
    feeder = Feeder(**paths, random_scaling=(0.5, 2), min_max=True)
    for i in range(20):
        y = feeder[i][0].numpy()
        np.testing.assert_array_equal(y[2], x[i, 2].astype(np.float32))
        assert (y[:2] != x[i, :2].astype(np.float32)).any()


def test_a_path_is_mirrored_as_joints_are(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(100, 200, (30, 3, T, 17, 1))
    paths = write(tmp_path, x, channels="names: [x, y, score], unit: pixels, picture: [640, 480]")
    feeder, plain = (Feeder(**paths, stream="joint+trajectory", mirroring=mirroring) for mirroring in (True, False))
    mirrored = 0
    for i in range(30):
        a, b = feeder[i][0].numpy(), plain[i][0].numpy()
        if not np.array_equal(a, b):
            mirrored += 1
            np.testing.assert_allclose(a[3], 640 - b[3], rtol=1e-5)
            np.testing.assert_allclose(a[0].mean(axis=1), a[3, :, 0], rtol=1e-5)
    assert 5 < mirrored < 25


class Twice(Feeder):
    """The joints twice, as a user's stream of positions."""

    streams: ClassVar = {**Feeder.streams, "again": lambda joints, parents: joints}
    places: ClassVar = (*Feeder.places, "again")


@pytest.mark.parametrize("options", [{"mirroring": True}, {"random_move": True}], ids=str)
def test_a_users_positions_are_moved_as_joints_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    x = np.random.default_rng(0).uniform(100, 200, (9, 2, T, 17, 1))
    feeder = Twice(
        **write(tmp_path, x, channels="names: [x, y], unit: pixels, picture: [640, 480]"),
        stream="joint+again",
        **options,
    )
    for i in range(9):
        joints, again = np.split(feeder[i][0].numpy(), 2)
        np.testing.assert_array_equal(joints, again)
    monkeypatch.setattr(Twice, "places", Feeder.places)
    assert any((joints != again).any() for joints, again in (np.split(feeder[i][0].numpy(), 2) for i in range(9)))


def test_a_moving_camera_turns_bones_and_does_not_shift_them(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((6, 3, T, V, M)).astype(np.float32)
    paths = write(tmp_path, x, channels="names: [x, y, z], unit: metres")
    args: list[dict[str, Any]] = [
        {"stream": "joint+bone"},
        {"stream": "bone"},
        {"stream": "joint+bone", "published": True},
    ]
    y, alone, published = (samples(paths, random_move=True, **options) for options in args)
    expected = streams.bones(y[:, :3], NTU_RGB_D.parents)  # bones of the moved joints
    np.testing.assert_allclose(y[:, 3:], expected, atol=1e-5)
    np.testing.assert_allclose(alone, expected, atol=1e-5)
    np.testing.assert_array_equal(published[:, :3], y[:, :3])
    np.testing.assert_array_equal(published[:, 3:], streams.bones(x, NTU_RGB_D.parents))


def test_a_moving_camera_makes_nobody_of_an_absent_person(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((6, 3, T, V, M)).astype(np.float32)
    x[:, :, 2, :, 1] = 0
    options: dict[str, Any] = {"random_move": True, "stream": "joint+joint_motion", "derive": "after"}
    assert samples(write(tmp_path, x), **options)[:, :, 2, :, 1].any()  # as published
    y = samples(write(tmp_path, x, channels="names: [x, y, z]"), **options)
    assert not y[:, :, 2, :, 1].any()
    assert not y[:, 3:, 1, :, 1].any()  # no motion leads to there
    assert (y[:, :, 3, :, 1] != 0).all()


GEOMETRY: list[dict[str, Any]] = [
    {"random_rotation": (40, 10, 70)}, {"random_move": True},
    {"random_scaling": (0.5, 2)}, {"mirroring": True}, {"joint_jitter": 0.1},
]  # fmt: skip


@pytest.mark.parametrize("order", [(0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("options", GEOMETRY, ids=lambda options: "+".join(options))
def test_axes_are_known_by_their_names(tmp_path: Path, options: dict[str, Any], order: tuple[int, ...]) -> None:
    """The same numbers are drawn for x, y and z, wherever these stand among the channels."""
    x = np.random.default_rng(0).standard_normal((3, 3, T, V, M)).astype(np.float32)
    y = samples(write(tmp_path, x, channels="names: [x, y, z], unit: metres"), stream="joint+bone", **options)
    names = ", ".join("xyz"[axis] for axis in order)
    paths = write(tmp_path, x[:, list(order)], channels=f"names: [{names}], unit: metres")
    z = samples(paths, stream="joint+bone", **options)
    np.testing.assert_allclose(z, y[:, [3 * group + axis for group in range(2) for axis in order]], atol=1e-6)


def test_clips_of_a_test_may_be_small_rotations(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, T, V, 1))
    feeder = Feeder(**write(tmp_path, x), num_clips=4, random_rotation=(0, 10, 0), sampling="even", window_size=5)
    clips = feeder[1][0].numpy()
    assert clips.shape == (4, 3, 5, V, 1)
    assert len({clip.tobytes() for clip in clips}) > 1
    for clip in clips:
        np.testing.assert_array_equal(clip[1], clips[0][1])  # about y
        np.testing.assert_allclose((clip**2).sum(axis=0), (clips[0] ** 2).sum(axis=0), rtol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"random_scaling": (2, 1)}, r"random_scaling: \[2, 1\] must be a lowest and a highest factor"),
        ({"num_clips": 2, "window_size": 4, "sampling": "even"}, "or turned by random_rotation"),
        ({"num_clips": 2, "window_size": 4, "sampling": "even", "random_rotation": (0, 0, 0)}, "or turned by random_"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Feeder(**write(tmp_path, np.ones((2, 3, T, V, 1))), **wrong)
