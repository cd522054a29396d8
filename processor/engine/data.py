"""Feeders and loaders of a run: made from the config, made sure of before anything else starts."""

from __future__ import annotations

import inspect
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from graph.common.files import beginning
from graph.common.imports import import_object
from graph.common.words import plural
from processor.config.schema import Config, names_of_classes
from processor.runtime.distributed import one_by_one, rank, world
from processor.runtime.signals import STOP

log = logging.getLogger(__name__)


def open_feeder(config: Config, part: str) -> Any:
    """The feeder of `part`, `train` or `test`; `make_data` makes the data first, unless it is there already.

    Raises:
        ValueError: data is missing, with what the config's `data_help` says about it.
    """
    args = _args(config, part)
    if config.make_data is not None:
        if missing := _missing(args):
            log.info("%s not found, making it by %s", missing[0], config.make_data)
        with one_by_one():
            import_object(config.make_data)(**config.make_data_args)  # it knows what is there, and of which settings
    if missing := _missing(args):
        made = f" ({config.make_data} ran)" if config.make_data else ""
        raise ValueError(
            f"data: {' and '.join(missing)} not found{beginning(*missing)}{made}\n{config.data_help or ''}".rstrip()
        )
    kind = import_object(config.feeder)
    if "seed" in inspect.signature(kind).parameters:
        args.setdefault("seed", config.seed)
    feeder = kind(**args)
    _check_parts(feeder, config.feeder)
    return feeder


def _check_parts(feeder: Any, name: str) -> None:
    """Sees that a user's feeder has what training and test take from it.

    Raises:
        ValueError: it lacks a part, or gives another kind of sample.
    """
    wanted = "a feeder has `sample_name` and `label`, a name and a whole number for each sample"
    for part in ("sample_name", "label"):
        if len(getattr(feeder, part, ())) != len(feeder):
            raise ValueError(f"feeder: {name} has no `{part}` for each of its {len(feeder)} samples; {wanted}")
    if len(feeder):
        sample = feeder[0]
        if not isinstance(sample, tuple | list) or len(sample) != 3 or getattr(sample[0], "ndim", 0) not in (4, 5):
            raise ValueError(
                f"feeder: {name} must give (x, label, index), x of shape (C, T, V, M) or (clips, C, T, V, M)"
            )


def has_data(config: Config, part: str) -> bool:
    """Whether the files of `part` are there, or can be made."""
    return config.make_data is not None or not _missing(_args(config, part))


def _args(config: Config, part: str) -> dict[str, Any]:
    return dict(config.train_feeder_args if part == "train" else config.test_feeder_args)


def _missing(args: dict[str, Any]) -> list[str]:
    return [str(value) for key, value in args.items() if key.endswith("_path") and not Path(value).exists()]


def check_fit(feeder: Any, model: nn.Module, config: Config, part: str) -> None:
    """Sees that a feeder's samples are what the model takes, before hours are spent.

    Raises:
        ValueError: channels, joints, persons or classes differ; both numbers are given.
    """
    options = getattr(model, "options", None)
    if not len(feeder):
        return
    if options is None:
        _try_out(feeder, model, config.model, part)
        return
    if part == "train" and getattr(feeder, "num_clips", 1) > 1:
        raise ValueError("train_feeder_args: num_clips is for tests; training sees one window of a sample an epoch")
    C, T, V, M = feeder[0][0].shape[-4:]
    channel = "channel" if hasattr(options, "channel") else "in_channels"
    problems = [
        f"{what} {found} in the data, {key} {getattr(options, key)} in model_args"
        for what, found, key in (
            ("channels", C, channel),
            ("joints", V, "num_point"),
            ("persons", M, "num_person"),
        )
        if found != getattr(options, key)
    ]
    if getattr(options, channel) == 2 * C:
        problems[0] += f" (`stream: joint+bone` in {part}_feeder_args adds the bones)"
    if (most := getattr(options, "longest", None)) and most < T:
        problems.append(f"frames {T} in the data, max_T {most} in model_args")
    labels = feeder.label
    if min(labels) < 0 or max(labels) >= options.num_class:
        problems.append(
            f"labels {min(labels)} to {max(labels)} in the data, num_class {options.num_class} in model_args"
        )
    names = names_of_classes(config)
    if names is not None and len(names) != options.num_class:
        problems.append(
            f"{plural(len(names), 'class name')}, num_class {options.num_class} in model_args; give one for each, "
            "or class_names: null"
        )
    if problems:
        raise ValueError(f"{part} data and model do not fit: " + "; ".join(problems))


def _try_out(feeder: Any, model: nn.Module, name: str, part: str) -> None:
    """Sees that a model which does not tell its options takes the first sample and gives logits for its labels.

    Raises:
        ValueError: it does not.
    """
    x = torch.as_tensor(feeder[0][0])
    x = x if x.dim() == 5 else x[None]
    training = model.training
    with torch.no_grad():
        y = model.eval()(x)
    model.train(training)
    most = max(feeder.label)
    if not isinstance(y, Tensor) or y.dim() != 2 or len(y) != len(x) or y.shape[1] <= most:
        gives = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(
            f"model: {name} gives {gives} for {part} samples {tuple(x.shape)}; logits (N, num_class) are expected, for "
            f"labels up to {most}"
        )


def input_shape(model: nn.Module, config: Config) -> tuple[int, int, int, int]:
    """(C, T, V, M) of a sample; a model that takes any number of frames gets the feeder's, or 64 if it may."""
    options: Any = getattr(model, "options", None)
    if not hasattr(options, "shape"):
        raise ValueError(
            f"model: {config.model} has no `options` that tell its input, which this phase needs; train or test it"
        )
    C, T, V, M = options.shape
    if T is None:
        T = config.test_feeder_args.get("window_size", -1)
        T = T if T > 0 else min(64, options.longest or 64)
    return C, T, V, M


class Batches(Sampler[list[int]]):
    """The indices of this process's part of every batch, in an order that (seed, epoch) alone decide.

    Each index is in one batch of one process. A last batch with less than a sample for each process, or in training
    with one sample, joins the batch before.

    Args:
        batch_size: of a process.
        seed: None: the order that they have.

    Attributes:
        sizes: how many indices each batch has in all processes together.
        epoch: whose order it is; `begin`: so many of its batches are done already.
    """

    def __init__(self, size: int, batch_size: int, seed: int | None) -> None:
        self.size, self.seed, self.epoch, self.begin = size, seed, 0, 0
        self.starts = list(range(0, size, batch_size * world()))
        least = max(world(), 1 if seed is None else min(2, batch_size))  # batch norm wants more than one to train on
        if len(self.starts) > 1 and size - self.starts[-1] < least:
            self.starts.pop()
        self.sizes = [end - start for start, end in pairwise([*self.starts, size])]

    def __len__(self) -> int:
        return max(len(self.sizes) - self.begin, 0)

    def __iter__(self) -> Iterator[list[int]]:
        order = self._shuffled()
        for number in range(self.begin, len(self.sizes)):
            if part := self.part(number, order):
                yield part

    def part(self, number: int, order: Tensor | None = None) -> list[int]:
        """This process's indices in the batch of this number."""
        order = self._shuffled() if order is None else order
        start, size = self.starts[number], self.sizes[number]
        indices: list[int] = order[start : start + size][rank() :: world()].tolist()
        return indices

    def _shuffled(self) -> Tensor:
        if self.seed is None:
            return torch.arange(self.size)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return torch.randperm(self.size, generator=generator)


def _ignore_signals(worker: int) -> None:
    """A signal to the whole group is the run's to handle: it still needs its workers, and ends them itself."""
    for number in STOP:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _deaths_ignored() -> Iterator[None]:
    """Inside, torch raises no error for a worker that ends."""
    number = getattr(signal, "SIGCHLD", None)  # not on Windows
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, handler)


class Loader:
    """Batches (x, label, index) of a feeder, this process's part of them; in training shuffled anew each epoch.

    Workers run from the first epoch on until `close`, which kills them, whatever they are doing.

    Raises:
        ValueError: in training, there are fewer samples than processes.
    """

    def __init__(self, feeder: Any, config: Config, device: torch.device, *, train: bool) -> None:
        if train and len(feeder) < world():
            few = plural(len(feeder), "training sample does", "training samples do")
            raise ValueError(f"{few} not suffice for {world()} processes; start fewer")
        self.feeder, self.training = feeder, train
        size = config.batch_size if train else config.test_batch_size
        self.order = Batches(len(feeder), size, config.seed if train else None)
        self.settings: dict[str, Any] = {
            "batch_sampler": self.order,
            "num_workers": config.num_worker,
            "persistent_workers": config.num_worker > 0,
            "worker_init_fn": _ignore_signals,
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

    @property
    def sizes(self) -> list[int]:
        """How many samples each batch of an epoch has, in all processes together."""
        return self.order.sizes

    def batches_in(self, samples: int, accumulation: int) -> int:
        """How many batches of an epoch are done with so many samples, by whole steps of `accumulation` batches.

        A run that goes on with other batches may see samples of less than a step again.
        """
        ends = list(accumulate(self.sizes))
        steps = [i + 1 for i, end in enumerate(ends) if (i + 1) % accumulation == 0 and end <= samples]
        return len(ends) if samples >= ends[-1] else max(steps, default=0)

    def epoch(self, number: int, begin: int = 0) -> Iterator[Any]:
        """The batches of an epoch from the one numbered `begin` on, the same whether the run was resumed or not."""
        self.order.epoch, self.order.begin = number, begin
        if hasattr(self.feeder, "set_epoch"):
            self.feeder.set_epoch(number)
        if self.batches is None:  # workers' seeds come from a generator of their own, not from the model's
            self.batches = DataLoader(self.feeder, generator=torch.Generator(), **self.settings)
        others = set(active_children())
        try:
            batches = iter(self.batches)
        finally:
            self.workers |= {*active_children()} - others
        for x, label, index in batches:
            yield x, label, index.clone()  # what came from a worker holds a file open, and indices are kept
