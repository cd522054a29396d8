# ruff: noqa: E402
"""Large data on this machine: `python benchmarks/large.py [--num_sample 114000]`; Linux.

An array of NTU RGB+D 120's form, as a file with holes that takes next to no disk, goes through `data_gen.check`, the
feeder in shuffled order and an evaluation by a narrow S-TR. Then an array that is larger than the memory of this
machine is read in shuffled order, and a label file as long as that of Kinetics. Of each step it tells the samples a
second, and the memory of its process beside the pages of files, in the first and in the last fifth of the step.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch

from benchmarks.parts.arrays import write_part
from data_gen.check import check
from data_gen.common.command_line import Report, main_of, run
from feeders.arrays import load_labels
from feeders.feeder import Feeder
from model.st_tr import Model
from processor.engine.data import Loader
from processor.engine.evaluate import score

FORM = (3, 300, 25, 2)  # (C, T, V, M)
KINETICS = 260_232  # samples of Kinetics-skeleton
CPU = torch.device("cpu")


class Memory(threading.Thread):
    """Notes every tenth of a second the megabytes of this process that are no pages of files."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.notes: list[float] = []
        self.over = threading.Event()

    def run(self) -> None:
        """Notes until it is over."""
        while not self.over.wait(0.1):
            status = Path("/proc/self/status").read_text(encoding="utf-8")
            self.notes.append(sum(int(n) for n in re.findall(r"Rss(?:Anon|Shmem):\s*(\d+)", status)) / 1024)

    def change(self) -> str:
        """The most in the first and in the last fifth."""
        fifth = max(1, len(self.notes) // 5)
        first, last = (max(part, default=0.0) for part in (self.notes[:fifth], self.notes[-fifth:]))
        return f"{first:.0f} MB in the first fifth, {last:.0f} MB in the last"


@contextmanager
def told(report: Report, what: str, number: int) -> Iterator[None]:
    """Adds to the report how fast the block went through so many samples, and its memory."""
    memory, started = Memory(), time.perf_counter()
    memory.start()
    yield
    seconds = time.perf_counter() - started
    memory.over.set()
    memory.join()
    report.notes.append(f"{what}: {number:,} samples in {seconds:.1f} s, {number / seconds:,.0f}/s; {memory.change()}")


def read_shuffled(report: Report, what: str, feeder: Feeder, num_read: int) -> None:
    """Reads so many samples in shuffled order by one worker."""
    with closing(Loader(feeder, batch_size=64, workers=1, device=CPU, seed=0)) as loader:
        batches = loader.epoch(0)
        next(batches)  # the worker starts
        count = num_read // 64
        with told(report, what, 64 * count):
            for _ in islice(batches, count):
                pass


def measure(num_sample: int = 114_000, num_read: int = 20_000, num_score: int = 64) -> Report:
    """All steps; the report has a line for each.

    Args:
        num_sample: samples of the array.
        num_read: samples read in shuffled order.
        num_score: samples that are evaluated.
    """
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        args = write_part(folder, "val", num_sample, FORM, 120, sparse=True)
        report.notes.append(f"{num_sample:,} samples, {Path(args['data_path']).stat().st_size / 1e9:.1f} GB")
        with told(report, "data_gen.check", num_sample):
            check(folder, pictures=folder / "pictures")
        feeder = Feeder(**args)
        read_shuffled(report, "feeder, shuffled, one worker", feeder, min(num_read, num_sample))
        model = Model(num_class=120, channels=[16, 32, 64])
        with closing(Loader(feeder, batch_size=16, workers=1, device=CPU)) as loader:
            batches = islice(loader.epoch(0), max(1, num_score // 16))
            with told(report, "evaluation of a narrow S-TR", num_score):
                for _ in score(model, batches, CPU, "float32"):
                    pass
        os.unlink(args["data_path"])
        larger = int(1.25 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 180_000)
        larger = max(num_sample, larger) if num_sample >= 114_000 else 2 * num_sample
        args = write_part(folder, "train", larger, FORM, 120, sparse=True)
        size = Path(args["data_path"]).stat().st_size
        read_shuffled(report, f"feeder, shuffled, of {size / 1e9:.1f} GB", Feeder(**args), min(num_read, larger))
        os.unlink(args["data_path"])
        args = write_part(folder, "long", KINETICS, (1, 1, 1, 1), 400)
        with told(report, "label file", KINETICS):
            load_labels(args["label_path"])
    return report


if __name__ == "__main__":
    run(main_of(measure, __doc__))
