"""`layers.basic.linear` on a CPU in float32 as a convolution of one pixel, and in the order of memory of its input.

On a GPU only the gradient of the bias is ours.

Torch takes matrix products from a library (MKL) that is at its best on Intel's processors; oneDNN's convolutions
multiply the same matrices in half the time on AMD's with AVX-512 (docs/benchmarks.md). The gradient of the weight is a
product again, for which convolutions are slow. `F.conv2d` would choose a matrix product where one thread computes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from model.fast import gpu
from model.fast.faster import by_memory, faster
from model.layers.basic import linear


@faster(linear)
def linear_in_order(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The result has the order of memory that `x` has: frames of a joint may be rows without a copy."""
    rows, back = by_memory(x)
    float32 = x.is_cpu and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if float32 and x.numel() and torch.backends.mkldnn.is_available():
        return back(_Pixels.apply(_Gradients.apply(rows, weight, bias), rows.detach(), weight.detach(), bias))
    if bias is not None and bias.requires_grad and _sums_by_kernel(x):
        from model.fast.gpu.norm import with_bias_gradient

        return back(with_bias_gradient(F.linear(rows, weight, bias.detach()), bias))
    return back(F.linear(rows, weight, bias))


def _sums_by_kernel(x: Tensor) -> bool:
    return x.is_cuda and x.dtype != torch.float64 and bool(x.numel()) and torch.is_grad_enabled() and gpu.available()


class _Gradients(torch.autograd.Function):
    """The half that autograd sees of a linear layer: a placeholder for its result, and its gradients.

    It saves its inputs before anything is computed. So a checkpoint that computes a chunk again ends here, without
    the product (torch.utils.checkpoint stops early).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x.new_empty(()).expand(*x.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows = grad[0].flatten(0, -2)
        return (
            linear(grad[0], weight.T) if of_x else None,
            rows.T @ x.flatten(0, -2) if of_weight else None,
            rows.sum(dim=0) if of_bias else None,
        )


class _Pixels(torch.autograd.Function):
    """The half that computes: its result has the gradient of the placeholder."""

    @staticmethod
    def forward(ctx: Any, placeholder: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        pixels = x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)  # channels last in memory
        y = torch.mkldnn_convolution(pixels, weight[:, :, None, None], bias, (0, 0), (1, 1), (1, 1), 1)
        return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad[0], None, None, None
