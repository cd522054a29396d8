"""Made-up NTU recordings for tests: arrays of bodies, and their `.skeleton` text."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def skeleton_text(bodies: np.ndarray, end: str = "\n") -> str:
    """`.skeleton` text of bodies (M, T, 25, 3); a frame lists its bodies up to the last that is not all zero."""
    lines = [str(bodies.shape[1])]
    for frame in bodies.transpose(1, 0, 2, 3):
        present = np.flatnonzero(frame.any(axis=(1, 2)))
        num_body = present[-1] + 1 if present.size else 0
        lines.append(str(num_body))
        for body in frame[:num_body]:
            lines += ["72057594037931101 0 1 1 1 1 0 0.02 -0.05 2", str(len(body))]
            lines += [f"{x!r} {y!r} {z!r} 277.4 191.8 NaN 519.1 -0.2 0.05 0.96 -0.1 2" for x, y, z in body.tolist()]
    return end.join([*lines, ""])


def random_bodies(rng: np.random.Generator, num_body: int, num_frame: int) -> np.ndarray:
    """Bodies (M, T, 25, 3) that come and go, with single joints lost; body 0 is present at least once."""
    bodies = rng.normal(size=(num_body, 1, 25, 3)) + 0.3 * rng.normal(size=(num_body, num_frame, 25, 3))
    bodies += np.array([0.0, 0.0, 3.0])
    present = rng.random((num_body, num_frame)) < rng.choice([0.3, 0.7, 1.0], size=(num_body, 1))
    for body in present:
        if rng.random() < 0.5:  # leave, or arrive, for good
            body[slice(rng.integers(num_frame)) if rng.random() < 0.5 else slice(rng.integers(num_frame), None)] = False
    present[0, rng.integers(num_frame)] = True
    bodies *= present[:, :, None, None]
    bodies[rng.random(bodies.shape[:3]) < 0.01] = 0
    return bodies


def write_recordings(folder: Path, names: list[str], *, num_frame: int = 4) -> None:
    """A random recording of one body under every name."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        text = skeleton_text(random_bodies(np.random.default_rng(seed), 1, num_frame))
        (folder / name).write_bytes(text.encode())
