"""Feeders and loaders of a run: made from the config, made sure of before anything else starts."""

from __future__ import annotations

import inspect
import logging
import signal
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler

from processor.config import Config, names_of_classes
from processor.config_check import import_object
from processor.distributed import one_by_one, rank, world

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
        raise ValueError(f"data: {' and '.join(missing)} not found{made}\n{config.data_help or ''}".rstrip())
    feeder = import_object(config.feeder)
    if "seed" in inspect.signature(feeder).parameters:
        args.setdefault("seed", config.seed)
    return feeder(**args)


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
    if options is None or not len(feeder):
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
        problems.append(f"{len(names)} class_names, num_class {options.num_class} in model_args")
    if problems:
        raise ValueError(f"{part} data and model do not fit: " + "; ".join(problems))


def input_shape(model: nn.Module, config: Config) -> tuple[int, int, int, int]:
    """(C, T, V, M) of a sample; a model that takes any number of frames gets the feeder's, or 64 if it may."""
    options: Any = model.options
    C, T, V, M = options.shape
    if T is None:
        T = config.test_feeder_args.get("window_size", -1)
        T = T if T > 0 else min(64, options.longest or 64)
    return C, T, V, M


class Batches(Sampler[list[int]]):
    """The indices of this process's part of every batch, in an order that (seed, epoch) alone decide.

    Each index is in one batch of one process. What would be too few for every process joins the batch before.

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
        if len(self.starts) > 1 and size - self.starts[-1] < world():
            self.starts.pop()
        self.sizes = [end - start for start, end in pairwise([*self.starts, size])]

    def __len__(self) -> int:
        return max(len(self.sizes) - self.begin, 0)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.arange(self.size)
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(self.size, generator=generator)
        for start, size in list(zip(self.starts, self.sizes, strict=True))[self.begin :]:
            if part := order[start : start + size][rank() :: world()].tolist():
                yield part


def _ignore_signals(worker: int) -> None:
    """A signal to the whole group is the run's to handle: it still needs its workers, and ends them itself."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


class Loader:
    """Batches (x, label, index) of a feeder, this process's part of them; in training shuffled anew each epoch.

    Raises:
        ValueError: in training, there are fewer samples than processes.
    """

    def __init__(self, feeder: Any, config: Config, device: torch.device, *, train: bool) -> None:
        if train and len(feeder) < world():
            raise ValueError(f"{len(feeder)} training samples do not suffice for {world()} processes; start fewer")
        self.feeder, self.training = feeder, train
        self.order = Batches(
            len(feeder), config.batch_size if train else config.test_batch_size, config.seed if train else None
        )
        self.batches: DataLoader[Any] = DataLoader(
            feeder,
            batch_sampler=self.order,
            generator=torch.Generator(),  # workers' seeds come from here, not from the model's generator
            num_workers=config.num_worker,
            persistent_workers=config.num_worker > 0,
            worker_init_fn=_ignore_signals,
            pin_memory=device.type == "cuda",
        )

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

    def epoch(self, number: int, begin: int = 0) -> Iterable[Any]:
        """The batches of an epoch from the one numbered `begin` on, the same whether the run was resumed or not."""
        self.order.epoch, self.order.begin = number, begin
        if hasattr(self.feeder, "set_epoch"):
            self.feeder.set_epoch(number)
        return self.batches
