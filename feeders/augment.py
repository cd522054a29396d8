"""Augmentations: pure functions on one sample (C, T, V, M); those that draw numbers take the generator `rng`.

Axis legend: C channels, T frames, V joints, M persons. All channels that geometry gets are coordinates (x, y, z; twice
three where joints and bones are joined): the feeder keeps scores away from it. A missing joint is NaN in all channels,
so that nothing made of it is a number; so are all joints of a person who is absent from a frame, and all of padding.
The feeder makes them zero in the end.
Sources: Yan et al., AAAI 2018 (choose, shift, move); Chen et al., *Channel-wise Topology Refinement Graph
Convolution*, ICCV 2021 (rotation, scaling, frame sampling of its NW-UCLA recipe; crop and resize); Duan et al.,
*Revisiting Skeleton-based Action Recognition*, CVPR 2022, section 3.3 (uniform sampling).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from feeders.presence import any_joint, spans

Sample = NDArray[np.float32]
MIN_CROP = 64  # frames


def present(x: Sample) -> NDArray[np.bool_]:
    """(T, M): whether the frame holds the person, that is, any joint."""
    return any_joint(~np.isnan(x[0]))


def pad(x: Sample, size: int, begin: int = 0) -> Sample:
    """`size` frames that hold nobody (NaN), with `x` placed at frame `begin`."""
    y = np.full((x.shape[0], size, *x.shape[2:]), np.nan, x.dtype)
    y[:, begin : begin + x.shape[1]] = x
    return y


def random_choose(x: Sample, size: int, rng: Generator) -> Sample:
    """`size` successive frames from a random place; a shorter sample goes to a random place among frames of nobody."""
    T = x.shape[1]
    begin = int(rng.integers(abs(T - size) + 1))
    return x[:, begin : begin + size] if size <= T else pad(x, size, begin)


def first_frames(x: Sample, size: int) -> Sample:
    """The first `size` frames; a shorter sample is followed by frames of nobody."""
    return x[:, :size] if x.shape[1] >= size else pad(x, size)


def random_shift(x: Sample, rng: Generator) -> Sample:
    """Moves the valid frames to a random place among the T frames; the other frames hold nobody."""
    begin, end = spans(present(x).any(axis=1))
    valid, T = x[:, begin : max(end, 1)], x.shape[1]
    return pad(valid, T, int(rng.integers(T - valid.shape[1] + 1)))


def random_move(x: Sample, rng: Generator, *, axes: int = 0, places: Sequence[bool] | None = None) -> Sample:
    """Turns, scales and shifts x and y, as a moving camera does, linearly from the first to the last frame.

    For each of these two frames are drawn an angle of -10 to 10 degrees (steps of 5), a scale of 0.9, 1 or 1.1, and
    shifts in x and y of -0.2 to 0.2 (steps of 0.1).

    Args:
        x: (C, T, V, M).
        rng: draws.
        axes: number of channels of a group, of which x and y are the first.
        places: whether each group holds positions; vectors, such as bones, are not shifted. None: as published, the
            first two channels are positions, and the others stay.
    """
    T = x.shape[1]
    candidates = ((-10, -5, 0, 5, 10), (0.9, 1, 1.1), *[(-0.2, -0.1, 0, 0.1, 0.2)] * 2)
    drawn = [rng.choice(values, 2) for values in candidates]
    degrees, scale, *shift = (np.linspace(start, end, T, dtype=np.float32) for start, end in drawn)
    angle = np.deg2rad(degrees)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    shifts = np.stack(shift)[:, :, None, None]
    if places is None:
        places, axes = [True], len(x)
    y = x.copy()
    for is_place, first in zip(places, range(0, len(x), axes), strict=False):
        y[first : first + 2] = np.einsum("ijt,jtvm->itvm", turn, x[first : first + 2]) + is_place * shifts
    return y


def mirror(
    x: Sample, partner: Sequence[int], xs: Sequence[int] | None = None, *, about: Mapping[int, float] | None = None
) -> Sample:
    """Exchanges left and right: joints change places with their `partner`, and x changes its sign.

    Args:
        x: (C, T, V, M).
        partner: the joint on the other side of every joint (V,).
        xs: the channels that are x; None: every third.
        about: where the mirror stands for some of these channels, instead of at 0.
    """
    y = x.take(partner, axis=2)
    y[list(range(0, len(x), 3) if xs is None else xs)] *= -1
    for channel, place in (about or {}).items():
        y[channel] += x.dtype.type(2 * place)
    return y


def extent(x: Sample, channel: int) -> tuple[float, float]:
    """The lowest and the highest number of a channel; 0, 0 if there is none."""
    low, high = np.fmin.reduce(x[channel], axis=None), np.fmax.reduce(x[channel], axis=None)
    return (float(low), float(high)) if low <= high else (0.0, 0.0)


def center(
    x: Sample, joint: int, *, person: Literal["first", "mean"] = "first", groups: Sequence[str] = ("joint",)
) -> Sample:
    """Subtracts the position of `joint` in the first frame that holds it from all positions.

    Args:
        x: (C, T, V, M).
        joint: its number, from 0.
        person: `first`: the joint of the first person, in the first frame that holds it; `mean`: the mean over all
            persons who have it in the first frame where anybody has it.
        groups: `joint` or `bone` for each equal part of the channels; bones have no place, and stay.
    """
    holds = ~np.isnan(x[0, :, joint])
    if person == "first":
        holds = holds[:, :1]
    frame = int(np.argmax(holds.any(axis=1)))
    (persons,) = np.nonzero(holds[frame])
    if not len(persons):
        return x
    origin = x[:, frame, joint, persons].mean(axis=1, dtype=np.float64).astype(x.dtype)
    origin.reshape(len(groups), -1)[[kind == "bone" for kind in groups]] = 0
    return x - origin[:, None, None, None]


def min_max(x: Sample) -> Sample:
    """Scales every channel to [-1, 1] by its lowest and highest value; a constant channel becomes -1."""
    low, high = (bound.reduce(x, axis=(1, 2, 3), keepdims=True) for bound in (np.fmin, np.fmax))
    return ((x - low) / np.where(high > low, high - low, 1) * 2 - 1).astype(x.dtype)


def random_rotation(x: Sample, degrees: Sequence[float], rng: Generator, *, order: str = "xyz") -> Sample:
    """Rotates about each axis by whole degrees drawn from [-d, d], where d is its entry of `degrees` (x, y, z).

    `order` names the axes, that of the first rotation first. Coordinates are columns: a positive angle about z turns x
    towards y.
    """
    drawn = np.deg2rad([rng.integers(-d, d + 1) for d in np.round(degrees).astype(int)])
    R = np.eye(3)
    for axis in map("xyz".index, order):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(drawn[axis])
        turn[b, a] = np.sin(drawn[axis])
        turn[a, b] = -np.sin(drawn[axis])
        R = turn @ R
    y = np.tensordot(R.astype(x.dtype), x.reshape(-1, 3, *x.shape[1:]), axes=(1, 1))  # of each group of channels
    return np.ascontiguousarray(y.swapaxes(0, 1).reshape(x.shape))


def random_scaling(x: Sample, bounds: Sequence[float], rng: Generator) -> Sample:
    """Multiplies all channels by one factor, drawn uniformly from `bounds` (low, high)."""
    low, high = bounds
    return x * x.dtype.type(rng.uniform(low, high))


def even_frames(x: Sample, size: int) -> Sample:
    """`size` frames, evenly spaced from the first to the last (indices rounded down)."""
    return x[:, np.linspace(0, x.shape[1] - 1, size).astype(int)]


def random_frames(x: Sample, size: int, rng: Generator) -> Sample:
    """`size` frames in order, one drawn from each of `size` equal intervals; short samples repeat frames."""
    T = x.shape[1]
    edges = np.arange(size) + rng.random(size)
    return x[:, np.minimum((edges * T / size).astype(int), T - 1)]


def drawn_frames(x: Sample, size: int, rng: Generator) -> Sample:
    """`size` frames in order, drawn without replacement from 100 copies of each frame, as in CTR-GCN."""
    T = x.shape[1]
    copies = max(100, -(-size // T))
    return x[:, np.sort(rng.choice(copies * T, size, replace=False) % T)]


def crop_resize(
    x: Sample, size: int, p_interval: Sequence[float], rng: Generator, *, min_crop: int = MIN_CROP
) -> Sample:
    """Crops successive frames and resizes them to `size` frames by linear interpolation.

    Args:
        x: (C, T, V, M).
        size: number of frames of the result.
        p_interval: the share of the frames that is cropped. One number: from the middle. Two numbers: drawn between
            them, from a random place.
        rng: draws.
        min_crop: the least number of frames that is drawn; a sample that has fewer keeps all.
    """
    T = x.shape[1]
    if len(p_interval) == 1:
        begin = int((1 - p_interval[0]) * T / 2)
        length = T - 2 * begin
    else:
        low, high = p_interval
        length = min(max(int(T * rng.uniform(low, high)), min_crop), T)
        begin = int(rng.integers(T - length + 1))
    place = np.clip((np.arange(size) + 0.5) * (length / size) - 0.5, 0, None)
    before = place.astype(int)
    share = (place - before).astype(x.dtype)
    after = np.where(share > 0, np.minimum(before + 1, length - 1), before)  # a joint may be missing in the next frame
    share = share[:, None, None]
    y = x[:, begin + before]
    y += share * (x[:, begin + after] - y)
    return y


def uniform_frames(x: Sample, size: int, rng: Generator, *, start: int | None = None) -> Sample:
    """`size` frames in order, one drawn from each of `size` equal intervals.

    Of a sample with fewer than 2 * `size` frames, the frames that are left out are drawn instead; a sample with fewer
    than `size` frames is repeated from the frame `start` on, or from a random one.
    """
    T = x.shape[1]
    if size > T:
        frames = ((rng.integers(T) if start is None else start) + np.arange(size)) % T
    elif 2 * size > T:
        skipped = np.zeros(size + 1, int)
        skipped[rng.choice(size + 1, T - size, replace=False)] = 1
        frames = np.arange(size) + skipped.cumsum()[:-1]
    else:
        edges = np.arange(size + 1) * T // size
        frames = rng.integers(edges[:-1], edges[1:])
    return x[:, frames]


def jitter(x: Sample, deviation: float, rng: Generator) -> Sample:
    """Adds normal noise of this standard deviation to every number."""
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    noise *= deviation
    return x + noise
