"""Measures how fast a configuration's model trains and scores on this machine, and where the time goes.

Training takes the steps of `train` at a learning rate of 0, evaluation scores batches as `evaluate` does; both on the
data if they exist, else on random numbers. Model FLOPs are those of the forward pass, two a multiply-add, and three
times as many in training: backward has two products for each of forward, and what it computes again does not count.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain, count
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from graph.common.files import write_text
from graph.common.words import plural, table
from model.base import SkeletonModel
from processor.config.schema import Config
from processor.engine.data import Group, Loader
from processor.engine.evaluate import score
from processor.engine.fit import check_fit
from processor.engine.models import build_model, count_flops
from processor.engine.optimizer import freeze
from processor.engine.setup import (
    loader_args,
    missing_files,
    new_loss,
    new_state,
    open_feeder,
    prepare_forward,
    replica_of,
)
from processor.engine.train import Losses, step
from processor.results.work_dir import BENCHMARK, check_place
from processor.runtime.device import autocast, choose_device, device_name, effective_precision
from processor.state.checkpoint import State

SECONDS, ROUNDS = 15.0, 5  # each phase is measured for so long, and in so many rounds at least
SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}  # rows and columns of the matrices whose product is the peak

log = logging.getLogger(__name__)


@dataclass
class Speed:
    """The speed of training or evaluation."""

    batch_size: int
    samples_per_s: float  # in the fastest round of about a second
    median_samples_per_s: float
    flops_per_s: float  # model FLOPs in the fastest round
    memory: int | None  # the most bytes so far: of the process, or of tensors on a GPU; None: unknown
    waiting: float | None  # the share of the time in which the loop waited for a batch; None: there are no data
    parts: dict[str, float]  # seconds of a batch: of gcn, attention and tcn each by itself, and of everything else


def benchmark(config: Config) -> dict[str, Speed]:
    """Measures; logs a table and writes `benchmark.json` in `work_dir`."""
    check_place(config.work_dir)
    device = choose_device(config.device)
    precision = effective_precision(device, config.precision)
    torch.manual_seed(config.seed)
    model = build_model(config.model, config.model_args)
    if not isinstance(model, SkeletonModel):
        raise ValueError(
            f"model: {config.model} is no model.base.SkeletonModel, whose input and parts are known; train or test it"
        )
    shape = model.input_shape(config.test_feeder_args.get("window_size", 0))
    flops = count_flops(model, shape)
    prepare_forward(config, model.to(device), device)
    side = SIDE[device.type]
    peak, speeds = peak_flops(device, precision, side), {}
    for phase, part in (("evaluation", "test"), ("training", "train")):  # in this order, for training takes more memory
        real = config.make_data is not None or not missing_files(getattr(config, f"{part}_feeder_args"))
        feeder = open_feeder(config, part) if real else Noise(shape, model.options.num_class)
        check_fit(feeder, model, part)
        with closing(Timed(feeder, **loader_args(config, part, device))) as loader:
            settings: dict[str, Any] = {"device": device, "precision": precision}
            epochs: Iterator[Iterator[object]] = (score(model, loader.epoch(i), **settings) for i in count())
            if part == "train":
                frozen = freeze(model, config.freeze)
                settings |= {"criterion": new_loss(config, device)}
                state = new_state(config, model, **settings)
                settings |= {"frozen": frozen, "max_grad_norm": config.max_grad_norm}
                replica = replica_of(config, model, device)
                groups = (loader.steps(i, 0, config.accumulation) for i in count())
                epochs = (training_steps(state, replica, steps, **settings) for steps in groups)
            steps = chain.from_iterable(epochs)
            speeds[phase] = _measure(model, steps, loader, flops, device, precision, training=part == "train")
        if not real:
            speeds[phase].waiting = None
        peak = max(peak, peak_flops(device, precision, side))
    content = {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": {"name": device_name(device), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "precision": precision,
        "peak_flops_per_s": peak,
        "model": {"class": config.model, "args": config.model_args, "input": shape, "flops": flops},
        **{phase: {**asdict(speed), "peak_share": speed.flops_per_s / peak} for phase, speed in speeds.items()},
    }
    lines = [
        f"{config.model}, {model.options.title}: {shape} (C, T, V, M), {flops / 1e9:.2f} GFLOPs a sample",
        f"{device_name(device)}, {plural(torch.get_num_threads(), 'thread')}, torch {torch.__version__}, {precision}",
        f"{peak / 1e9:,.0f} GFLOP/s in a product of matrices of {side} x {side}",
    ]
    log.info("\n%s", "\n".join([*lines, *_tables(speeds, peak)]))
    write_text(config.work_dir / BENCHMARK, json.dumps(content, indent=2) + "\n")
    log.info("all of it is in %s", config.work_dir / BENCHMARK)
    return speeds


def _measure(
    model: SkeletonModel, steps: Iterator[object], loader: Timed, flops: int, device: torch.device, precision: str,
    *, training: bool,
) -> Speed:  # fmt: skip
    """The speed of `steps` on the batches of the loader, whose forward pass takes so many FLOPs a sample."""
    rates, waiting = _rates(steps, loader, device)
    memory = _memory(device)
    x = next(iter(loader.epoch(0)))[0].to(device)
    clips = x if x.dim() == 6 else x[:, None]
    parts = _parts(model, clips.flatten(0, 1), device, precision, training=training)
    parts["other"] = max(0.0, len(x) / max(rates) - sum(parts.values()))
    return Speed(
        batch_size=len(x),
        samples_per_s=max(rates),
        median_samples_per_s=statistics.median(rates),
        flops_per_s=max(rates) * clips.shape[1] * flops * (3 if training else 1),
        memory=memory,
        waiting=waiting,
        parts=parts,
    )


class Noise(Dataset[tuple[Tensor, int, int]]):
    """Eight random samples (C, T, V, M) in turn, where there are no data."""

    def __init__(self, shape: tuple[int, ...], num_class: int, size: int = 1024) -> None:
        self.x = torch.randn(8, *shape)
        self.label = [i % num_class for i in range(size)]
        self.sample_name = [f"noise{i}" for i in range(size)]

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        return self.x[index % len(self.x)], self.label[index], index


class Timed(Loader):
    """A loader that counts the samples that it gave, and the seconds that its user waited for them."""

    given, waited = 0, 0.0

    def epoch(self, number: int, begin: int = 0) -> Iterator[Any]:
        batches = iter(super().epoch(number, begin))
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - started
            if batch is None:
                return
            self.given += len(batch[0])
            yield batch


def training_steps(state: State, replica: nn.Module, groups: Iterable[Group], **settings: Any) -> Iterator[object]:
    """Steps of training at a learning rate of 0; `settings` are those of `step`."""
    losses = Losses(settings["device"])
    for group in groups:
        step(state, replica, group, losses, lr=0.0, **settings)
        yield group


def _rates(steps: Iterator[object], loader: Timed, device: torch.device) -> tuple[list[float], float]:
    """Samples per second in rounds of about a second, and the share of the time that was waited for data."""
    for _ in range(2):
        next(steps)
    number = max(1, round(SECONDS / (3 * ROUNDS) / seconds_of(lambda: next(steps), device)))
    rates: list[float] = []
    begun, waited = time.perf_counter(), loader.waited
    while len(rates) < ROUNDS or time.perf_counter() - begun < SECONDS:
        before = loader.given
        seconds = seconds_of(lambda: [next(steps) for _ in range(number)], device)
        rates.append((loader.given - before) / seconds)
    return rates, (loader.waited - waited) / (time.perf_counter() - begun)


def _parts(
    model: SkeletonModel, x: Tensor, device: torch.device, precision: str, *, training: bool
) -> dict[str, float]:
    """Seconds of each kind of part in a batch: each module by itself, on its input in the model, backward too.

    A compiled model does not run its modules one by one, so it is measured as it was before it was compiled.
    """
    seconds = dict.fromkeys(model.PARTS, 0.0)
    kinds = model.parts()
    inside = False  # a part that is being measured

    def measure(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal inside
        if inside:
            return
        inside = True
        leaves = [tensor.detach().requires_grad_(training) for tensor in inputs]

        def run() -> None:
            with torch.set_grad_enabled(training), autocast(device, precision):
                y = module(*leaves)
                if training:
                    y.backward(torch.ones_like(y))

        run()
        cost = min(seconds_of(run, device) for _ in range(3))
        kind, outer = kinds[module]
        seconds[kind] += cost
        if outer:
            seconds[outer] -= cost
        inside = False

    hooks = [module.register_forward_pre_hook(measure) for module in kinds]
    try:
        model.train(training)
        with torch.no_grad(), autocast(device, precision):
            model.forward(x)  # not as it was compiled
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad()
    return seconds


def seconds_of(function: Callable[[], object], device: torch.device) -> float:
    """How long a call takes until the device is done."""
    wait = torch.get_device_module(device).synchronize
    wait()
    started = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - started


def peak_flops(device: torch.device, precision: str, side: int) -> float:
    """FLOPs per second of the fastest of ten products of matrices (side, side)."""
    a, b = torch.randn(2, side, side, device=device).to(getattr(torch, precision))
    return 2 * side**3 / min(seconds_of(lambda: a @ b, device) for _ in range(10))


def _memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _tables(speeds: dict[str, Speed], peak: float) -> list[str]:
    """The lines of two tables: how fast the phases are, and where the time of a batch goes."""
    rows = [["", "batch", "samples/s", "median", "GFLOP/s", "of peak", "memory", "waiting for data"]]
    for phase, speed in speeds.items():
        memory = "unknown" if speed.memory is None else f"{speed.memory / 1e9:.2f} GB"
        waiting = "no data" if speed.waiting is None else f"{speed.waiting:.1%}"
        rates = f"{speed.samples_per_s:.2f}", f"{speed.median_samples_per_s:.2f}", f"{speed.flops_per_s / 1e9:,.0f}"
        rows.append([phase, f"{speed.batch_size}", *rates, f"{speed.flops_per_s / peak:.0%}", memory, waiting])
    times = [["ms a batch", *next(iter(speeds.values())).parts]]
    times += [[phase, *(f"{1000 * x:,.1f}" for x in speed.parts.values())] for phase, speed in speeds.items()]
    return [*table(rows), "", *table(times)]
