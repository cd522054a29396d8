"""Augmentations of bodies: lengths of bones and the order of persons; as those of `augment`.

Axis legend: C channels, T frames, V joints, M persons. A missing joint is NaN in all channels, and an absent person
(`arrays.present`) zero: neither is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.random import Generator

from feeders.arrays import present
from feeders.augment import Sample


def random_bone_lengths(
    x: Sample, parents: Sequence[int], bounds: Sequence[float], rng: Generator, *, groups: Sequence[str] = ("joint",)
) -> Sample:
    """Multiplies the length of each bone of each person by a factor, the same in all frames.

    The root stays, and what lies behind a bone moves with its end; behind a bone with a missing end nothing moves.
    Source: the bone length adaption of Do and Kim, *SkateFormer*, ECCV 2024, which takes the lengths of another sample;
    here they are drawn.

    Args:
        x: coordinates (C, T, V, M).
        parents: the bone parent of each joint (V,).
        bounds: the lowest and the highest factor.
        rng: draws the factors (V, M), uniformly.
        groups: `joint` or `bone` for each equal part of the channels.
    """
    low, high = bounds
    longer = rng.uniform(low, high, x.shape[2:]).astype(x.dtype)
    parts = []
    for part, kind in zip(np.split(x, len(groups)), groups, strict=True):
        if kind == "bone":
            parts.append(part * longer)
            continue
        more = np.nan_to_num(part - part.take(parents, axis=2)) * (longer - 1)
        parts.append(part + np.einsum("vu,ctum->ctvm", _paths(tuple(parents)).astype(x.dtype), more))
    return np.concatenate(parts)


@cache
def _paths(parents: tuple[int, ...]) -> np.ndarray:
    """(V, V) bool: whether the way from the root to joint v leads over the bone that ends in joint u."""
    paths = np.eye(len(parents), dtype=bool)
    for v, place in enumerate(parents):
        while not paths[v, place]:
            paths[v, place] = True
            place = parents[place]
    return paths


def exchange_persons(x: Sample, rng: Generator) -> Sample:
    """Puts the persons who are in the sample at any time in an order drawn among all: (C, T, V, M) -> same.

    Source: the entity rearrangement of Wen et al., *Interactive Spatiotemporal Token Attention Network*, IROS 2023.
    """
    (who,) = np.nonzero(present(x).any(axis=0))
    y = x.copy()
    y[..., who] = x[..., rng.permutation(who)]
    return y
