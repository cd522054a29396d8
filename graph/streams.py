"""Streams of joint arrays: bones, motion, and several of them beside each other.

Sources: Shi et al., *Two-Stream Adaptive Graph Convolutional Networks*, CVPR 2019, section 3.5 (bones); Shi et al.,
*Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph Convolutional Networks*, TIP 2020, section III-E
(motion). Axis legend of (..., C, T, V, M): C channels, T frames, V joints, M persons; what comes before is free.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STREAMS = ("joint", "bone", "joint_motion", "bone_motion")


def bones(joints: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """From each joint's parent to the joint; zero for the root: (..., C, T, V, M) -> same."""
    return joints - joints.take(parents, axis=-2)  # indexing would be slower


def motion(x: np.ndarray) -> np.ndarray:
    """From each frame to the next; zero in the last: (..., C, T, V, M) -> same."""
    y = np.zeros_like(x)
    np.subtract(x[..., 1:, :, :], x[..., :-1, :, :], out=y[..., :-1, :, :])
    return y


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """(..., C, T, V, M) several times -> (..., sum of C, T, V, M), in order."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-4)


def derive(joints: np.ndarray, stream: str, parents: Sequence[int]) -> np.ndarray:
    """`stream` of joints (..., C, T, V, M): one of `STREAMS`, or several of them joined by `+`, beside each other.

    Raises:
        ValueError: `stream` is nothing of the kind.
    """
    names = stream.split("+")
    if unknown := [name for name in names if name not in STREAMS]:
        raise ValueError(f"stream: {unknown[0]!r} is none of {', '.join(STREAMS)}, nor several of these joined by +")
    bone = bones(joints, parents) if "bone" in stream else joints
    parts = [bone if name.startswith("bone") else joints for name in names]
    return joined([motion(x) if name.endswith("motion") else x for name, x in zip(names, parts, strict=True)])
