"""Linear layers at the speed of a CPU's convolutions.

Torch takes matrix products in float32 from a library that is at its best on one maker's processors; the convolutions of
another multiply the same matrices in half the time on AMD's (docs/benchmarks.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x·Wᵀ + b: (..., in) -> (..., out); in float32 on a CPU as a convolution of one pixel.

    The result has the order of memory that `x` has.
    """
    order = sorted(range(x.dim() - 1), key=x.stride, reverse=True)
    rows = x.permute(*order, -1)
    plain = x.dtype != torch.float32 or not x.is_cpu or not x.numel() or not torch.backends.mkldnn.is_available()
    product = F.linear if plain or torch.is_autocast_enabled("cpu") else _Linear.apply
    return product(rows, weight, bias).permute(*(order.index(axis) for axis in range(len(order))), -1)


class Linear(nn.Linear):
    """`nn.Linear` by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        pixels = x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)  # channels last in memory
        y = F.conv2d(pixels, weight[:, :, None, None], bias)
        return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows = grad[0].flatten(0, -2)
        return (
            linear(grad[0], weight.T) if of_x else None,
            rows.T @ x.flatten(0, -2) if of_weight else None,  # convolutions give some of these much more slowly
            rows.sum(dim=0) if of_bias else None,
        )
