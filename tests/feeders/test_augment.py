"""Every augmentation against plain loops that draw alike; none changes its input, and a seed decides all of it.

`random_move` and `min_max` have their loops in `slow_reference`, and are compared in `test_feeder`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from feeders import augment
from graph.ntu_rgb_d import SKELETON

C, T, V, M = 6, 23, 25, 2
Array = np.ndarray


@pytest.fixture
def x() -> Array:
    """A sample (joints and bones) with frames 0, 1 and 20 to 22 empty, and the second person there from 6 to 12."""
    x = np.random.default_rng(0).standard_normal((C, T, V, M)).astype(np.float32)
    x[:, [0, 1, 20, 21, 22]] = np.nan
    x[:, :6, :, 1] = x[:, 13:, :, 1] = np.nan
    return x


def somebody(x: Array, t: int, m: int) -> bool:
    return not all(math.isnan(x[c, t, v, m]) for c in range(C) for v in range(V))


def placed(frames: list[Array], size: int, begin: int) -> Array:
    y = np.full((C, size, V, M), np.nan)
    for t, frame in enumerate(frames):
        y[:, begin + t] = frame
    return y


def slow_valid(x: Array) -> list[Array]:
    there = [t for t in range(x.shape[1]) if somebody(x, t, 0) or somebody(x, t, 1)]
    return [x[:, t] for t in range(there[0], there[-1] + 1)]


def slow_choose(x: Array, size: int, rng: Generator) -> Array:
    begin = int(rng.integers(abs(T - size) + 1))
    frames = [x[:, t] for t in range(T)]
    return placed(frames[begin : begin + size], size, 0) if size <= T else placed(frames, size, begin)


def slow_shift(x: Array, rng: Generator) -> Array:
    frames = slow_valid(x)
    return placed(frames, T, int(rng.integers(T - len(frames) + 1)))


def slow_center(x: Array, joint: int, persons: list[int]) -> Array:
    y = x.copy()
    first = next(t for t in range(T) if any(somebody(x, t, m) for m in persons))
    there = [m for m in persons if somebody(x, first, m)]
    for c, t, v, m in np.ndindex(x.shape):
        if somebody(x, t, m):
            y[c, t, v, m] = x[c, t, v, m] - sum(float(x[c, first, joint, n]) for n in there) / len(there)
    return y


def slow_rotation(x: Array, degrees: list[float], rng: Generator) -> Array:
    a, b, g = (math.radians(rng.integers(-round(d), round(d) + 1)) for d in degrees)
    y = np.zeros(x.shape)
    for part in range(0, C, 3):
        for t, v, m in np.ndindex(T, V, M):
            px, py, pz = (float(value) for value in x[part : part + 3, t, v, m])
            py, pz = math.cos(a) * py - math.sin(a) * pz, math.sin(a) * py + math.cos(a) * pz
            pz, px = math.cos(b) * pz - math.sin(b) * px, math.sin(b) * pz + math.cos(b) * px
            px, py = math.cos(g) * px - math.sin(g) * py, math.sin(g) * px + math.cos(g) * py
            y[part : part + 3, t, v, m] = px, py, pz
    return y


def slow_scaling(x: Array, bounds: list[float], rng: Generator) -> Array:
    factor = bounds[0] + rng.random() * (bounds[1] - bounds[0])
    return np.array([factor * float(value) for value in x.flat]).reshape(x.shape)


def slow_mirror(x: Array) -> Array:
    y = np.zeros_like(x)
    for c, t, v, m in np.ndindex(x.shape):
        y[c, t, v, m] = x[c, t, SKELETON.partners[v], m] * (-1 if c in (0, 3) else 1)
    return y


def slow_even(x: Array, size: int) -> Array:
    return np.stack([x[:, i * (T - 1) // (size - 1)] for i in range(size)], axis=1)


def slow_random(x: Array, size: int, rng: Generator) -> Array:
    drawn = rng.random(size)
    return np.stack([x[:, int((i + drawn[i]) * T / size)] for i in range(size)], axis=1)


def slow_uniform(x: Array, size: int, rng: Generator) -> Array:
    if size > T:
        start = rng.integers(T)
        frames = [(start + i) % T for i in range(size)]
    elif 2 * size > T:
        gaps = rng.choice(size + 1, T - size, replace=False).tolist()
        frames, t = [], 0
        for i in range(size):
            t += i in gaps
            frames.append(t)
            t += 1
    else:
        edges = [i * T // size for i in range(size + 1)]
        drawn = rng.integers(edges[:-1], edges[1:])
        frames = [int(t) for t in drawn]
    return np.stack([x[:, t] for t in frames], axis=1)


def slow_resize(x: Array, size: int, p_interval: list[float], rng: Generator) -> Array:
    frames = [x[:, t].astype(float) for t in range(x.shape[1])]
    if len(p_interval) == 1:
        cut = int((1 - p_interval[0]) * len(frames) / 2)
        frames = frames[cut : len(frames) - cut]
    else:
        length = int(len(frames) * rng.uniform(*p_interval))
        length = min(max(length, 64), len(frames))
        begin = int(rng.integers(len(frames) - length + 1))
        frames = frames[begin : begin + length]
    y = []
    for i in range(size):
        place = max(0.0, (i + 0.5) * len(frames) / size - 0.5)
        before = int(place)
        after = min(before + 1, len(frames) - 1)
        between = (1 - (place - before)) * frames[before] + (place - before) * frames[after]
        y.append(between if place > before else frames[before])
    return np.stack(y, axis=1)


def slow_jitter(x: Array, deviation: float, rng: Generator) -> Array:
    noise, y = rng.standard_normal(x.shape, dtype=np.float32), x.astype(float)
    for c, t, v, m in np.ndindex(x.shape):
        if somebody(x, t, m):
            y[c, t, v, m] += deviation * float(noise[c, t, v, m])
    return y


long = np.random.default_rng(1).standard_normal((C, 200, V, M)).astype(np.float32)
Draws = Callable[[Array, Generator], Array]
PAIRS: dict[str, tuple[Draws, Draws]] = {
    "shift": (augment.random_shift, slow_shift),
    "center": (lambda x, _: augment.center(x, 4), lambda x, _: slow_center(x, 4, [0])),
    "center of persons": (
        lambda x, _: augment.center(x, 4, person="mean"),
        lambda x, _: slow_center(x, 4, list(range(M))),
    ),
    "rotation": (
        lambda x, r: augment.random_rotation(x, [17, 30, 60], r),
        lambda x, r: slow_rotation(x, [17, 30, 60], r),
    ),
    "scaling": (lambda x, r: augment.random_scaling(x, [0.5, 1.5], r), lambda x, r: slow_scaling(x, [0.5, 1.5], r)),
    "mirror": (lambda x, _: augment.mirror(x, SKELETON.partners), lambda x, _: slow_mirror(x)),
    "jitter": (lambda x, r: augment.jitter(x, 0.3, r), lambda x, r: slow_jitter(x, 0.3, r)),
    "resize a drawn part": (
        lambda _, r: augment.crop_resize(long, 64, [0.5, 1.0], r),
        lambda _, r: slow_resize(long, 64, [0.5, 1.0], r),
    ),
}  # fmt: skip
for size in (5, 16, 40):
    PAIRS |= {
        f"choose {size}": (
            lambda x, r, size=size: augment.random_choose(x, size, r),
            lambda x, r, size=size: slow_choose(x, size, r),
        ),
        f"even {size}": (
            lambda x, _, size=size: augment.even_frames(x, size),
            lambda x, _, size=size: slow_even(x, size),
        ),
        f"random {size}": (
            lambda x, r, size=size: augment.random_frames(x, size, r),
            lambda x, r, size=size: slow_random(x, size, r),
        ),
        f"uniform {size}": (
            lambda x, r, size=size: augment.uniform_frames(x, size, r),
            lambda x, r, size=size: slow_uniform(x, size, r),
        ),
        f"resize the middle to {size}": (
            lambda x, r, size=size: augment.crop_resize(x, size, [0.7], r),
            lambda x, r, size=size: slow_resize(x, size, [0.7], r),
        ),
    }


@pytest.mark.parametrize("name", PAIRS)
def test_each_equals_its_loop_and_leaves_its_input(x: Array, name: str) -> None:
    fast, slow = PAIRS[name]
    kept = x.copy()
    for seed in range(3):
        y = fast(x, np.random.default_rng(seed))
        np.testing.assert_allclose(y, slow(x, np.random.default_rng(seed)), atol=1e-5)
        np.testing.assert_array_equal(y, fast(x, np.random.default_rng(seed)))
        assert y.dtype == np.float32
    np.testing.assert_array_equal(x, kept)
