"""The preprocessing of NTU recordings as plain loops, frame by frame and joint by joint: slow, and easy to believe."""

from __future__ import annotations

import math

import numpy as np


def _empty(frame: np.ndarray) -> bool:
    return not frame.any()


def _energy(body: np.ndarray) -> float:
    points = [point for frame in body if not _empty(frame) for point in frame]
    if not points:
        return 0.0
    total = 0.0
    for axis in range(3):
        values = [float(point[axis]) for point in points]
        mean = math.fsum(values) / len(values)
        total += math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return total


def _fill(body: np.ndarray, num_frame: int) -> list[np.ndarray]:
    frames = list(body)
    if all(map(_empty, frames)):
        return [np.zeros((25, 3))] * num_frame
    if _empty(frames[0]):
        frames = [frame for frame in frames if not _empty(frame)]
    while _empty(frames[-1]):
        frames.pop()
    own = list(frames)
    while len(frames) < num_frame:
        frames += own
    return frames[:num_frame]


def _turn(points: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rotate points (..., 3) about source x target by the angle between them, one Rodrigues formula a point."""
    axis = np.cross(source, target)
    if np.linalg.norm(axis) == 0:
        return points
    axis = axis / np.linalg.norm(axis)
    angle = math.acos(np.clip(source @ target / np.linalg.norm(source) / np.linalg.norm(target), -1, 1))
    turned = np.zeros_like(points)
    for index in np.ndindex(points.shape[:-1]):
        point = points[index]
        turned[index] = (
            point * math.cos(angle)
            + np.cross(axis, point) * math.sin(angle)
            + axis * (axis @ point) * (1 - math.cos(angle))
        )
    return turned


def preprocessed(bodies: np.ndarray, num_frame: int = 300) -> np.ndarray:
    """(M, T, V, C) -> (2, num_frame, V, C)."""
    order = sorted(range(len(bodies)), key=lambda index: -_energy(bodies[index]))[:2]
    sample = np.array([_fill(bodies[index], num_frame) for index in order])
    spine = sample[0, :, 1].copy()
    for body, frame, joint in np.ndindex(sample.shape[:3]):
        if sample[body, frame, joint].any():
            sample[body, frame, joint] -= spine[frame]
    sample = _turn(sample, sample[0, 0, 1] - sample[0, 0, 0], np.array([0.0, 0.0, 1.0]))
    return _turn(sample, sample[0, 0, 8] - sample[0, 0, 4], np.array([1.0, 0.0, 0.0]))
