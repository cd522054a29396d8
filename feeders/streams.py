"""Streams that are made of joints: bones, motion, and several streams in one array.

Sources: Shi et al., *Two-Stream Adaptive Graph Convolutional Networks*, CVPR 2019, section 3.5 (bones); Shi et al.,
*Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph Convolutional Networks*, TIP 2020, section III-E
(motion). Axis legend: C channels, T frames, V joints, M persons; any axes may stand before these four.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STREAMS = ("joint", "bone", "joint_motion", "bone_motion")


def bones(joints: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """The vectors from each joint's parent to the joint, zero for the root: (..., C, T, V, M) -> same."""
    return joints - joints.take(parents, axis=-2)  # faster than indexing


def motion(x: np.ndarray) -> np.ndarray:
    """The vectors from each frame to the next, zero in the last frame: (..., C, T, V, M) -> same."""
    y = np.zeros_like(x)
    np.subtract(x[..., 1:, :, :], x[..., :-1, :, :], out=y[..., :-1, :, :])
    return y


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Several arrays (..., C, T, V, M), their channels one after the other: (..., sum of C, T, V, M)."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-4)


def derive(joints: np.ndarray, stream: str, parents: Sequence[int]) -> np.ndarray:
    """The stream of joints (..., C, T, V, M) that `stream` names.

    Args:
        joints: the joints.
        stream: one of `STREAMS`, or several of them joined by `+`, whose channels follow each other.
        parents: the bone parent of each joint (V,); used for bones only.

    Raises:
        ValueError: `stream` holds another name.
    """
    names = stream.split("+")
    if unknown := [name for name in names if name not in STREAMS]:
        raise ValueError(f"stream: {unknown[0]!r} is none of {', '.join(STREAMS)}, nor several of these joined by +")
    bone = bones(joints, parents) if "bone" in stream else joints
    parts = [bone if name.startswith("bone") else joints for name in names]
    return joined([motion(x) if name.endswith("motion") else x for name, x in zip(names, parts, strict=True)])
