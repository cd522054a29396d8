"""How fast a configuration's model trains and scores on this machine, and where the time goes.

Training is the loop of `train` at a learning rate of 0, evaluation that of `evaluate`, on the data if they are there,
else on random numbers. Model FLOPs are those of the forward pass, two a multiply-add, and three times as many in
training: backward has two products for each of forward, and what it computes again does not count.
"""

from __future__ import annotations

import json
import logging
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from graph.common.files import written_whole
from graph.common.words import plural
from model.layers.gcn import GCN, AdaptiveGCN, GraphConv
from model.layers.tcn import MultiScaleTCN, TemporalConv
from model.layers.units import SpatialAttention, TemporalAttention, Transformer
from processor.config.schema import Config
from processor.engine.data import Loader, check_fit, has_data, input_shape, open_feeder
from processor.engine.evaluate import score
from processor.engine.models import build_model
from processor.engine.optimizer import build_optimizer
from processor.engine.train import train_epoch
from processor.results.work_dir import BENCHMARK, check_place
from processor.runtime.device import autocast, choose_device, effective_precision, gradient_scaler
from processor.state.checkpoint import State
from processor.tools.info import count_flops

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PARTS: dict[str, tuple[type[nn.Module], ...]] = {
    "gcn": (GCN, AdaptiveGCN, GraphConv),
    "attention": (SpatialAttention, TemporalAttention, Transformer),
    "tcn": (TemporalConv, MultiScaleTCN),
}
SECONDS, ROUNDS = 15.0, 5  # measured of each of them: so long, and at least so often
SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}  # of the matrices whose product is the peak

log = logging.getLogger(__name__)


@dataclass
class Speed:
    """Of training or evaluation.

    Attributes:
        samples_per_s: in the fastest round of about a second, and in the median one.
        flops_per_s: model FLOPs in the fastest.
        memory: the most bytes until then: of the process, or of tensors on a GPU; None: unknown.
        waiting: the share of the time in which the loop waited for a batch; None: there are no data.
        parts: seconds of a batch; of gcn, attention and tcn each by itself, and what is left of the whole.
    """

    batch_size: int
    samples_per_s: float
    median_samples_per_s: float
    flops_per_s: float
    memory: int | None
    waiting: float | None
    parts: dict[str, float]


def benchmark(config: Config) -> dict[str, Speed]:
    """Measures; logs a table and writes `benchmark.json` in `work_dir`.

    Raises:
        ValueError: a user's mistake, before anything is written.
    """
    check_place(config.work_dir)
    device = choose_device(config.device)
    precision = effective_precision(device, config.precision)
    torch.manual_seed(config.seed)
    model = build_model(config)
    shape = input_shape(model, config)
    flops = count_flops(model, shape)
    model.to(device)
    peak, found = _peak(device, precision), {}
    for phase in ("evaluation", "training"):  # in this order, for training takes more memory
        found[phase] = _measure(model, phase, flops, config, device)
        peak = max(peak, _peak(device, precision))
    machine = f"{_name(device)}, {plural(torch.get_num_threads(), 'thread')}, torch {torch.__version__}, {precision}"
    product = f"{peak / 1e9:,.0f} GFLOP/s in a product of matrices of {SIDE[device.type]} x {SIDE[device.type]}"
    options: Any = model.options
    model_line = f"{config.model}, {options.title}: {shape} (C, T, V, M), {flops / 1e9:.2f} GFLOPs a sample"
    log.info("\n%s\n%s\n%s\n%s", model_line, machine, product, _table(found, peak))
    content = {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": {"name": _name(device), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "precision": precision,
        "peak_flops_per_s": peak,
        "model": {"class": config.model, "args": config.model_args, "input": shape, "flops": flops},
        **{phase: {**asdict(speed), "peak_share": speed.flops_per_s / peak} for phase, speed in found.items()},
    }
    with written_whole(config.work_dir / BENCHMARK) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    log.info("all of it is in %s", config.work_dir / BENCHMARK)
    return found


def _measure(model: nn.Module, phase: str, flops: int, config: Config, device: torch.device) -> Speed:
    """The speed of a phase whose forward pass takes so many FLOPs a sample."""
    training = phase == "training"
    part = "train" if training else "test"
    real = has_data(config, part)
    options: Any = model.options
    data = open_feeder(config, part) if real else Noise(input_shape(model, config), options.num_class)
    check_fit(data, model, config, part)
    with closing(Timed(data, config, device, train=training)) as loader:
        rates, waiting = _rates(_steps(model, loader, config, device), loader, device)
        memory = _memory(device)
        x = next(iter(loader.epoch(0)))[0].to(device)
    clips = x.shape[1] if x.dim() == 6 else 1
    parts = _parts(model, x.flatten(0, 1) if x.dim() == 6 else x, device, config.precision, training=training)
    parts["other"] = max(0.0, len(x) / max(rates) - sum(parts.values()))
    return Speed(
        batch_size=len(x),
        samples_per_s=max(rates),
        median_samples_per_s=statistics.median(rates),
        flops_per_s=max(rates) * clips * flops * (3 if training else 1),
        memory=memory,
        waiting=waiting if real else None,
        parts=parts,
    )


class Noise(Dataset[tuple[Tensor, int, int]]):
    """Random samples (C, T, V, M) in the place of data."""

    def __init__(self, shape: tuple[int, ...], num_class: int, size: int = 1024) -> None:
        self.x = torch.randn(8, *shape)
        self.label = [i % num_class for i in range(size)]
        self.sample_name = [f"noise{i}" for i in range(size)]

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        return self.x[index % len(self.x)], self.label[index], index


class Timed(Loader):
    """A loader that notes how many samples it gave, and how many seconds it was waited for."""

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


def _steps(model: nn.Module, loader: Timed, config: Config, device: torch.device) -> Iterator[object]:
    """Steps of the training loop, or batches of evaluation, for ever."""
    config = replace(config, base_lr=0.0, min_lr=0.0, log_interval=sys.maxsize)
    state = State(model, build_optimizer(model, config), gradient_scaler(device, config.precision))
    while True:
        if loader.training:
            state.samples = 0
            yield from train_epoch(state, model, loader, config, device, lambda *_: None)
        else:
            yield from score(model, loader.epoch(0), device, config.precision)


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


def _parts(model: nn.Module, x: Tensor, device: torch.device, precision: str, *, training: bool) -> dict[str, float]:
    """Seconds of each kind of part in a batch: a module alone, forward or forward and backward, on what reaches it."""
    seconds = dict.fromkeys(PARTS, 0.0)
    found = _outermost(model)
    inside = False  # of a part that is being measured

    def measure(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal inside
        if inside:
            return
        inside = True
        own = [tensor.detach().requires_grad_(training) for tensor in inputs]

        def run() -> None:
            with torch.set_grad_enabled(training), autocast(device, precision):
                y = module(*own)
                if training:
                    y.backward(torch.ones_like(y))

        run()
        cost = min(seconds_of(run, device) for _ in range(3))
        kind, outer = found[module]
        seconds[kind] += cost
        if outer:
            seconds[outer] -= cost
        inside = False

    hooks = [module.register_forward_pre_hook(measure) for module in found]
    try:
        model.train(training)
        with torch.no_grad(), autocast(device, precision):
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad()
    return seconds


def _outermost(module: nn.Module, outer: str | None = None) -> dict[nn.Module, tuple[str, str | None]]:
    """The modules of each kind that stand in none of the same, with their kind, and the other that they stand in."""
    found: dict[nn.Module, tuple[str, str | None]] = {}
    for child in module.children():
        kind = next((kind for kind, classes in PARTS.items() if isinstance(child, classes)), outer)
        if kind and kind != outer:
            found[child] = kind, outer
        found |= _outermost(child, kind)
    return found


def seconds_of(function: Callable[[], object], device: torch.device) -> float:
    """How long a call takes until the device is done."""
    _wait(device)
    started = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _peak(device: torch.device, precision: str) -> float:
    """FLOPs per second of the fastest of ten products of large matrices."""
    side = SIDE[device.type]
    a, b = torch.randn(2, side, side, device=device, dtype=getattr(torch, precision))
    return 2 * side**3 / min(seconds_of(lambda: a @ b, device) for _ in range(10))


def _memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    if resource is None:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _name(device: torch.device) -> str:
    """What the device is sold as."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    about = Path("/proc/cpuinfo")  # Linux; other systems tell it themselves
    names = re.findall(r"^model name\s*: (.+)$", about.read_text(), re.MULTILINE) if about.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def _table(found: dict[str, Speed], peak: float) -> str:
    """Two tables: how fast, and where the time of a batch goes."""
    rows = [["", "batch", "samples/s", "median", "GFLOP/s", "of peak", "memory", "waiting for data"]]
    rows += [
        [
            phase,
            f"{speed.batch_size}",
            f"{speed.samples_per_s:.2f}",
            f"{speed.median_samples_per_s:.2f}",
            f"{speed.flops_per_s / 1e9:,.0f}",
            f"{speed.flops_per_s / peak:.0%}",
            "unknown" if speed.memory is None else f"{speed.memory / 1e9:.2f} GB",
            "no data" if speed.waiting is None else f"{speed.waiting:.1%}",
        ]
        for phase, speed in found.items()
    ]
    times = [["ms a batch", *PARTS, "other"]]
    times += [[phase, *(f"{1000 * x:,.1f}" for x in speed.parts.values())] for phase, speed in found.items()]
    return "\n\n".join(_aligned(part) for part in (rows, times))


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ([cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join([cells[0].strip().ljust(widths[0]), *cells[1:]]) for cells in lines)
