"""Parts of a recording that get labels: windows of its frames, and its persons alone.

Axis legend: T frames, M persons, V joints, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, takewhile
from typing import NamedTuple

import numpy as np

from data_gen.formats.persons import follow
from data_gen.formats.recording import Recording


class Options(NamedTuple):
    """How recordings are cut and labelled: see `Recognizer.predict`."""

    top_k: int = 5
    window: float | None = None
    every: float | None = None
    per_person: bool = False
    frame_rate: float | None = None

    def check(self) -> None:
        """Refuses values that make no sense, with a ValueError."""
        if self.top_k < 1:
            raise ValueError(f"top_k: {self.top_k} must be at least 1")
        for name in ("window", "every", "frame_rate"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: {value} must be a number above 0")
        if self.every is not None and self.window is None:
            raise ValueError("every: is the time from window to window; give the length of a window, too (--window)")


@dataclass(frozen=True)
class Windows:
    """Windows of `size` frames, one every `step` frames on average; the last one ends with the recording."""

    size: int
    step: float

    @classmethod
    def of_seconds(cls, window: float, every: float, frame_rate: float) -> Windows:
        """Windows of so many seconds, one every so many; at least a frame each."""
        return cls(max(round(window * frame_rate), 1), max(every * frame_rate, 1.0))

    def start(self, number: int) -> int:
        """The first frame of a window that is not the last."""
        return round(number * self.step)

    def spans(self, T: int) -> Iterator[tuple[int, int]]:
        """The first frame, and the frame after the last, of each window of T frames."""
        last = max(T - self.size, 0)
        for start in takewhile(lambda start: start < last, map(self.start, count())):
            yield start, start + self.size
        yield last, T


def part(recording: Recording, frames: slice, persons: slice = slice(None)) -> Recording:
    """Some frames and places of persons of a recording."""
    return replace(
        recording,
        joints=recording.joints[frames, persons],
        present=recording.present[frames, persons],
        identity=None if recording.identity is None else recording.identity[frames, persons],
        frames=None if recording.frames is None else recording.frames[frames],
    )


def apart(recording: Recording) -> Iterator[tuple[int, Recording]]:
    """Each person of a recording alone, with the number of the tracker, or else of the place that `follow` gives."""
    identity, first = recording.identity, 0
    told = np.zeros(0, int) if identity is None else np.unique(identity[identity >= 0])
    if identity is not None and len(told) and told.max() < 1 << 20:  # larger ones are no numbers that somebody reads
        for number in told.tolist():
            yield number, _of_number(recording, np.equal(identity, number))
        recording, first = _without(recording, identity >= 0), int(told.max()) + 1
    if recording.present.any():
        followed = follow(recording)[0]
        for place in range(followed.joints.shape[1]):
            yield first + place, part(followed, slice(None), slice(place, place + 1))


def _of_number(recording: Recording, chosen: np.ndarray) -> Recording:
    """The one person who is `chosen` (T, M) in each frame."""
    places = chosen.argmax(axis=1)[:, None]
    present = np.take_along_axis(recording.present, places[..., None], 1)
    present &= np.asarray(chosen.any(axis=1))[:, None, None]
    joints = np.take_along_axis(recording.joints, places[..., None, None], 1) * present[..., None]
    return replace(recording, joints=joints, present=present, identity=None)


def _without(recording: Recording, is_cut: np.ndarray) -> Recording:
    """The recording without the persons who are `is_cut` (T, M)."""
    present = recording.present & ~is_cut[..., None]
    return replace(recording, joints=recording.joints * present[..., None], present=present, identity=None)
