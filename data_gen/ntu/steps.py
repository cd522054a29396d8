"""NTU RGB+D preprocessing as pure functions on arrays: choose, fill, centre, rotate.

Source: the preprocessing of 2s-AGCN (Shi et al., CVPR 2019) that ST-TR and most NTU publications share. It takes zeros
for positions in places; here a joint that is missing (zero, of a body that is present) is never used, and stays zero.
Axis legend: M bodies, T frames, V joints, C = x, y, z in metres. All functions compute in float64 and do not change
their input.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

SPINE_BASE, SPINE_MID, LEFT_SHOULDER, RIGHT_SHOULDER = 0, 1, 4, 8
_PARALLEL = 1e-6  # sine below which two directions count as (anti)parallel


class Kept(NamedTuple):
    """What is kept of a recording; `bodies[:, frames]` is what goes to the array."""

    bodies: np.ndarray  # (M, T', V, C), zero where a joint is not present
    present: np.ndarray  # (M, T', V) bool
    frames: np.ndarray  # (T,) indices of T', which may repeat
    length: int  # how many frames the body that is seen longest has before it repeats


def presence(bodies: np.ndarray) -> np.ndarray:
    """(M, T, V, C) -> (M, T, V) bool: which joints are present; this holds of bodies as recorded only."""
    x, y, z = np.moveaxis(bodies != 0, -1, 0)  # faster than any() over an axis of three
    return np.asarray(x | y | z)


def swaps(identity: np.ndarray) -> bool:
    """(M, T) numbers of identities, -1 where there is none -> whether one of them is in several places."""
    in_places = [np.unique(place[place >= 0]) for place in identity]
    return len(np.unique(np.concatenate(in_places))) < sum(map(len, in_places)) if in_places else False


def follow(bodies: np.ndarray, identity: np.ndarray, num_body: int = 16) -> np.ndarray:
    """(M, T, V, C) -> (at most num_body, T, V, C): a body for each identity (M, T), in the order of appearance.

    Of more identities those that are seen in the most frames are kept.
    """
    numbers, counts = np.unique(identity[identity >= 0], return_counts=True)
    kept = np.sort(numbers[np.argsort(-counts, kind="stable")[:num_body]])
    followed = np.zeros((len(kept), *bodies.shape[1:]))
    for body, number in zip(followed, kept, strict=True):
        place, frame = np.nonzero(identity == number)
        body[frame] = bodies[place, frame]
    return followed


def plain(bodies: np.ndarray, num_frame: int = 300, num_body: int = 2) -> Kept:
    """The first bodies and frames, and zeros after the last frame."""
    length = min(bodies.shape[1], num_frame)
    first = np.zeros((min(len(bodies), num_body), num_frame, *bodies.shape[2:]))
    first[:, :length] = bodies[:num_body, :num_frame]
    return Kept(first, presence(first), np.arange(num_frame), length)


def motion_energy(bodies: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(M, T, V, C), (M, T, V) -> (M,): std(x) + std(y) + std(z) of each body's joints; 0 if it is absent."""
    pairs = zip(bodies, present, strict=True)
    return np.array([body[joints].std(axis=0).sum() if joints.any() else 0.0 for body, joints in pairs])


def strongest(bodies: np.ndarray, present: np.ndarray, num_body: int = 2) -> np.ndarray:
    """The indices (at most num_body,) of the bodies with the largest motion energy, larger first.

    Absent bodies at the end are left out, because most recordings have one body; at least one must be present.
    """
    is_present = np.asarray(present.any(axis=(1, 2)))
    if is_present.sum() == 1:
        return np.flatnonzero(is_present)
    chosen = np.argsort(-motion_energy(bodies, present), kind="stable")[:num_body]
    return chosen[: np.flatnonzero(is_present[chosen])[-1] + 1]


def recorded(is_present: np.ndarray) -> np.ndarray:
    """(T,) bool, whether a frame holds the body -> (T',): the frames of the body that are repeated up to the end.

    If the body is absent from the first frame, they are only those that hold it; otherwise those up to the last that
    holds it, with the gaps between.
    """
    seen = np.flatnonzero(is_present)
    return seen if seen.size and seen[0] else np.arange(seen[-1] + 1 if seen.size else 1)


def origin(body: np.ndarray, present: np.ndarray, joint: int = SPINE_MID) -> np.ndarray:
    """(T, V, C), (T, V) -> (T, C): the joint in each frame, zero where the body is absent.

    Where only the joint is missing, it is where it was last, or else where it is first.
    """
    position, holds = body[:, joint], present[:, joint]
    lost = present.any(axis=1) & ~holds
    if lost.any() and holds.any():
        known = np.flatnonzero(holds)
        position = position.copy()
        position[lost] = position[known[np.maximum(np.searchsorted(known, np.flatnonzero(lost)) - 1, 0)]]
    return position


def rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation from direction `source` (3,) to `target` (3,), as a matrix (3, 3).

    It is the identity if one is zero or if they are (anti)parallel, because there is no axis to rotate about.
    """
    length = math.sqrt(source @ source) * math.sqrt(target @ target)
    if length == 0:
        return np.eye(3)
    (a, b, c), (d, e, f) = source.tolist(), target.tolist()
    x, y, z = axis = np.array([b * f - c * e, c * d - a * f, a * e - b * d]) / length  # ten times faster than np.cross
    cosine = source @ target / length
    if math.sqrt(axis @ axis) < _PARALLEL:
        return np.eye(3)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    # Rodrigues' formula; K holds the sine, so K @ K needs (1 - cos) / sin^2, written so that no digits cancel
    return np.eye(3) + K + K @ K * (1 / (1 + cosine) if cosine > 0 else (1 - cosine) / (axis @ axis))


def turn(
    bodies: np.ndarray, present: np.ndarray, start: int, end: int, direction: tuple[float, float, float]
) -> np.ndarray:
    """Rotate all so that joint `end` - joint `start` of body 0 points in `direction` (x, y, z).

    It does so in the first frame that holds both joints; without such a frame nothing is rotated.
    """
    holds = present[0, :, start] & present[0, :, end]
    if not holds.any():
        return bodies
    first = bodies[0, holds.argmax()]
    R = rotation(first[end] - first[start], np.array(direction))
    return (bodies.reshape(-1, 3) @ R.T).reshape(bodies.shape)  # one product for all frames


def preprocessed(bodies: np.ndarray, num_frame: int = 300, num_body: int = 2) -> Kept:
    """All steps: at most num_body bodies, num_frame frames, spine along z, shoulders along x."""
    present = presence(bodies)
    chosen = strongest(bodies, present, num_body)
    bodies, present = bodies[chosen], present[chosen]
    centre = origin(bodies[0], present[0])
    sources = [recorded(joints.any(axis=1)) for joints in present]
    length = min(max(map(len, sources)), num_frame)
    if len({tuple(source) for source in sources}) > 1:  # bodies repeat at different rhythms
        sources, T = [np.resize(source, num_frame) for source in sources], num_frame
    else:
        T = length
    rows, index = np.arange(len(chosen))[:, None], np.stack(sources)[:, :T]
    bodies, present = bodies[rows, index] - centre[index[0], None], present[rows, index]
    bodies[~present] = 0
    bodies = turn(bodies, present, SPINE_BASE, SPINE_MID, (0, 0, 1))
    bodies = turn(bodies, present, LEFT_SHOULDER, RIGHT_SHOULDER, (1, 0, 0))
    return Kept(bodies, present, np.arange(num_frame) % T, length)
