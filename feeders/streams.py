"""Streams that are made of joints: bones, motion, and several streams in one array.

Sources: Shi et al., *Two-Stream Adaptive Graph Convolutional Networks*, CVPR 2019, section 3.5 (bones); Shi et al.,
*Skeleton-Based Action Recognition with Multi-Stream Adaptive Graph Convolutional Networks*, TIP 2020, section III-E
(motion); Duan et al., *PYSKL: Towards Good Practices for Skeleton Action Recognition*, ACM MM 2022 (scores: the mean of
both ends); Chi et al., *InfoGCN*, CVPR 2022 (bones over several joints, which here end at the root); Zhang et al.,
*View Adaptive Recurrent Neural Networks*, ICCV 2017 (a centre in each frame, which loses the path of the body). Axis
legend: C channels, T frames, V joints, M persons; any axes may stand before these four. What is made of a missing joint
(NaN) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

# joints (..., C, T, V, M), parents (V,) -> (..., C', T, V, M)
Stream = Callable[[np.ndarray, Sequence[int]], np.ndarray]


def grandparents(parents: Sequence[int]) -> Sequence[int]:
    """The joint that is two bones nearer to the root than each joint, or the root: (V,)."""
    return [parents[v] for v in parents]


def bones(joints: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """The vectors from each joint's parent to the joint, zero for the root: (..., C, T, V, M) -> same."""
    return joints - joints.take(parents, axis=-2)  # faster than indexing


def motion(x: np.ndarray) -> np.ndarray:
    """The vectors from each frame to the next, zero in the last frame: (..., C, T, V, M) -> same."""
    y, last = np.empty_like(x), x[..., -1:, :, :]
    np.subtract(x[..., 1:, :, :], x[..., :-1, :, :], out=y[..., :-1, :, :])
    np.subtract(last, last, out=y[..., -1:, :, :])  # what is missing stays so
    return y


def trajectory(joints: np.ndarray) -> np.ndarray:
    """At every joint the person's centre in this frame, the mean of the joints that are there: (..., C, T, V, M)."""
    is_missing = np.isnan(joints)
    count = np.maximum((~is_missing).sum(axis=-2, keepdims=True), 1).astype(joints.dtype)
    return np.where(is_missing, joints, np.where(is_missing, 0, joints).sum(axis=-2, keepdims=True) / count)


def mean_of_ends(score: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """The scores of bones: the mean of those of both joints, (..., C, T, V, M) -> same."""
    return (score + score.take(parents, axis=-2)) / 2


def mean_of_frames(score: np.ndarray) -> np.ndarray:
    """The scores of motion: the mean of those of both frames, zero in the last frame, (..., C, T, V, M) -> same."""
    y = motion(score)
    y[..., :-1, :, :] = (score[..., 1:, :, :] + score[..., :-1, :, :]) / 2
    return y


STREAMS: Mapping[str, Stream] = {
    "joint": lambda joints, parents: joints,
    "bone": bones,
    "joint_motion": lambda joints, parents: motion(joints),
    "bone_motion": lambda joints, parents: motion(bones(joints, parents)),
    "bone2": lambda joints, parents: bones(joints, grandparents(parents)),
    "bone2_motion": lambda joints, parents: motion(bones(joints, grandparents(parents))),
    "local": lambda joints, parents: joints - trajectory(joints),
    "trajectory": lambda joints, parents: trajectory(joints),
}
SCORES: Mapping[str, Stream] = {  # of a stream that is not listed, a joint's score is its own
    "bone": mean_of_ends,
    "joint_motion": lambda score, parents: mean_of_frames(score),
    "bone_motion": lambda score, parents: mean_of_frames(mean_of_ends(score, parents)),
    "bone2": lambda score, parents: mean_of_ends(score, grandparents(parents)),
    "bone2_motion": lambda score, parents: mean_of_frames(mean_of_ends(score, grandparents(parents))),
}
WITHOUT_BONES = ("joint", "joint_motion", "local", "trajectory")  # these do not look at the parents
OF_BONES = ("joint", "joint_motion")  # of an array of bones these are bones and their motion
PLACES = ("joint", "trajectory")  # these are positions, the others differences of positions


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Several arrays (..., C, T, V, M), their channels one after the other: (..., sum of C, T, V, M)."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-4)


def names_in(stream: str, streams: Mapping[str, Stream] = STREAMS) -> list[str]:
    """The names of `streams` that `stream` joins by `+`.

    Raises:
        ValueError: it holds another name.
    """
    names = stream.split("+")
    if unknown := [name for name in names if name not in streams]:
        raise ValueError(f"stream: {unknown[0]!r} is none of {', '.join(streams)}, nor several of these joined by +")
    return names


def derive(
    joints: np.ndarray,
    stream: str,
    parents: Sequence[int],
    streams: Mapping[str, Stream] = STREAMS,
    *,
    score: int | None = None,
    groups: int = 1,
) -> np.ndarray:
    """The stream of joints (..., C, T, V, M) that `stream` names.

    Args:
        joints: the joints.
        stream: one of `streams`, or several of them joined by `+`, whose channels follow each other.
        parents: the bone parent of each joint (V,); `WITHOUT_BONES` ignore it.
        streams: what each name stands for.
        score: the channel that holds a score, which `SCORES` derive; None: all channels are coordinates.
        groups: how many equal parts of the channels have a score each, as joints and bones in one array.

    Raises:
        ValueError: `stream` holds another name.
    """
    names = names_in(stream, streams)
    if score is None:
        return joined([streams[name](joints, parents) for name in names])
    parts = []
    for name, group in product(names, np.split(joints, groups, axis=-4)):
        scores, coordinates = group[..., score : score + 1, :, :, :], np.delete(group, score, axis=-4)
        of_scores = SCORES[name](scores, parents) if name in SCORES else scores
        parts.append(np.insert(streams[name](coordinates, parents), [score], of_scores, axis=-4))
    return joined(parts)
