"""Batches handed from a worker to the main process in shared memory that is used again and again.

Torch's own way gives every batch new memory, whose pages the system clears and maps in both processes: at 300 frames
this takes longer than to make the samples. Here each worker has a few pieces of memory, which it sends once. A piece is
in use until nothing refers to the batch in it any more, nor to a view of that; a worker without a free piece hands its
batch over in torch's way.
"""

from __future__ import annotations

import weakref
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate, get_worker_info

PIECES = 4  # of each worker: two batches that wait, as torch's loader has it, one in use and one to fill
_numbers = count()
_known: weakref.WeakValueDictionary[int, SharedBatches] = weakref.WeakValueDictionary()  # of the main process


class SharedBatches:
    """Makes a batch [x, label, index] of samples, as `default_collate`; the `collate_fn` of one loader's workers."""

    def __init__(self, workers: int) -> None:
        self.number = next(_numbers)
        self.used = torch.zeros(workers, PIECES, dtype=torch.uint8).share_memory_()
        self.pieces: dict[tuple[int, int], Any] = {}  # by worker and number: tensors in a worker, else arrays
        _known[self.number] = self

    def __call__(self, samples: list[Any]) -> Any:
        info = get_worker_info()
        xs = [sample[0] for sample in samples]
        if info is None or not all(isinstance(x, Tensor) and x.dtype == torch.float32 for x in xs):
            return default_collate(samples)
        place = next(((info.id, piece) for piece in range(PIECES) if not self.used[info.id, piece]), None)
        if place is None:
            return default_collate(samples)
        is_new = place not in self.pieces
        if is_new:
            self.pieces[place] = torch.empty(len(xs), *xs[0].shape).share_memory_()
        piece = self.pieces[place]
        if len(xs) > len(piece) or any(x.shape != piece.shape[1:] for x in xs):
            return default_collate(samples)
        torch.stack(xs, out=piece[: len(xs)])
        self.used[place] = 1
        others = [part.numpy() for part in default_collate([sample[1:] for sample in samples])]
        return _Filled((self.number, place, len(xs), piece if is_new else None, others))


class _Filled:
    """A batch in a piece of memory; pickled, it arrives as what `_received` makes of it."""

    def __init__(self, content: tuple[int, tuple[int, int], int, Tensor | None, list[np.ndarray]]) -> None:
        self.content = content

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, self.content


def _received(
    number: int, place: tuple[int, int], size: int, piece: Tensor | None, others: list[np.ndarray]
) -> list[Tensor]:
    """The batch in the main process; its piece is free again as soon as the array below its tensor is gone."""
    owner = _known[number]
    if piece is not None:
        owner.pieces[place] = piece.numpy()
    x = owner.pieces[place][:size]
    weakref.finalize(x, owner.used.__setitem__, place, 0).atexit = False
    return [torch.from_numpy(x), *map(torch.from_numpy, others)]
