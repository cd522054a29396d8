"""Recordings in memory, and the calls that read files of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.formats.reading import read
from data_gen.formats.recording import Recording
from graph.tools import Skeleton


def chain(num_point: int, prefix: str = "j") -> Skeleton:
    parents = tuple(max(v - 1, 0) for v in range(num_point))
    return Skeleton("chain", tuple(f"{prefix}{v}" for v in range(num_point)), parents)


def moves(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers with three decimals, none of them zero."""
    return np.random.default_rng(seed).uniform(0.1, 2, size=shape).round(3)


def one(path: Path, **options: Any) -> Recording:
    (recording,) = read(path, **options)
    return recording


def read_text(folder: Path, text: str | bytes, name: str = "a.csv", **options: Any) -> Recording:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return one(folder / name, **options)


def read_content(folder: Path, content: Any, name: str = "a.json", **options: Any) -> Recording:
    return read_text(folder, json.dumps(content), name, **options)
