"""`normalise`, `norm_relu`, `add_relu` and `dropout` of `layers.basic`: fewer passes over memory, less of it kept.

A GPU has a kernel for batch norms. On a CPU ReLU overwrites its input, which nobody else uses, and keeps a mask of a
byte a number for backward, a quarter of the memory of its result. Dropout on a CPU draws 16 bits a number (`p` to
1 / 65536) in a third of the time that torch takes, and multiplies by bytes: numbers times bool take up to six times as
long.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks

from model.fast import gpu
from model.fast.faster import by_memory, faster, plain
from model.layers.basic import add_relu, dropout, norm_relu, normalise

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by their bytes


@faster(normalise)
def normalise_by_kernel(x: Tensor, bn: nn.BatchNorm1d | None) -> Tensor:
    """On a GPU."""
    y = None if bn is None or _hooked(bn) else _by_kernel(x, bn, relu=False)
    return plain(normalise)(x, bn) if y is None else y


@faster(norm_relu)
def norm_relu_in_place(x: Tensor, bn: nn.BatchNorm1d) -> Tensor:
    """In place of the result of the batch norm, unless a hook may keep that; on a GPU by its kernel."""
    if _hooked(bn):
        return plain(norm_relu)(x, bn)
    if (y := _by_kernel(x, bn, relu=True)) is not None:
        return y
    y = _relu_in_place(bn(x.reshape(-1, bn.num_features)))
    return torch.ops.aten._unsafe_view(y, x.shape)  # no view, for which autograd would copy gradients


@faster(add_relu)
def add_relu_in_place(x: Tensor, y: Tensor) -> Tensor:
    """In place of the sum."""
    return _relu_in_place(x + y)


def _hooked(bn: nn.BatchNorm1d) -> bool:
    return bool(bn._forward_hooks or bn._backward_hooks or _global_forward_hooks)


def _by_kernel(x: Tensor, bn: nn.BatchNorm1d, *, relu: bool) -> Tensor | None:
    """By the kernel of a GPU, in the order of memory of `x`; None: there is none for this."""
    if not (x.is_cuda and gpu.available()):
        return None
    from model.fast.gpu.norm import normalise_rows, serves

    rows, back = by_memory(x, 1 if bn.num_features == x.shape[-1] else 2)
    flat = rows.reshape(-1, bn.num_features)
    return back(normalise_rows(flat, bn, relu=relu).view(rows.shape)) if serves(flat, bn) else None


def _relu_in_place(x: Tensor) -> Tensor:
    return _ReLU.apply(x) if x.is_cpu and torch.is_grad_enabled() and x.requires_grad else x.relu_()


@faster(dropout)
def dropout_of_bits(x: Tensor, p: float, training: bool) -> Tensor:
    """On a CPU, where the tensor has its memory for itself."""
    if x.is_cpu and training and 0 < p < 1 and torch._debug_has_internal_overlap(x) == 0:
        return _Dropout.apply(x, p)
    return plain(dropout)(x, p, training)


def _kept(x: Tensor, keep: Tensor) -> Tensor:
    """`x`, zero where `keep` is false."""
    if torch.is_grad_enabled():  # for a second derivative
        return x * keep
    return (x.view(INTEGERS[x.element_size()]) * keep.view(torch.uint8)).view(x.dtype)


class _ReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x > 0)
        ctx.mark_dirty(x)
        return x.relu_()

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return _kept(grad[0], positive)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        n, limit = x.numel(), round(p * 2**16)
        bits = torch.empty(-(-n // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None).view(torch.int16)
        bits = bits[:n].as_strided(x.shape, x.stride())
        keep = bits >= limit - 2**15
        ctx.save_for_backward(keep)
        ctx.scale = 2**16 / (2**16 - limit)
        return _kept(x, keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return _kept(grad[0], keep) * ctx.scale, None
