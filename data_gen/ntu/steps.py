"""NTU RGB+D preprocessing as pure functions on arrays: choose, fill, centre, rotate.

Source: the preprocessing of 2s-AGCN (Shi et al., CVPR 2019) that ST-TR and most NTU publications share.
Axis legend: M bodies, T frames, V joints, C = x, y, z in metres. All functions compute in float64 and do not change
their input.
"""

from __future__ import annotations

import numpy as np

SPINE_BASE, SPINE_MID, LEFT_SHOULDER, RIGHT_SHOULDER = 0, 1, 4, 8
_PARALLEL = 1e-6  # sine below which two directions count as (anti)parallel


def presence(bodies: np.ndarray) -> np.ndarray:
    """(M, T, V, C) -> (M, T) bool: `feeders.arrays.present` for this order of axes."""
    return np.asarray(bodies.any(axis=(-2, -1)))


def plain(bodies: np.ndarray, num_frame: int = 300, num_body: int = 2) -> np.ndarray:
    """(M, T, V, C) -> (at most num_body, at most num_frame, V, C): the first bodies and frames."""
    return bodies[:num_body, :num_frame]


def motion_energy(bodies: np.ndarray) -> np.ndarray:
    """(M, T, V, C) -> (M,): std(x) + std(y) + std(z) over the joints and frames of each body; 0 if it is absent."""
    present = presence(bodies)
    return np.array(
        [body[seen].std(axis=(0, 1)).sum() if seen.any() else 0.0 for body, seen in zip(bodies, present, strict=True)]
    )


def strongest(bodies: np.ndarray, num_body: int = 2) -> np.ndarray:
    """(M, T, V, C) -> (at most num_body, T, V, C): the bodies with the largest motion energy, larger first.

    Absent bodies at the end are left out, because most recordings have one body; at least one must be present.
    """
    chosen = bodies[np.argsort(-motion_energy(bodies), kind="stable")[:num_body]]
    return chosen[: np.flatnonzero(presence(chosen).any(axis=1))[-1] + 1]


def fill(bodies: np.ndarray, num_frame: int = 300) -> np.ndarray:
    """(M, T, V, C) -> (M, num_frame, V, C): each body's frames, repeated cyclically up to `num_frame`.

    If a body is absent from the first frame, only the frames that hold it are repeated, one after the other; otherwise
    its frames up to the last that holds it are repeated, with their gaps. An absent body stays zero.
    """
    filled = np.zeros((len(bodies), num_frame, *bodies.shape[2:]))
    for target, body, present in zip(filled, bodies, presence(bodies), strict=True):
        seen = np.flatnonzero(present)
        if seen.size:
            source = np.arange(seen[-1] + 1) if present[0] else seen
            target[:] = body[source[np.arange(num_frame) % source.size]]
    return filled


def centre(bodies: np.ndarray, joint: int = SPINE_MID) -> np.ndarray:
    """Subtract body 0's `joint`, frame by frame, from all joints that are not zero: (M, T, V, C) -> same."""
    centred = bodies - bodies[0, :, joint, None]
    x, y, z = np.moveaxis(bodies, -1, 0) == 0  # three comparisons are faster than any() over an axis of three
    centred[x & y & z] = 0
    return centred


def rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The smallest rotation from direction `source` (3,) to `target` (3,), as a matrix (3, 3).

    It is the identity if one is zero or if they are (anti)parallel, because there is no axis to rotate about.
    """
    length = np.linalg.norm(source) * np.linalg.norm(target)
    if length == 0:
        return np.eye(3)
    axis, cosine = np.cross(source, target) / length, source @ target / length
    if np.linalg.norm(axis) < _PARALLEL:
        return np.eye(3)
    x, y, z = axis
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    # Rodrigues' formula; K holds the sine, so K @ K needs (1 - cos) / sin^2, written so that no digits cancel
    return np.eye(3) + K + K @ K * (1 / (1 + cosine) if cosine > 0 else (1 - cosine) / (axis @ axis))


def turn(bodies: np.ndarray, start: int, end: int, direction: tuple[float, float, float]) -> np.ndarray:
    """Rotate all so that joint `end` - joint `start` of body 0 in frame 0 points in `direction` (x, y, z)."""
    first = bodies[0, 0]
    R = rotation(first[end] - first[start], np.array(direction))
    return (bodies.reshape(-1, 3) @ R.T).reshape(bodies.shape)  # one product for all frames


def preprocessed(bodies: np.ndarray, num_frame: int = 300, num_body: int = 2) -> np.ndarray:
    """(M, T, V, C) -> (at most num_body, num_frame, V, C): all steps, spine along z, shoulders along x."""
    sample = centre(fill(strongest(bodies, num_body), num_frame))
    sample = turn(sample, SPINE_BASE, SPINE_MID, (0, 0, 1))
    return turn(sample, LEFT_SHOULDER, RIGHT_SHOULDER, (1, 0, 0))
