"""Ways to compute attention for the shapes that occur (`benchmarks/attention.py`); those that compile come last.

A kernel of one's own, written with Triton for example, is one more entry of `WAYS` there.
"""

from __future__ import annotations

from itertools import product

import torch

from benchmarks.attention import SHAPES, WAYS, times
from benchmarks.parts.setting import Setting
from model.fast.faster import plain
from model.layers.attention import attend


def measure(setting: Setting) -> None:
    """Seconds of a forward and a backward pass of a batch, for every shape, precision and way."""
    device, small = torch.device(setting.device), setting.rehearse
    if device.type == "cuda":
        for tokens in (25, 75):
            with setting.guarded(figure := f"kernel of model.fast.gpu, {tokens} tokens"):
                setting.record(figure, kernel_error(device, tokens))
    low = "float32" if small else "bfloat16"
    compiled = [way for way in WAYS if "compiled" in way]
    batch_size, num_call = (1, 1) if small else (64, 5)
    for ways, precision in (([way for way in WAYS if way not in compiled], low), (compiled, low),
                            ([way for way in WAYS if way not in compiled], "float32")):  # fmt: skip
        for name, way in product([*SHAPES][:: 4 if small else 1], ways[: 1 if small and ways is compiled else None]):
            figure = f"{name}, {precision}, {way}"
            with setting.guarded(figure):
                setting.need(8 if ways is compiled and not small else 0.5)
                shape = SHAPES[name] if not small else (2, *SHAPES[name][1:])
                ((_, seconds),) = times(shape, [way], device, precision, batch_size, num_call)
                setting.record(figure, seconds)


def kernel_error(device: torch.device, tokens: int) -> float:
    """The error of the kernel against the plain function in float32."""
    from model.fast.gpu.attention import attend_fused

    q, k, v = torch.randn(3, 2, 3, 4, tokens, 8, device=device)
    expected = plain(attend)(q, k, v)
    return float((attend_fused(q, k, v) - expected).norm() / expected.norm())
