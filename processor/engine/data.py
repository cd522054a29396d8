"""The loader of a feeder: batches, each process's part of them, and the groups of batches that make a step."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, islice, pairwise
from multiprocessing import active_children, util
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Sampler

from graph.common.words import plural
from processor.engine.shared import SharedBatches
from processor.runtime.distributed import rank, world
from processor.runtime.signals import STOP

LONGEST_FOLDER = 85  # characters; the path of a socket has at most 103 on all systems, its name in the folder 18


class Draw(int):
    """The index of a sample that an epoch draws several times; `again`: how often it was drawn before."""

    again: int

    @classmethod
    def of(cls, index: int, again: int) -> int:
        """`index` itself where it is drawn for the first time."""
        if not again:
            return index
        draw = cls(index)
        draw.again = again
        return draw


class Batches(Sampler[list[int]]):
    """The indices of this process's part of every batch, in an order that (seed, epoch) alone decide.

    Each index is in one batch of one process, `repeat` times an epoch. With `labels` of the samples every class that
    occurs is drawn equally often instead, its samples in turn; an epoch has about as many draws as there are samples,
    times `repeat`. A last batch with less than a sample for each process, or in training with one sample, joins the
    batch before. Without a seed the samples keep their order.

    Source of `repeat`: the NW-UCLA recipe of Chen et al., *Channel-wise Topology Refinement Graph Convolution*, ICCV
    2021, with 5.
    """

    def __init__(
        self, size: int, batch_size: int, seed: int | None, labels: Sequence[int] | None = None, repeat: int = 1
    ) -> None:
        groups: dict[int, list[int]] = {}
        for index, label in enumerate(labels if labels is not None else ()):
            groups.setdefault(int(label), []).append(index)
        self.classes = [groups[label] for label in sorted(groups)]
        self.number, self.seed, self.epoch = size, seed, 0
        size = repeat * (len(groups) * -(-size // len(groups)) if groups else size)
        self.size = size  # of an epoch
        self.begin = 0  # the number of the first batch that is given; those before are done
        self.starts = list(range(0, size, batch_size * world()))
        least = max(world(), 1 if seed is None else min(2, batch_size))  # batch norm wants more than one to train on
        if len(self.starts) > 1 and size - self.starts[-1] < least:
            self.starts.pop()
        self.sizes = [end - start for start, end in pairwise([*self.starts, size])]  # in all processes together

    def __len__(self) -> int:
        return max(len(self.sizes) - self.begin, 0)

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order()
        for number in range(self.begin, len(self.sizes)):
            if part := self.part(number, order):
                yield part

    def part(self, number: int, order: list[int] | None = None) -> list[int]:
        """This process's indices in the batch of this number."""
        order = self._order() if order is None else order
        start, size = self.starts[number], self.sizes[number]
        return order[start : start + size][rank() :: world()]

    def _order(self) -> list[int]:
        """The indices of an epoch, of all processes."""
        if self.seed is None:
            return list(range(self.size))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)

        def shuffled(items: Sequence[int]) -> list[int]:
            return [items[i] for i in torch.randperm(len(items), generator=generator).tolist()]

        if not self.classes:
            return [Draw.of(i % self.number, i // self.number) for i in shuffled(range(self.size))]
        number, drawn = self.size // len(self.classes), list[int]()
        for members in self.classes:
            turns = range(-(-number // len(members)))
            drawn += [Draw.of(index, turn) for turn in turns for index in shuffled(members)][:number]
        return shuffled(drawn)


def _make_folder_of_workers() -> None:
    """Makes the temporary folder for the sockets of workers, which would leave folders behind when they are killed.

    Raises:
        ValueError: its path is too long; a worker could send no batch, and the run would wait for ever.
    """
    folder = util.get_temp_dir()
    if len(folder) > LONGEST_FOLDER and torch.multiprocessing.get_sharing_strategy() == "file_descriptor":
        raise ValueError(
            f"TMPDIR: {folder} is too long a path for sockets of workers; name a shorter one, or take --num_worker 0"
        )


def _begin_worker(worker: int) -> None:
    """Ignores signals to the process group: the main process still needs its workers, and ends them itself.

    A worker that loses the main process deletes the temporary folder of both.
    """
    for number in STOP:
        signal.signal(number, signal.SIG_IGN)
    util.Finalize(None, _delete_folder_of_the_dead, (os.getppid(), util.get_temp_dir()), exitpriority=0)


def _delete_folder_of_the_dead(parent: int, folder: str) -> None:
    """Deletes the temporary folder if the main process has ended; until then other workers send their batches by it."""
    if os.getppid() != parent:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _deaths_ignored() -> Iterator[None]:
    """Keeps torch from raising an error in the block when a worker ends."""
    number = getattr(signal, "SIGCHLD", None)  # not on Windows
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, handler)


class Group(NamedTuple):
    """The batches whose gradients make one step of the optimiser."""

    batches: Iterator[Any]  # (x, label, index) of each, this process's part
    sizes: list[int]  # how many samples each has in all processes together
    begin: int  # the number of the first batch in the epoch
    end: int  # and that of the batch after the last
    samples: int  # how many samples of the epoch are done after this step


class Loader:
    """Batches (x, label, index) of a feeder, this process's part of them.

    Worker processes run from the first epoch on until `close`, which kills them, whatever they are doing.

    Args:
        batch_size: of each process.
        workers: processes that load data.
        device: where the batches go to; for a GPU they are in pinned memory.
        seed: for training, whose samples are shuffled anew each epoch; None: the samples keep their order.
        balanced: in training, every class is drawn equally often.
        repeat: how often each sample is in an epoch.

    Raises:
        ValueError: in training, there are fewer samples than processes.
    """

    def __init__(
        self,
        feeder: Any,
        *,
        batch_size: int,
        workers: int,
        device: torch.device,
        seed: int | None = None,
        balanced: bool = False,
        repeat: int = 1,
    ) -> None:
        if seed is not None and len(feeder) < world():
            few = plural(len(feeder), "training sample does", "training samples do")
            raise ValueError(f"{few} not suffice for {world()} processes; start fewer")
        self.feeder = feeder
        self.order = Batches(len(feeder), batch_size, seed, feeder.label if balanced else None, repeat)
        self.sizes = self.order.sizes  # how many samples each batch of an epoch has, in all processes together
        self.settings: dict[str, Any] = {
            "batch_sampler": self.order,
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "worker_init_fn": _begin_worker,
            "pin_memory": device.type == "cuda",
        }
        self.batches: DataLoader[Any] | None = None
        self.workers: set[BaseProcess] = set()

    def close(self) -> None:
        """Ends the workers; the next epoch starts others."""
        with _deaths_ignored():
            for worker in self.workers:
                worker.kill()
            for worker in self.workers:
                worker.join()
        self.workers.clear()
        self.batches = None

    def names(self, number: int) -> list[str]:
        """The samples of this process's part of the batch of this number, as the feeder names them."""
        return [self.feeder.sample_name[i % len(self.feeder)] for i in self.order.part(number)]

    def epoch(self, number: int, begin: int = 0) -> Iterator[Any]:
        """The batches of an epoch from the one numbered `begin` on, the same whether the run was resumed or not."""
        self.order.epoch, self.order.begin = number, begin
        if hasattr(self.feeder, "set_epoch"):
            self.feeder.set_epoch(number)
        if self.batches is None:  # its generator is not the model's, whose random numbers stay the same
            collate = SharedBatches(self.settings["num_workers"])
            self.batches = DataLoader(self.feeder, collate_fn=collate, generator=torch.Generator(), **self.settings)
        if self.settings["num_workers"]:
            _make_folder_of_workers()
        others = set(active_children())
        try:
            batches = iter(self.batches)
        finally:
            self.workers |= {*active_children()} - others
        for x, label, index in batches:
            yield x, label, index.clone()  # what came from a worker holds a file open, and indices are kept

    def batches_in(self, samples: int, accumulation: int) -> int:
        """How many batches of an epoch are done with so many samples, by complete steps of `accumulation` batches.

        A run that goes on with other batches may see the samples of less than a step again.
        """
        ends = list(accumulate(self.sizes))
        steps = [end for end in range(accumulation, len(ends), accumulation) if ends[end - 1] <= samples]
        return len(ends) if samples >= ends[-1] else max(steps, default=0)

    def steps(self, number: int, begin: int, accumulation: int) -> Iterator[Group]:
        """The batches of an epoch from the one numbered `begin` on, in the groups that make a step each."""
        batches, ends = self.epoch(number, begin), list(accumulate(self.sizes))
        for first in range(begin, len(ends), accumulation):
            sizes = self.sizes[first : first + accumulation]
            end = first + len(sizes)
            yield Group(islice(batches, len(sizes)), sizes, first, end, ends[end - 1])
