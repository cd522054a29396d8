"""Who is present: persons, joints and frames of prepared samples.

Samples are padded with zeros: a person whose numbers in a frame are all zero is absent from this frame, unless the mask
of the array says that joints of the person are missing there. Axis legend: C channels, T frames, V joints, M persons.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def present(x: np.ndarray, missing: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """(..., C, T, V, M) -> (..., T, M): whether the frame holds the person.

    A person is absent where all is zero and no joint is `missing` (..., T, V, M).
    """
    with np.errstate(over="ignore", invalid="ignore"):  # arrays that are checked may hold any number
        has_number = any_joint(np.abs(x).sum(axis=-4) != 0)
    return has_number if missing is None else has_number | any_joint(missing)


def any_joint(x: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(..., V, M) -> (..., M): whether any joint is true; a product of matrices is ten times faster than `any`."""
    *front, V, M = x.shape
    return np.asarray(x.reshape(*front, V * M) @ np.tile(np.eye(M, dtype=np.float32), (V, 1)) > 0)


def present_joints(x: np.ndarray, missing: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """(..., C, T, V, M) -> (..., T, V, M): the joints of persons who are present, without those that are `missing`."""
    persons = present(x, missing)[..., None, :]
    return np.repeat(persons, x.shape[-2], axis=-2) if missing is None else persons & ~missing


def spans(is_valid: Any) -> tuple[np.ndarray, np.ndarray]:
    """(..., T) bool -> the first true frame, and the one after the last true frame; both 0 if there is none."""
    begin = is_valid.argmax(axis=-1)
    end = is_valid.shape[-1] - is_valid[..., ::-1].argmax(axis=-1)
    return begin, np.where(is_valid.any(axis=-1), end, 0)


def recorded(x: np.ndarray, is_present: NDArray[np.bool_], length: int | None = None) -> tuple[int, int]:
    """The first recorded frame that holds a person, and the one after the last; at least one frame.

    Args:
        x: a sample (C, T, V, M).
        is_present: whether each frame holds each person (T, M).
        length: how many frames were recorded, before the repetitions that fill NTU arrays to 300. None: unknown; then
            only exact repetitions are left out, and two persons that repeat after different numbers of frames keep all
            frames.
    """
    kept = is_present if length is None else is_present[: max(length, 1)]
    begin, end = (int(place) for place in spans(kept.any(axis=1)))
    end = max(end, 1)
    if length is not None:
        return begin, end
    x, T = x[:, begin:end], end - begin
    again = np.flatnonzero((x[0, 1:] == x[0, :1]).all(axis=(1, 2))) + 1  # candidates, by the first channel only
    return begin, begin + next((int(t) for t in again if np.array_equal(x[:, t:], x[:, : T - t])), T)


def evenly(length: int, most: int) -> NDArray[np.int_]:
    """At most `most` of the numbers from 0 to length - 1, evenly spaced, with the first and the last."""
    return np.linspace(0, length - 1, min(length, most)).round().astype(int)
