"""Batches from workers lie in memory that is used again, and never while anything looks at it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from processor.engine.data import Loader
from processor.engine.shared import PIECES

SIZE = 40


class Numbered(Dataset[Any]):
    """Samples full of their number; the shapes of `odd` ones differ from batch to batch."""

    def __init__(self, odd: bool = False, dtype: torch.dtype = torch.float32) -> None:
        self.odd, self.dtype = odd, dtype

    def __len__(self) -> int:
        return SIZE

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        frames = 5 + index // 4 if self.odd else 5
        return torch.full((3, frames, 2, 1), index, dtype=self.dtype), index % 7, index


@pytest.fixture(params=[1, 2])
def loader(request: pytest.FixtureRequest) -> Iterator[Loader]:
    loader = Loader(Numbered(), batch_size=4, workers=request.param, device=torch.device("cpu"))
    yield loader
    loader.close()


def check(batch: list[torch.Tensor], number: int) -> None:
    x, label, index = batch
    assert index.tolist() == list(range(4 * number, 4 * number + 4))
    assert label.tolist() == [i % 7 for i in index.tolist()]
    assert x.shape[:2] == (4, 3)
    assert (x == index[:, None, None, None, None]).all()


def test_batches_that_are_kept_stay_as_they_are(loader: Loader) -> None:
    kept = [list(loader.epoch(0)), list(loader.epoch(1))]
    views = [x[:, 1:2] for x, *_ in loader.epoch(2)]  # nothing but a part of each is kept
    again = list(loader.epoch(3))
    for batches in (*kept, again):
        for number, batch in enumerate(batches):
            check(batch, number)
    assert [int(view[0, 0, 0, 0, 0]) for view in views] == list(range(0, SIZE, 4))


def test_memory_is_used_again(loader: Loader) -> None:
    places = set()
    for epoch in range(5):
        for number, batch in enumerate(loader.epoch(epoch)):
            check(batch, number)
            places.add(batch[0].data_ptr())
            del batch
    assert len(places) <= PIECES * loader.settings["num_workers"]
    assert loader.batches is not None
    assert loader.batches.collate_fn.pieces  # which torch's own way leaves empty


def test_an_epoch_that_is_left_early_leaves_no_memory_in_use(loader: Loader) -> None:
    for epoch in range(6):
        for number, batch in enumerate(loader.epoch(epoch)):
            check(batch, number)
            if number == 2:
                break
    del batch
    list(loader.epoch(9))
    gc.collect()
    assert loader.batches is not None
    assert not loader.batches.collate_fn.used.any()


@pytest.mark.parametrize("dataset", [Numbered(odd=True), Numbered(dtype=torch.float64)])
def test_samples_of_other_kinds_come_in_torchs_way(dataset: Numbered) -> None:
    loader = Loader(dataset, batch_size=4, workers=1, device=torch.device("cpu"))
    for epoch in range(2):
        batches = list(loader.epoch(epoch))
        assert len(batches) == SIZE // 4
        for number, batch in enumerate(batches):
            check(batch, number)
            assert batch[0].dtype == dataset.dtype
    loader.close()


def test_a_larger_last_batch_comes_as_well() -> None:
    loader = Loader(Numbered(), batch_size=13, workers=1, device=torch.device("cpu"), seed=3)  # 13, 13 and 14
    for epoch in range(3):
        batches = list(loader.epoch(epoch))
        assert [len(x) for x, *_ in batches] == [13, 13, 14]
        assert all((x[:, 0, 0, 0, 0] == index).all() for x, _, index in batches)
        assert sorted(i for *_, index in batches for i in index.tolist()) == list(range(SIZE))
    loader.close()


def test_one_sample_is_enough_for_one_process() -> None:
    loader = Loader([(torch.ones(3, 5, 2, 1), 0, 0)], batch_size=4, workers=0, device=torch.device("cpu"), seed=0)
    assert [x.shape[0] for x, *_ in loader.epoch(0)] == [1]
    with pytest.raises(ValueError, match="0 training samples do not suffice for 1 processes; start fewer"):
        Loader([], batch_size=4, workers=0, device=torch.device("cpu"), seed=0)
