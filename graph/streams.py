"""Streams of joint arrays: bones, motion, and joints with bones.

Sources: Shi et al., *Two-Stream Adaptive Graph Convolutional Networks*, CVPR 2019, section 3.5 (bones); Shi et al.,
*Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph Convolutional Networks*, TIP 2020, section III-E
(motion). Axis legend of (..., C, T, V, M): C channels, T frames, V joints, M persons; what comes before is free.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STREAMS = ("joint", "bone", "joint_motion", "bone_motion", "joint+bone")


def bones(joints: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """From each joint's parent to the joint; zero for the root: (..., C, T, V, M) -> same."""
    return joints - joints.take(parents, axis=-2)  # indexing would be slower


def motion(x: np.ndarray) -> np.ndarray:
    """From each frame to the next; zero in the last: (..., C, T, V, M) -> same."""
    y = np.zeros_like(x)
    np.subtract(x[..., 1:, :, :], x[..., :-1, :, :], out=y[..., :-1, :, :])
    return y


def joints_and_bones(joints: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """(..., C, T, V, M) twice -> (..., 2C, T, V, M), joints first."""
    return np.concatenate([joints, bone], axis=-4)


def derive(joints: np.ndarray, stream: str, parents: Sequence[int]) -> np.ndarray:
    """`stream`, one of `STREAMS`, of joints (..., C, T, V, M)."""
    x = bones(joints, parents) if "bone" in stream else joints
    if stream == "joint+bone":
        return joints_and_bones(joints, x)
    return motion(x) if stream.endswith("motion") else x
