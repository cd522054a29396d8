# ruff: noqa: E402
"""Times ways to compute small attention: `python benchmarks/attention.py --device cuda --precision bfloat16`.

ST-TR attends over 25 joints, or over 75 to 300 frames, with heads of 2 to 8 channels. For each of these shapes, forward
and backward passes are timed of: `attend`; two batched products with a softmax between them; torch's fused kernels; the
products, compiled; and sums without any matrix product, compiled. Writes the milliseconds of the fastest call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor
from torch.nn import functional as F

from data_gen.common.command_line import Report, main_of, run
from model.layers.attention import attend
from processor.runtime.device import choose_device
from processor.tools.benchmark import seconds_of

SHAPES = {  # rows, heads, tokens, channels of a key, of a value; of one sample with two persons, 300 frames
    "S-TR, 128 channels": (300, 8, 25, 4, 16),
    "S-TR, 256 channels": (150, 8, 25, 8, 32),
    "T-TR, 128 channels": (50, 8, 150, 4, 16),
    "T-TR, 256 channels": (50, 8, 75, 8, 32),
    "T-TR, 256 channels, from 150 frames": (50, 8, 38, 8, 32),
    "all layers, 64 channels": (50, 8, 300, 2, 8),
    "ZiT-ZoT, joints": (300, 6, 25, 8, 8),
    "ZiT-ZoT, persons": (75, 6, 2, 32, 32),
}


def products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Two matrix products."""
    return (q @ k.transpose(-1, -2)).softmax(dim=-1) @ v


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Torch's fused kernels, which need the same number of channels for queries, keys and values."""
    shape = v.shape
    q, k, v = (F.pad(x, (0, v.shape[-1] - x.shape[-1])).flatten(0, 1) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=1.0).view(shape)


def sums(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """No matrix product: products and sums over an axis, for a compiler."""
    p = (q[..., :, None, :] * k[..., None, :, :]).sum(dim=-1).softmax(dim=-1)
    return (p[..., None] * v[..., None, :, :]).sum(dim=-2)


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "attend": attend,
    "products": products,
    "fused": fused,
    "products, compiled": torch.compile(products, dynamic=False),
    "sums, compiled": torch.compile(sums, dynamic=False),
}


def times(
    shape: tuple[int, ...], ways: Sequence[str], device: torch.device, precision: str, batch_size: int, num_call: int
) -> Iterator[tuple[str, float | str]]:
    """Each way with the seconds of its fastest call, forward and backward, or the error that it raised instead."""
    rows, heads, L, d, dv = shape
    qkv = torch.randn(batch_size, rows, L, heads * (2 * d + dv), device=device, dtype=getattr(torch, precision))
    inputs = [
        part.unflatten(-1, (heads, -1)).transpose(2, 3).requires_grad_()  # in the order of memory of the models
        for part in qkv.split([heads * d, heads * d, heads * dv], dim=-1)
    ]
    expected = products(*(x.detach().float() for x in inputs))
    for way in ways:

        def call(function: Callable[..., Tensor] = WAYS[way]) -> Tensor:
            y = function(*inputs)
            y.backward(torch.ones_like(y))
            return y

        try:
            error = float((call().detach() - expected).norm() / expected.norm())
            if not error < (0.03 if precision == "bfloat16" else 1e-4):
                yield way, f"wrong by {error:.2g}"
                continue
            yield way, min(seconds_of(call, device) for _ in range(num_call))
        except RuntimeError as failure:  # no compiler, too little memory
            yield way, type(failure).__name__


def measure(
    device: str = "auto", precision: Literal["float32", "bfloat16"] = "float32", batch_size: int = 4, num_call: int = 10
) -> Report:
    """Time every way on every shape, and check that all give the same result.

    Args:
        device: auto, cpu, cuda or mps.
        precision: of queries, keys and values.
        batch_size: samples.
        num_call: calls, of which the fastest counts.
    """
    report, chosen = Report(), choose_device(device)
    for name, shape in SHAPES.items():
        for way, best in times(shape, [*WAYS], chosen, precision, batch_size, num_call):
            report.notes.append(f"{name}, {way}: {best if isinstance(best, str) else f'{1000 * best:.2f} ms'}")
    return report


if __name__ == "__main__":
    run(main_of(measure, __doc__))
