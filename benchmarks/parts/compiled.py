"""Training and evaluation with `torch.compile`, beside the same without it in turns, and how long compiling takes."""

from __future__ import annotations

import os
import tempfile
import time
from itertools import product

import torch

from benchmarks.parts.setting import Setting
from benchmarks.parts.speed import median_seconds
from benchmarks.peers import MODELS, evaluation_step, training_step
from processor.runtime.device import effective_precision


def measure(setting: Setting) -> None:
    """With an empty cache, as on the first start; what takes longest to compile comes last."""
    device, small = torch.device(setting.device), setting.rehearse
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        lengths, batch_size = ((8,), 2) if small else ((300, 64), 64)
        names = ("ST-GCN",) if small else ("S-TR", "T-TR", "ZiT-ZoT", "ST-TR-1s")
        for T, name, phase in product(lengths, names, ("evaluation",) if small else ("training", "evaluation")):
            figure = f"{name}, T={T}, batch {batch_size}, {phase}"
            with setting.guarded(figure):
                setting.need(20 if not small else 5)
                setting.record(figure, beside_eager(name, T, batch_size, phase, device, small))


def beside_eager(
    name: str, T: int, batch_size: int, phase: str, device: torch.device, small: bool
) -> dict[str, float | None]:
    """Samples a second of both, and the seconds until the first compiled step is done."""
    precision = effective_precision(device, "bfloat16")
    torch.manual_seed(0)
    model = MODELS[name](T).to(device)
    call = torch.compile(model, dynamic=False, **({"backend": "eager"} if small else {}))  # a CPU compiles for minutes
    x, label = torch.randn(batch_size, 3, T, 25, 2, device=device), torch.arange(batch_size, device=device) % 60
    if phase == "training":
        eager, compiled = (training_step(model, x, label, precision, f) for f in (None, call))
    else:
        eager, compiled = (evaluation_step(model, x, precision, f) for f in (None, call))
    eager()
    started = time.perf_counter()
    compiled()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    cold = time.perf_counter() - started
    slow = median_seconds(eager, device, 0.5)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    fast = median_seconds(compiled, device, 0.5)
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {"eager samples/s": batch_size / slow, "compiled samples/s": batch_size / fast, "cold start, s": cold,
            "memory": memory}  # fmt: skip
