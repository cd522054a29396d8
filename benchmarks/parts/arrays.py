"""Prepared sets as data generation writes them, of random numbers in which the classes can be told."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from feeders.arrays import LENGTH, PREPARED, beside

DIFFERENT = 256  # samples that differ; the others repeat them


def write_part(
    folder: Path, part: str, num_sample: int, shape: tuple[int, int, int, int], num_class: int, *, sparse: bool = False
) -> dict[str, Any]:
    """Writes `{part}_data_joint.npy` (N, C, T, V, M) and the files beside it; returns the feeder's arguments.

    Args:
        sparse: only the first samples are written; the rest is a hole in the file, which reads as zeros.
    """
    rng = np.random.default_rng(0)
    T = shape[1]
    number = min(DIFFERENT, num_sample)
    x = rng.standard_normal((number, *shape), dtype=np.float32)
    x[:, :, :, :, 1:] *= (np.arange(number) % 2)[:, None, None, None, None]  # every other sample has one person
    label = np.arange(num_sample) % number % num_class
    wave = np.sin(np.arange(T)[:, None] * (1 + np.arange(num_class)) / 8)  # (T, classes)
    x[:, 0, :, :, 0] += wave.T[label[:number]][:, :, None]
    path = folder / f"{part}_data_joint.npy"
    data = np.lib.format.open_memmap(path, "w+", np.float32, (num_sample, *shape))
    for start in range(0, number if sparse else num_sample, number):
        data[start : start + number] = x[: min(number, num_sample - start)]
    data.flush()
    np.save(beside(path, LENGTH), np.full(num_sample, T, np.int32))
    beside(path, PREPARED).write_text("channels: {names: [x, y, z], unit: metres}\n")
    names = [f"S001C001P{i % 100:03d}R001A{c + 1:03d}.{i}" for i, c in enumerate(label)]
    (folder / f"{part}_label.pkl").write_bytes(pickle.dumps((names, label.tolist()), protocol=2))
    return {"data_path": str(path), "label_path": str(folder / f"{part}_label.pkl")}
