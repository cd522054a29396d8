"""NTU recordings from raw text to preprocessed arrays as plain loops: slow, and easy to believe.

A joint whose x, y, z are zero is missing; it is no position for any step, and stays zero.

Line by line, frame by frame, body by body, joint by joint, and all over again for the second benchmark, as
preprocessing scripts of the field commonly do it. The truth of the tests, and what `benchmarks/preprocess.py`
compares with.
Axis legend: M bodies, T frames, V joints, C = x, y, z in metres.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import TextIO

import numpy as np

from data_gen.ntu.splits import NTU60, parse_name


def read(path: Path) -> list[list[list[list[float]]]]:
    """Per frame, per body, per joint: x, y, z."""
    with path.open() as file:
        return [[_read_body(file) for _ in range(int(file.readline()))] for _ in range(int(file.readline()))]


def _read_body(file: TextIO) -> list[list[float]]:
    file.readline()
    joints = []
    for _ in range(int(file.readline())):
        numbers = [float(number) for number in file.readline().split()]
        joints.append(numbers[:3])
    return joints


def to_array(frames: list[list[list[list[float]]]], num_body: int = 4) -> np.ndarray:
    """(M, T, V, C), the first `num_body` bodies of each frame."""
    bodies = np.zeros((num_body, len(frames), 25, 3))
    for t, frame in enumerate(frames):
        for m, body in enumerate(frame[:num_body]):
            for v, joint in enumerate(body):
                bodies[m, t, v] = joint
    return bodies


def preprocessed(bodies: np.ndarray, num_frame: int = 300) -> np.ndarray:
    """(M, T, V, C) -> (2, num_frame, V, C)."""
    order = sorted(range(len(bodies)), key=lambda m: -_energy(bodies[m]))[:2]
    spine = np.array(_fill(_spine(bodies[order[0]]), num_frame, like=bodies[order[0]]))
    sample = np.array([_fill(bodies[m], num_frame) for m in order])
    seen = (sample != 0).any(axis=3)  # (M, T, V)
    for body, joints in zip(sample, seen, strict=True):
        for t, frame in enumerate(body):
            if not _empty(frame):
                frame -= spine[t] * joints[t, :, None]
    for start, end, axis in ((0, 1, (0.0, 0.0, 1.0)), (4, 8, (1.0, 0.0, 0.0))):
        for t in range(num_frame):
            if seen[0, t, start] and seen[0, t, end]:
                _turn(sample, sample[0, t, end] - sample[0, t, start], np.array(axis))
                break
    return sample


def _spine(body: np.ndarray) -> np.ndarray:
    """(T, 1, C): joint 1; where it alone is missing, as in the last frame before (or else the first after) with it."""
    spine = body[:, 1:2].copy()
    holding = [t for t, frame in enumerate(body) if frame[1].any()]
    for t, frame in enumerate(body):
        if not _empty(frame) and holding and t not in holding:
            before = [other for other in holding if other < t]
            spine[t, 0] = body[before[-1] if before else holding[0], 1]
    return spine


def preprocess(data_path: Path, out_folder: Path) -> None:
    """What `python data_gen/preprocess.py --data_path ... --out_folder ...` writes of sound recordings."""
    paths = sorted(data_path.glob("*.skeleton"))
    for benchmark, split in NTU60.benchmarks.items():
        folder = out_folder / benchmark
        folder.mkdir(parents=True)
        for part in ("train", "val"):
            own = [path for path in paths if split.part(parse_name(path.name)) == part]
            shape = (len(own), 3, 300, 25, 2)
            array = np.lib.format.open_memmap(folder / f"{part}_data_joint.npy", "w+", np.float32, shape)
            for row, path in zip(array, own, strict=True):
                row[:] = preprocessed(to_array(read(path))).transpose(3, 1, 2, 0)
            labels = [int(path.name[17:20]) - 1 for path in own]
            (folder / f"{part}_label.pkl").write_bytes(pickle.dumps(([path.name for path in own], labels)))


def _empty(frame: np.ndarray) -> bool:
    return not frame.any()


def _energy(body: np.ndarray) -> float:
    seen = np.concatenate([frame[frame.any(axis=1)] for frame in body])
    return sum(float(seen[:, axis].std()) for axis in range(3)) if len(seen) else 0.0


def _fill(values: np.ndarray, num_frame: int, like: np.ndarray | None = None) -> list[np.ndarray]:
    """The values of a body's frames (T, ...), repeated as the body `like`, or they themselves, must be."""
    body = values if like is None else like
    frames, kept = list(values), [not _empty(frame) for frame in body]
    if not any(kept):
        return [np.zeros_like(values[0])] * num_frame
    if not kept[0]:
        frames = [frame for frame, is_kept in zip(frames, kept, strict=True) if is_kept]
        kept = [True] * len(frames)
    while not kept[-1]:
        frames.pop()
        kept.pop()
    own = list(frames)
    while len(frames) < num_frame:
        frames += own
    return frames[:num_frame]


def _turn(bodies: np.ndarray, source: np.ndarray, target: np.ndarray) -> None:
    """Rotate in place about source x target by the angle between them, one product a joint."""
    matrix = _rotation(source, target)
    for body in bodies:
        for frame in body:
            if _empty(frame):
                continue
            for v, joint in enumerate(frame):
                frame[v] = np.dot(matrix, joint)


def _rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation's matrix by way of its unit quaternion (Euler and Rodrigues)."""
    axis = np.cross(source, target)
    if np.linalg.norm(axis) == 0:
        return np.eye(3)
    axis = axis / np.linalg.norm(axis)
    angle = math.acos(np.clip(source @ target / np.linalg.norm(source) / np.linalg.norm(target), -1, 1))
    w = math.cos(angle / 2)
    x, y, z = axis * math.sin(angle / 2)
    return np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
        ]
    )
