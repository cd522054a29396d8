"""Skeletons as a report plays them: a byte a coordinate, few frames, the plane that shows most.

Axis legend: C channels, T frames, V joints, M persons.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import numpy as np

from feeders.arrays import (
    JOINT,
    beside,
    load_array,
    load_lengths,
    load_missing,
    load_prepared,
    skeleton_of_array,
    stream_in,
)
from feeders.layout import Layout
from feeders.presence import evenly, present_joints, spans

MOST_FRAMES = 60  # of a sample; of longer ones evenly spaced frames
ABSENT = 255  # the byte of a coordinate of a joint that is missing
FRAME_RATE = 30.0  # where the data do not tell


class Skeletons:
    """The skeletons of an array of joints, or of the joints beside an array of bones.

    Raises:
        ValueError: nothing is known that could be drawn; the message says why.
    """

    def __init__(self, data_path: str) -> None:
        path = data_path if stream_in(data_path) == "joint" else beside(data_path, JOINT)
        self.data = load_array(path)
        _, _, _, V, _ = self.data.shape
        self.skeleton = skeleton_of_array(path, V)
        self.lengths, self.missing, self.prepared = load_lengths(path), load_missing(path), load_prepared(path)
        layout = Layout.of_array(path)
        self.channels, self.scored, self.down = layout.drawn, layout.is_scored, layout.is_down
        if len(self.channels) < 2:
            raise ValueError(f"{path} has {len(self.channels)} coordinate, two are needed to draw a skeleton")

    def about(self, indices: Iterable[int]) -> dict[str, Any]:
        """What the skeletons of all samples share: bones, sides (1 left, 2 right), which channel is up, time."""
        spread = np.zeros(len(self.channels))
        for x in map(self.joints, indices):
            persons = x.reshape(-1, self.skeleton.num_point, len(self.channels))  # of each frame
            persons = persons[np.isfinite(persons).any(axis=(1, 2))]
            spread += np.nanstd(persons, axis=1).sum(axis=0)
        sides = [1 if "left" in name.lower() else 2 if "right" in name.lower() else 0 for name in self.skeleton.joints]
        return {
            "joints": list(self.skeleton.joints),
            "parents": list(self.skeleton.graph_parents or self.skeleton.parents),
            "sides": sides,
            "dims": len(self.channels),
            "up": int(spread.argmax()) if len(spread) == 3 else 1,
            "down": self.down,
            "rate": (self.prepared and self.prepared.frame_rate) or FRAME_RATE,
        }

    def joints(self, index: int) -> np.ndarray:
        """The coordinates (T, M * V, C) of the recorded frames with persons, NaN where a joint is missing."""
        sample = np.array(self.data[index], np.float64)  # (C, T, V, M)
        x, T = sample[self.channels], sample.shape[1]
        is_present = present_joints(sample, None if self.missing is None else self.missing[index])  # (T, V, M)
        x = np.where(is_present & np.isfinite(x), x, np.nan)
        begin, end = spans(is_present.any(axis=(1, 2)))
        if self.lengths is not None:
            end = np.minimum(end, self.lengths[index] or T)
        x = x[:, begin:end].transpose(1, 3, 2, 0)  # (T, M, V, C)
        return x.reshape(len(x), x.shape[1] * x.shape[2], x.shape[3])

    def quantised(self, index: int) -> dict[str, Any] | None:
        """A sample for the player, None where nobody is in it: frames and bytes (T, M, V, C) in base 64."""
        x = self.joints(index)
        if not np.isfinite(x).any():
            return None
        V = self.skeleton.num_point
        persons = np.isfinite(x).any(axis=(0, 2)).reshape(-1, V).any(axis=1)
        x = x[:, persons.repeat(V)]
        frames = evenly(len(x), MOST_FRAMES)
        low, high = np.nanmin(x, axis=(0, 1)), np.nanmax(x, axis=(0, 1))
        scale = float((high - low).max()) or 1.0  # the same for all channels, so that a body keeps its shape
        values = (x[frames] - (low + high) / 2) / scale * 253 + 127  # 0.5 to 253.5
        packed = np.where(np.isnan(values), ABSENT, values.round()).astype(np.uint8)
        return {"t": len(frames), "of": len(x), "x": b64encode(packed.tobytes()).decode()}
