"""Training and evaluation of our models and CTR-GCN at 64 and 300 frames, over batch sizes, as torch runs them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from statistics import median
from typing import Any

import torch

from benchmarks.parts.peaks import copy_bandwidth, traffic
from benchmarks.parts.setting import Setting
from benchmarks.peers import MODELS, random_batch, step_of
from processor.engine.models import count_flops
from processor.runtime.device import effective_precision
from processor.tools.benchmark import peak_flops, seconds_of

NAMES = ("S-TR", "T-TR", "CTR-GCN", "ZiT-ZoT", "ST-TR-1s")
FLOPS: dict[tuple[str, int], int] = {}


def measure(setting: Setting) -> None:
    """Of the middle batch size first, so that a cut leaves every model measured."""
    device, small = torch.device(setting.device), setting.rehearse
    precision = effective_precision(device, "bfloat16")
    bandwidth = copy_bandwidth(device, small)
    peak = peak_flops(device, precision, 512 if small else 8192)
    sizes = (1,) if small else (64, 16, 256)
    lengths = (8,) if small else (64, 300)
    names = NAMES[:3] if small else NAMES
    for batch_size, T, name, phase in product(sizes, lengths, names, ("training", "evaluation")):
        figure = f"{name}, T={T}, batch {batch_size}, {phase}"
        with setting.guarded(figure):
            setting.need(1.0)
            speed = of_step(name, T, batch_size, phase, precision, device, seconds=0.1 if small else 0.4)
            if speed["flops"]:
                speed["share of the peak"] = speed["flops"] / speed["seconds"] / peak
            speed["share of the copy bandwidth"] = speed["bytes"] / speed["seconds"] / bandwidth
            setting.record(figure, speed)


def of_step(
    name: str, T: int, batch_size: int, phase: str, precision: str, device: torch.device, *, seconds: float
) -> dict[str, Any]:
    """What a step takes: the median of calls that together take so many seconds, its peak memory, bytes and FLOPs."""
    torch.manual_seed(0)
    model = MODELS[name](T).eval()
    if (name, T) not in FLOPS:
        FLOPS[name, T] = count_flops(model, (3, T, 25, 2))
    step = step_of(phase, model.to(device), random_batch(batch_size, T, device), precision)
    step()
    size = traffic(step)
    time, memory = median_seconds(step, device, seconds)
    flops = FLOPS[name, T] * batch_size * (3 if phase == "training" else 1)
    return {"samples/s": batch_size / time, "seconds": time, "memory": memory, "bytes": size, "flops": flops}


def median_seconds(step: Callable[[], object], device: torch.device, seconds: float) -> tuple[float, int | None]:
    """The median time of a step in five rounds, each as long as a fifth of `seconds`; and the peak memory of a GPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    one = max(seconds_of(step, device), 1e-6)
    number = max(1, int(seconds / 5 / one))
    rounds = 5 if one < seconds else 1

    def some() -> None:
        for _ in range(number):
            step()

    time = median(seconds_of(some, device) / number for _ in range(rounds))
    return time, torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
