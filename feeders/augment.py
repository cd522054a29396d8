"""Augmentations: pure functions on one sample (C, T, V, M), drawing from an explicit generator.

Axis legend: C channels (x, y, z or x, y, score; joints and bones: twice three), T frames, V joints, M persons.
A frame or person without a skeleton is zero everywhere, and stays so except in `random_move` (published).
Sources: Yan et al., AAAI 2018 (choose, shift, move); Chen et al., *Channel-wise Topology Refinement Graph
Convolution*, ICCV 2021 (rotation, scaling, frame sampling of its NW-UCLA recipe; crop and resize); Duan et al.,
*Revisiting Skeleton-based Action Recognition*, CVPR 2022, section 3.3 (uniform sampling).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Sample = NDArray[np.float32]
MIN_CROP = 64  # frames


def valid_frames(x: Sample) -> Sample:
    """The frames from the first to the last that holds a skeleton; a sample without any keeps one frame."""
    (present,) = np.nonzero(x.reshape(*x.shape[:2], -1).any(axis=2).any(axis=0))
    return x[:, present[0] : present[-1] + 1] if len(present) else x[:, :1]


def recorded_frames(x: Sample) -> Sample:
    """The valid frames, up to where they begin anew: NTU arrays are filled to 300 frames by repetition.

    Only exact copies are left out; where two persons are repeated at different rhythms, all frames stay.
    """
    x = valid_frames(x)
    T = x.shape[1]
    again = np.flatnonzero((x[0, 1:] == x[0, :1]).all(axis=(1, 2))) + 1  # one channel tells where to look closer
    return x[:, : next((t for t in again if np.array_equal(x[:, t:], x[:, : T - t])), T)]


def pad(x: Sample, size: int, begin: int = 0) -> Sample:
    """`size` frames of zeros with `x` placed at frame `begin`."""
    y = np.zeros((x.shape[0], size, *x.shape[2:]), x.dtype)
    y[:, begin : begin + x.shape[1]] = x
    return y


def random_choose(x: Sample, size: int, rng: Generator) -> Sample:
    """`size` successive frames from a random place, or, if there are fewer, all of them at a random place in zeros."""
    T = x.shape[1]
    begin = int(rng.integers(abs(T - size) + 1))
    return x[:, begin : begin + size] if size <= T else pad(x, size, begin)


def first_frames(x: Sample, size: int) -> Sample:
    """The first `size` frames; a shorter sample is followed by zeros."""
    return x[:, :size] if x.shape[1] >= size else pad(x, size)


def random_shift(x: Sample, rng: Generator) -> Sample:
    """Moves the valid frames to a random place among the T frames, zeros around them."""
    valid = valid_frames(x)
    T = x.shape[1]
    return pad(valid, T, int(rng.integers(T - valid.shape[1] + 1)))


def random_move(x: Sample, rng: Generator) -> Sample:
    """A camera that turns, zooms and shifts in the image plane, linearly from the first to the last frame.

    Start and end each draw an angle of -10 to 10 degrees (steps of 5), a scale of 0.9, 1 or 1.1, and shifts in x and y
    of -0.2 to 0.2 (steps of 0.1).
    """
    T = x.shape[1]
    candidates = ((-10, -5, 0, 5, 10), (0.9, 1, 1.1), *[(-0.2, -0.1, 0, 0.1, 0.2)] * 2)
    drawn = [rng.choice(values, 2) for values in candidates]
    degrees, scale, *shift = (np.linspace(start, end, T, dtype=np.float32) for start, end in drawn)
    angle = np.deg2rad(degrees)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    y = x.copy()
    y[:2] = np.einsum("ijt,jtvm->itvm", turn, x[:2]) + np.stack(shift)[:, :, None, None]
    return y


def mirror(x: Sample, partner: Sequence[int], axes: int = 3) -> Sample:
    """Left becomes right: joints change places with their `partner`, x changes sign (every `axes` channels)."""
    y = x.take(partner, axis=2)
    y[::axes] *= -1
    return y


def center(x: Sample, joint: int, *, person: Literal["first", "mean"] = "first") -> Sample:
    """Subtracts the place of `joint` in the first valid frame; what is empty stays empty.

    Args:
        person: whose joint: the first person's, in the first frame that holds that person; or the mean of all that
            the first valid frame holds.
    """
    seen = x[..., :1] if person == "first" else x
    frame = int(np.argmax(seen.any(axis=(0, 2, 3))))
    (there,) = np.nonzero(seen[:, frame].any(axis=(0, 1)))
    if not len(there):
        return x
    origin = seen[:, frame, joint, there].mean(axis=1, dtype=np.float64).astype(x.dtype)
    return np.where(present(x), x - origin[:, None, None, None], x)


def min_max(x: Sample) -> Sample:
    """Every channel to [-1, 1] by its extremes over all that is present; a constant channel becomes -1."""
    there = np.broadcast_to(present(x), x.shape)
    axes = (1, 2, 3)
    low = np.min(x, axis=axes, keepdims=True, where=there, initial=np.inf)
    high = np.max(x, axis=axes, keepdims=True, where=there, initial=-np.inf)
    return np.where(there, (x - low) / np.where(high > low, high - low, 1) * 2 - 1, 0).astype(x.dtype)


def random_rotation(x: Sample, degrees: Sequence[float], rng: Generator) -> Sample:
    """Turns about x, then y, then z by whole degrees, each drawn from [-d, d] of `degrees`."""
    drawn = [rng.integers(-d, d + 1) for d in np.round(degrees).astype(int)]
    R = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(drawn)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[b, a] = np.sin(angle)
        turn[a, b] = -np.sin(angle)
        R = turn @ R
    y = np.tensordot(R.astype(x.dtype), x.reshape(-1, 3, *x.shape[1:]), axes=(1, 1))
    return np.ascontiguousarray(y.swapaxes(0, 1).reshape(x.shape))


def random_scaling(x: Sample, bounds: Sequence[float], rng: Generator) -> Sample:
    """One factor for all axes, drawn evenly from `bounds` (low, high)."""
    low, high = bounds
    return x * x.dtype.type(rng.uniform(low, high))


def even_frames(x: Sample, size: int) -> Sample:
    """`size` frames, evenly spaced from the first to the last (indices rounded down)."""
    return x[:, np.linspace(0, x.shape[1] - 1, size).astype(int)]


def random_frames(x: Sample, size: int, rng: Generator) -> Sample:
    """`size` frames in order, one drawn from each of `size` equal stretches; short samples repeat frames."""
    T = x.shape[1]
    edges = np.arange(size) + rng.random(size)
    return x[:, np.minimum((edges * T / size).astype(int), T - 1)]


def crop_resize(x: Sample, size: int, p_interval: Sequence[float], rng: Generator) -> Sample:
    """A part of the frames, stretched or squeezed to `size` by linear interpolation.

    Args:
        p_interval: one share: so much from the middle; two: a share drawn between them, from a random place (of the
            longer samples, not less than `MIN_CROP` frames).
    """
    T = x.shape[1]
    if len(p_interval) == 1:
        begin = int((1 - p_interval[0]) * T / 2)
        length = T - 2 * begin
    else:
        low, high = p_interval
        length = min(max(int(T * rng.uniform(low, high)), MIN_CROP), T)
        begin = int(rng.integers(T - length + 1))
    place = np.clip((np.arange(size) + 0.5) * (length / size) - 0.5, 0, None)
    before = place.astype(int)
    after = np.minimum(before + 1, length - 1)
    share = (place - before).astype(x.dtype)[:, None, None]
    y = x[:, begin + before]
    y += share * (x[:, begin + after] - y)
    return y


def uniform_frames(x: Sample, size: int, rng: Generator) -> Sample:
    """`size` frames in order: one drawn from each of `size` equal stretches; short samples go round from anywhere.

    Of samples with less than twice as many frames, those that are left out are drawn.
    """
    T = x.shape[1]
    if size > T:
        frames = (rng.integers(T) + np.arange(size)) % T
    elif 2 * size > T:
        skipped = np.zeros(size + 1, int)
        skipped[rng.choice(size + 1, T - size, replace=False)] = 1
        frames = np.arange(size) + skipped.cumsum()[:-1]
    else:
        edges = np.arange(size + 1) * T // size
        frames = rng.integers(edges[:-1], edges[1:])
    return x[:, frames]


def jitter(x: Sample, deviation: float, rng: Generator) -> Sample:
    """Adds normal noise of this deviation to every number of the persons and frames that are there."""
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    noise *= deviation
    return x + noise * present(x)


def present(x: Sample) -> NDArray[np.bool_]:
    """(1, T, 1, M): the frame holds a skeleton of the person."""
    size = np.abs(x).sum(axis=0).swapaxes(1, 2) @ np.ones(x.shape[2], x.dtype)  # a product is faster than `any`
    return np.asarray(size != 0)[None, :, None, :]
