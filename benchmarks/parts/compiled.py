"""Training and evaluation with `torch.compile` beside the same without it, and how long compiling takes."""

from __future__ import annotations

import os
import tempfile
from itertools import product

import torch

from benchmarks.parts.setting import Setting
from benchmarks.parts.speed import median_seconds
from benchmarks.peers import MODELS, random_batch, step_of
from model.fast import reference
from processor.runtime.device import effective_precision
from processor.tools.benchmark import seconds_of


def measure(setting: Setting) -> None:
    """With an empty cache, as on the first start; what takes longest to compile comes last."""
    device, small = torch.device(setting.device), setting.rehearse
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        lengths, batch_size = ((8,), 2) if small else ((64, 300), 64)
        names = ("ST-GCN",) if small else ("S-TR", "T-TR", "ZiT-ZoT", "ST-TR-1s")
        for T, name, phase in product(lengths, names, ("evaluation",) if small else ("evaluation", "training")):
            figure = f"{name}, T={T}, batch {batch_size}, {phase}"
            with setting.guarded(figure):
                setting.need(20 if not small else 5)
                setting.record(figure, beside_eager(name, T, batch_size, phase, device, small))


def beside_eager(
    name: str, T: int, batch_size: int, phase: str, device: torch.device, small: bool
) -> dict[str, float | None]:
    """Samples a second of the plain functions, the fast ones, and compiled; seconds until a compiled step is done."""
    precision = effective_precision(device, "bfloat16")
    torch.manual_seed(0)
    model = MODELS[name](T).to(device)
    call = torch.compile(model, dynamic=False, **({"backend": "eager"} if small else {}))  # a CPU compiles for minutes
    batch = random_batch(batch_size, T, device)
    eager, compiled = (step_of(phase, model, batch, precision, compiled=module) for module in (None, call))
    with reference():
        plain, memory = median_seconds(eager, device, 0.5)
    speeds: dict[str, float | None] = {"plain samples/s": batch_size / plain, "plain memory": memory}
    eager()
    cold = seconds_of(compiled, device)
    slow, memory = median_seconds(eager, device, 0.5)
    speeds |= {"eager samples/s": batch_size / slow, "eager memory": memory}
    fast, memory = median_seconds(compiled, device, 0.5)
    return {**speeds, "compiled samples/s": batch_size / fast, "compiled memory": memory, "cold start, s": cold}
