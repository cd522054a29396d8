"""Recipes of other projects against loops written from their description, and the order of the steps."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from feeders import augment
from feeders.feeder import Feeder
from processor.engine.data import Loader
from processor.engine.evaluate import evaluate

# NW-UCLA's bones in CTR-GCN, (joint, parent) from 1
BONES = "1-2 2-3 3-3 4-3 5-3 6-5 7-6 8-7 9-3 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 19-18 20-19"
CTR_GCN: dict[str, Any] = {
    "center": 1, "random_rotation": (60, 60, 0), "rotation_order": "yxz", "random_scaling": (0.5, 1.5), "min_max": True,
    "sampling": "drawn", "window_size": 52, "derive": "after",
}  # fmt: skip


def write(folder: Path, x: np.ndarray) -> dict[str, str]:
    np.save(folder / "val_data_joint.npy", x.astype(np.float32))
    (folder / "l.pkl").write_bytes(pickle.dumps(([f"s{i}" for i in range(len(x))], [0] * len(x))))
    return {"data_path": str(folder / "val_data_joint.npy"), "label_path": str(folder / "l.pkl")}


def samples(paths: dict[str, str], **args: Any) -> np.ndarray:
    feeder = Feeder(**paths, **args)
    return np.stack([feeder[i][0].numpy() for i in range(len(feeder))])


def padded(T: int, *, V: int = 20, N: int = 3) -> np.ndarray:
    x = np.zeros((N, 3, 60, V, 1))
    x[:, :, :T] = np.random.default_rng(T).standard_normal((N, 3, T, V, 1))
    return x.astype(np.float32)


def times(a: list[list[float]], b: list[list[float]]) -> list[list[float]]:
    return [[sum(a[i][k] * b[k][j] for k in range(3)) for j in range(3)] for i in range(3)]


def slow_ctr_gcn(x: np.ndarray, a_x: float, a_y: float, s: float, frames: list[int], stream: str) -> np.ndarray:
    """CTR-GCN's sample of the recorded frames (3, T, V): X (R_y (R_x S)) of rows, min-max, frames, bones, motion."""
    sin, cos = math.sin(a_x), math.cos(a_x)
    R_x = [[1, 0, 0], [0, cos, sin], [0, -sin, cos]]
    sin, cos = math.sin(a_y), math.cos(a_y)
    R_y = [[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]
    R = times(R_y, times(R_x, [[s, 0, 0], [0, s, 0], [0, 0, s]]))
    _, T, V = x.shape
    y = np.zeros((3, T, V))
    for t, v, c in np.ndindex(T, V, 3):
        y[c, t, v] = sum((float(x[k, t, v]) - float(x[k, 0, 1])) * R[k][c] for k in range(3))
    for c in range(3):
        low, high = y[c].min(), y[c].max()
        y[c] = (y[c] - low) / (high - low) * 2 - 1
    y = np.stack([y[:, t] for t in frames], axis=1)
    if "bone" in stream:
        joints = y.copy()
        for pair in BONES.split():
            child, parent = (int(joint) - 1 for joint in pair.split("-"))
            y[:, :, child] = joints[:, :, child] - joints[:, :, parent]
    if "motion" in stream:
        joints, y = y, np.zeros_like(y)
        for t in range(len(frames) - 1):
            y[:, t] = joints[:, t + 1] - joints[:, t]
    return y


@pytest.mark.parametrize("stream", ["joint", "bone", "joint_motion", "bone_motion"])
@pytest.mark.parametrize("T", [1, 28, 60])
def test_nw_ucla_is_prepared_as_in_ctr_gcn(tmp_path: Path, T: int, stream: str) -> None:
    x = padded(T)
    y = samples(write(tmp_path, x), stream=stream, seed=7, **CTR_GCN)
    for n in range(3):
        rng = np.random.default_rng([7, 0, n])
        a_x, a_y, _ = (math.radians(rng.integers(-d, d + 1)) for d in (60, 60, 0))
        s = rng.uniform(0.5, 1.5)
        frames = sorted(int(i) % T for i in rng.choice(100 * T, 52, replace=False))
        expected = slow_ctr_gcn(x[n, :, :T, :, 0], a_x, a_y, s, frames, stream)
        np.testing.assert_allclose(y[n, ..., 0], expected, atol=2e-5)
    test = {key: CTR_GCN[key] for key in ("center", "min_max", "window_size", "derive")}
    y = samples(write(tmp_path, x), stream=stream, sampling="even", **test)
    frames = [int(i * (T - 1) / 51) for i in range(52)]
    np.testing.assert_allclose(y[0, ..., 0], slow_ctr_gcn(x[0, :, :T, :, 0], 0, 0, 1, frames, stream), atol=2e-5)


def test_about_y_first_a_body_never_leans_sideways(tmp_path: Path) -> None:
    x = np.zeros((40, 3, 1, 20, 1), np.float32)
    x[:, 1, 0, 3] = 1  # a head above the hips
    paths = write(tmp_path, x)
    upright = samples(paths, random_rotation=(60, 60, 0), rotation_order="yxz")[:, 0, 0, 3, 0]
    leaning = samples(paths, random_rotation=(60, 60, 0))[:, 0, 0, 3, 0]
    np.testing.assert_allclose(upright, 0, atol=1e-6)
    assert np.abs(leaning).max() > 0.3


@pytest.mark.parametrize("order", ["xyz", "xzy", "yxz", "yzx", "zxy", "zyx"])
def test_axes_are_turned_about_in_their_order(order: str) -> None:
    x = np.random.default_rng(0).standard_normal((3, 2, 4, 1)).astype(np.float32)
    rng = np.random.default_rng(3)
    degrees = dict(zip("xyz", (rng.integers(-d, d + 1) for d in (20, 40, 60)), strict=True))
    y = augment.random_rotation(x, (20, 40, 60), np.random.default_rng(3), order=order)
    for t, v in np.ndindex(2, 4):
        place = dict(zip("xyz", map(float, x[:, t, v, 0]), strict=True))
        for axis in order:
            a, b = {"x": "yz", "y": "zx", "z": "xy"}[axis]
            cos, sin = math.cos(math.radians(degrees[axis])), math.sin(math.radians(degrees[axis]))
            place[a], place[b] = cos * place[a] - sin * place[b], sin * place[a] + cos * place[b]
        np.testing.assert_allclose(y[:, t, v, 0], [place[axis] for axis in "xyz"], atol=1e-6)


def test_frames_are_drawn_nearly_with_replacement() -> None:
    """Of 28 frames 15 % are never among 52; of one drawn from each interval none would be."""
    x = np.arange(28, dtype=np.float32).reshape(1, 28, 1, 1)
    absent = []
    for seed in range(300):
        frames = augment.drawn_frames(x, 52, np.random.default_rng(seed))[0, :, 0, 0]
        assert (np.diff(frames) >= 0).all()
        absent.append(1 - len(set(frames)) / 28)
    assert np.mean(absent) == pytest.approx((1 - 1 / 28) ** 52, abs=0.01)
    assert augment.drawn_frames(x[:, :1], 1000, np.random.default_rng(0)).shape == (1, 1000, 1, 1)


@pytest.mark.parametrize("T", [1, 7, 15])
@pytest.mark.parametrize("clips", [1, 3, 10])
def test_test_clips_of_short_samples_begin_as_in_pyskl(tmp_path: Path, T: int, clips: int) -> None:
    x = np.zeros((4, 3, 20, 25, 1), np.float32)
    x[:, :, :T] = np.arange(1, T + 1)[:, None, None]
    paths = write(tmp_path, x)
    y = samples(paths, sampling="uniform", window_size=16, num_clips=clips).reshape(4, clips, 3, 16, 25, 1)
    for i in range(clips):
        expected = [(i * T // clips + frame) % T + 1 for frame in range(16)]
        assert (y[:, i, 0, :, 0, 0] == expected).all()
    begins = {int(z[0, 0, 0, 0]) for z in samples(paths, sampling="uniform", window_size=16)}
    assert len(begins) > 1 or T == 1  # a training window begins anywhere


def test_test_clips_of_long_samples_are_drawn(tmp_path: Path) -> None:
    x = np.broadcast_to(np.arange(1, 41, dtype=np.float32)[:, None, None], (1, 3, 40, 25, 1))
    y = samples(write(tmp_path, x), sampling="uniform", window_size=10, num_clips=5)[0, :, 0, :, 0, 0]
    for clip in y:
        assert all(4 * i < t <= 4 * i + 4 for i, t in enumerate(clip))
    assert len({tuple(clip) for clip in y}) == 5


def test_scores_of_clips_are_averaged_as_logits_or_as_probabilities(tmp_path: Path) -> None:
    paths = write(tmp_path, 3 * padded(40))
    feeder = Feeder(**paths, sampling="uniform", window_size=8, num_clips=4)

    class Scorer(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 5 * x[:, :, 0, 0, 0]

    def scores(average: Any) -> np.ndarray:
        loader = Loader(feeder, batch_size=2, workers=0, device=torch.device("cpu"))
        return evaluate(Scorer(), loader, torch.device("cpu"), "float32", average).scores

    logits = np.stack([5 * feeder[i][0].numpy()[:, :, 0, 0, 0] for i in range(3)]).astype(np.float64)
    expected = np.zeros((3, 3))
    for n, clip in np.ndindex(3, 4):
        total = sum(math.exp(value) for value in logits[n, clip])
        for c in range(3):
            expected[n, c] += math.exp(logits[n, clip, c]) / total / 4
    np.testing.assert_allclose(np.exp(scores("probabilities")), expected, rtol=1e-4)
    np.testing.assert_allclose(scores("logits"), logits.mean(axis=1), rtol=1e-5)
    feeder = Feeder(**paths, sampling="uniform", window_size=8, num_clips=1)  # one clip: its logits, as they are
    np.testing.assert_array_equal(scores("probabilities"), scores("logits"))


@pytest.mark.parametrize("frames", [10, 40, 63])
def test_short_samples_are_cropped_where_a_recipe_asks(tmp_path: Path, frames: int) -> None:
    x = np.broadcast_to(np.arange(frames, dtype=np.float32)[None, :, None, None], (1, frames, 1, 1))
    lengths = set()
    for seed in range(100):
        rng = np.random.default_rng(seed)
        y = augment.crop_resize(x, 1000, [0.5, 1.0], rng, min_crop=4)[0, :, 0, 0]
        lengths.add(round(float(y[-1] - y[0])) + 1)
        assert augment.crop_resize(x, 1000, [0.5, 1.0], rng)[0, -1, 0, 0] == frames - 1
    assert min(lengths) < 0.6 * frames
    assert max(lengths) > 0.85 * frames
    paths = write(tmp_path, padded(30))
    options: dict[str, Any] = {"sampling": "resize", "window_size": 32, "p_interval": (0.2, 0.3)}
    shortened, full = samples(paths, min_crop=1, **options), samples(paths, **options)
    assert not np.allclose(shortened, full)


def test_steps_come_in_their_order(tmp_path: Path) -> None:
    """Each step by hand, in the documented order, drawing alike."""
    x = padded(50, V=25)
    options: dict[str, Any] = {
        "center": 2, "random_rotation": (30, 40, 50), "random_scaling": (0.5, 2), "mirroring": True, "min_max": True,
        "random_shift": True, "random_choose": True, "window_size": 20, "joint_jitter": 0.1, "random_move": True,
    }  # fmt: skip
    y = samples(write(tmp_path, x), seed=3, **options)
    feeder = Feeder(**write(tmp_path, x), mirroring=True)
    mirrored = 0
    for n in range(len(x)):
        rng = np.random.default_rng([3, 0, n])
        z = np.where(x[n].any(axis=(0, 2), keepdims=True), x[n], np.float32(np.nan))
        z = augment.center(z, 2)
        z = augment.random_rotation(z, options["random_rotation"], rng)
        z = augment.random_scaling(z, options["random_scaling"], rng)
        if rng.random() < 0.5:
            mirrored += 1
            z = augment.mirror(z, feeder.partner or ())
        z = augment.min_max(z)
        z = augment.random_shift(z, rng)
        z = augment.random_choose(z, 20, rng)
        z = augment.jitter(z, 0.1, rng)
        z = augment.random_move(np.nan_to_num(z), rng)
        np.testing.assert_array_equal(y[n], z)
    assert 0 < mirrored < len(x)


def test_half_of_the_samples_are_mirrored(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((400, 3, 1, 25, 1)).astype(np.float32)
    y = samples(write(tmp_path, x), mirroring=True)
    share = np.mean([not np.array_equal(a, b) for a, b in zip(x, y, strict=True)])
    assert share == pytest.approx(0.5, abs=0.08)


DRAWING: list[dict[str, Any]] = [
    {"random_rotation": (30, 30, 30)}, {"random_scaling": (0.5, 2)}, {"joint_jitter": 0.1}, {"random_move": True},
    {"random_choose": True, "window_size": 9}, {"sampling": "random", "window_size": 9},
    {"sampling": "uniform", "window_size": 9}, {"sampling": "drawn", "window_size": 9},
    {"sampling": "resize", "window_size": 9, "p_interval": (0.3, 0.9), "min_crop": 1},
]  # fmt: skip


@pytest.mark.parametrize("options", DRAWING, ids=lambda options: "+".join(options))
def test_each_sample_draws_its_own_numbers(tmp_path: Path, options: dict[str, Any]) -> None:
    x = np.repeat(padded(60, N=1), 12, axis=0)
    paths = write(tmp_path, x)
    y = samples(paths, **options)
    assert len({z.tobytes() for z in y}) > 6  # equal samples come out otherwise
    feeder = Feeder(**paths, **options)
    for index in (11, 4, 4):  # whatever was read before
        np.testing.assert_array_equal(feeder[index][0], y[index])
    feeder.set_epoch(1)
    assert len({z.tobytes() for z in y} & {feeder[i][0].numpy().tobytes() for i in range(12)}) < 6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"random_shift": True, "sampling": "even", "window_size": 4}, "random_shift: moves frames for sampling: crop"),
        (
            {"random_rotation": (60, 60, 0, 5)},
            r"random_rotation: \(60, 60, 0, 5\) must be a list of 3 numbers",
        ),
        ({"random_rotation": (60, 60)}, r"random_rotation: \(60, 60\) must be a list of 3 numbers"),
        ({"random_rotation": (0.3, 60, 0)}, r"random_rotation: 0\.3 rounds to 0; angles are in whole degrees"),
        ({"rotation_order": "yx"}, "rotation_order: 'yx' must be 'xyz' or 'xzy'"),
        ({"derive": "last"}, "derive: 'last' must be 'before' or 'after'"),
        ({"min_crop": 0}, "min_crop: 0 must be at least 1"),
        ({"p_interval": [0.5, 1]}, "p_interval: is for sampling: resize, not for crop; drop one"),
        (
            {"p_interval": [0.9], "sampling": "uniform", "window_size": 4},
            "p_interval: is for sampling: resize, not for uni",
        ),
        ({"min_crop": 9, "sampling": "even", "window_size": 4}, "min_crop: is for sampling: resize, not for even"),
        ({"random_scaling": (2,)}, r"random_scaling: \(2,\) must be a list of 2 numbers or null"),
        ({"random_scaling": ()}, r"random_scaling: \(\) must be a list of 2 numbers or null"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Feeder(**write(tmp_path, padded(9)), **wrong)


def test_all_mistakes_come_in_one_message(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {"random_shift": True, "sampling": "drawn", "random_rotation": (1, 2, 3, 4), "derive": ""}
    with pytest.raises(ValueError, match=r"derive: .*random_rotation: .*random_shift: .*window_size: -1"):
        Feeder(**write(tmp_path, padded(9)), **wrong)
