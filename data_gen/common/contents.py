"""What a prepared array holds, sample by sample; it is read once, in chunks of bounded size.

Axis legend: N samples, n those of a chunk, C channels, T frames, V joints, M persons.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from feeders.arrays import JOINT, load_array, load_lengths, load_missing, load_prepared, read_chunks
from feeders.layout import outside_picture
from feeders.presence import any_joint, present_joints, spans

DRAWN = (JOINT, "data.npy")  # arrays of positions, which bones are not
_CHUNK_BYTES = 16 << 20


class Contents(NamedTuple):
    """What an array (N, C, T, V, M) holds."""

    num_frame: np.ndarray  # (N,) number of valid frames; 0 for an empty sample
    num_person: np.ndarray  # (N,) number of persons that are present in any frame
    num_absent: np.ndarray  # (N,) how often one of these is absent in a valid frame
    num_missing: np.ndarray  # (N,) number of missing joints, of persons who are present
    num_outside: np.ndarray  # (N,) number of joints outside the picture
    does_fit: np.ndarray  # (N,) whether the frames that are recorded, as `{part}_length.npy` says, fit the numbers
    is_finite: np.ndarray  # (N,) whether a sample holds neither NaN nor inf
    digest: list[bytes]  # N hashes of 16 bytes, of a sample's numbers up to its last valid frame
    low: np.ndarray  # (C,) lowest finite value of joints that are there; inf without any
    high: np.ndarray  # (C,) highest finite value of joints that are there; -inf without any


def scan(path: Path) -> Contents:
    """Read an array once, in chunks.

    Raises:
        ValueError: a file beside the array does not fit it.
    """
    N, C, *rest = load_array(path).shape
    missing, lengths, prepared = load_missing(path), load_lengths(path), load_prepared(path)
    num_frame, num_person, num_absent, num_missing, num_outside = np.zeros((5, N), np.int64)
    is_finite, does_fit, digest = np.ones(N, bool), np.ones(N, bool), list[bytes]()
    low, high = np.full(C, np.inf), np.full(C, -np.inf)
    size = max(1, _CHUNK_BYTES // (4 * C * int(np.prod(rest))))
    with tqdm(desc=str(path), total=N, unit="sample", disable=None) as bar:
        for x in read_chunks(path, size):  # (n, C, T, V, M)
            rows = slice(len(digest), len(digest) + len(x))
            lost = None if missing is None else np.stack([missing[row] for row in range(rows.start, rows.stop)])
            is_present = present_joints(x, lost)  # (n, T, V, M)
            mask = any_joint(is_present)  # (n, T, M)
            begin, end = spans(mask.any(axis=2))
            num_frame[rows] = end - begin
            persons = mask.any(axis=1)  # (n, M)
            num_person[rows] = persons.sum(axis=1)
            num_absent[rows] = (end - begin) * persons.sum(axis=1) - mask.sum(axis=(1, 2))
            if lengths is not None:
                does_fit[rows] = _fit(lengths[rows], begin, end, x.shape[2])
            if lost is not None:
                num_missing[rows] = lost.sum(axis=(1, 2, 3))
            if prepared and path.name.endswith(DRAWN):
                num_outside[rows] = (outside_picture(x, prepared.channels) & is_present).sum(axis=(1, 2, 3))
            values = x.swapaxes(0, 1)  # (C, n, T, V, M)
            finite = np.isfinite(values)
            is_finite[rows] = finite.all(axis=(0, 2, 3, 4))
            finite &= is_present
            low = np.minimum(low, values.min(axis=(1, 2, 3, 4), where=finite, initial=np.inf))
            high = np.maximum(high, values.max(axis=(1, 2, 3, 4), where=finite, initial=-np.inf))
            for sample, T in zip(x, end, strict=True):
                digest.append(blake2b(sample[:, :T].tobytes(), digest_size=16).digest())
            bar.update(len(x))
    of_samples = (num_frame, num_person, num_absent, num_missing, num_outside, does_fit, is_finite)
    return Contents(*of_samples, digest, low, high)


def _fit(length: np.ndarray, begin: np.ndarray, end: np.ndarray, num_frame: int) -> np.ndarray:
    """Whether valid frames from `begin` to `end` fit a length: some are within it, and those after it are repetitions.

    Repeated frames reach up to the end of the array, but for a gap that is shorter than the recording.
    """
    is_filled = num_frame - end < np.maximum(length, 1)
    return np.asarray((end == 0) | ((begin < length) & ((end <= length) | is_filled)))
