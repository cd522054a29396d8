"""`layers.basic.normalise` and `norm_relu`: batch norm, and the ReLU after it, in passes over rows (N, C).

(And the gradient of a linear layer's bias, which is a sum over rows, too.)

Training reads the rows twice and writes them once; backward reads them and their gradients twice, and works out again
where the ReLU was open. Torch makes three passes more. Sums are those of the differences to the first row, in float32.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from model.fast.gpu import device_of, refuse_second_derivatives

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ROWS, CHANNELS, PROGRAMS = 64, 64, 1056  # of a block; programs that sum, a multiple of an H100's 132 processors


def serves(x: Tensor, bn: nn.BatchNorm1d) -> bool:
    """Whether `normalise_rows` can compute this batch norm of (N, C)."""
    usual = type(bn) is nn.BatchNorm1d and bn.affine and bn.track_running_stats and bn.momentum is not None
    if not usual or x.dtype not in DTYPES or bn.weight.dtype != torch.float32 or len(x) < 2:
        return False
    gradient = torch.is_grad_enabled() and (x.requires_grad or bn.weight.requires_grad or bn.bias.requires_grad)
    return bn.training or not gradient


def normalise_rows(x: Tensor, bn: nn.BatchNorm1d, *, relu: bool) -> Tensor:
    """Batch norm of (N, C), and a ReLU; in training the running statistics follow."""
    with device_of(x):
        return _Norm.apply(x, bn.weight, bn.bias, bn, relu)


def with_bias_gradient(y: Tensor, bias: Tensor) -> Tensor:
    """`y` (..., C), to which `bias` (C,) has been added without autograd's knowledge: gives the bias its gradient."""
    return _Bias.apply(y, bias)


class _Bias(torch.autograd.Function):
    """Torch's sum of many rows reaches a fifth of the memory's bandwidth."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, bias: Tensor) -> Tensor:
        ctx.dtype = bias.dtype
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor]:
        (gy,) = grad
        if torch.is_grad_enabled():  # for a second derivative
            return gy, gy.flatten(0, -2).sum(dim=0, dtype=ctx.dtype)
        rows = gy.flatten(0, -2).contiguous()
        N, C = rows.shape
        columns, totals = triton.cdiv(C, CHANNELS), torch.empty(2, C, device=gy.device)
        sums, parts, number = _room_for_sums(rows)
        _collect[(parts, columns)](rows, sums, N, C, number, SHIFTED=False, BR=ROWS, BC=CHANNELS)
        _add_up[(columns,)](sums, totals, C, parts, BR=ROWS, BC=CHANNELS)
        return gy, totals[0].to(ctx.dtype)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, bn: nn.BatchNorm1d, relu: bool) -> Tensor:
        x = x.contiguous()
        N, C = x.shape
        y = torch.empty_like(x)
        numbers = torch.empty(4, C, device=x.device)  # mean, 1 / deviation, weight / deviation, bias
        columns = triton.cdiv(C, CHANNELS)
        sums, parts, rows = _room_for_sums(x)
        if bn.training:
            _collect[(parts, columns)](x, sums, N, C, rows, SHIFTED=True, BR=ROWS, BC=CHANNELS)
        _settle[(columns,)](
            x, sums, weight, bias, bn.running_mean, bn.running_var, bn.num_batches_tracked, numbers,
            N, C, parts, bn.momentum, bn.eps, TRAINING=bn.training, BR=ROWS, BC=CHANNELS,
        )  # fmt: skip
        _apply[(triton.cdiv(N, ROWS), columns)](x, numbers, y, N, C, RELU=relu, BR=ROWS, BC=CHANNELS)
        ctx.relu = relu
        ctx.save_for_backward(x, numbers)
        return y

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives("norm")
        x, numbers = ctx.saved_tensors
        N, C = x.shape
        gy, gx = grad[0].contiguous(), torch.empty_like(x)
        of_line = torch.empty(2, C, device=x.device)  # gradients of the bias and of the weight
        columns = triton.cdiv(C, CHANNELS)
        sums, parts, rows = _room_for_sums(x)
        _collect_gradients[(parts, columns)](x, gy, numbers, sums, N, C, rows, RELU=ctx.relu, BR=ROWS, BC=CHANNELS)
        _add_up[(columns,)](sums, of_line, C, parts, BR=ROWS, BC=CHANNELS)
        _apply_gradients[(triton.cdiv(N, ROWS), columns)](
            x, gy, numbers, of_line, gx, N, C, RELU=ctx.relu, BR=ROWS, BC=CHANNELS
        )
        return gx, of_line[1], of_line[0], None, None


def _room_for_sums(x: Tensor) -> tuple[Tensor, int, int]:
    """Room for two sums (parts, 2, C) over so many parts of the rows, and how many rows are in one."""
    N, C = x.shape
    parts = max(1, min(PROGRAMS // triton.cdiv(C, CHANNELS), triton.cdiv(N, 4 * ROWS)))
    rows = triton.cdiv(triton.cdiv(N, parts), ROWS) * ROWS
    parts = triton.cdiv(N, rows)
    return torch.empty(parts, 2, C, device=x.device), parts, rows


@triton.jit
def _block(start, N, C, column, BR: tl.constexpr, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    """The places of a block (BR, BC) of numbers of (N, C), and which of them are valid."""
    r, c = start + tl.arange(0, BR)[:, None], column * BC + tl.arange(0, BC)[None, :]
    return r.to(tl.int64) * C + c, (r < N) & (c < C)


@triton.jit
def _number(numbers, which, C, column, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    """One of the numbers (which, C) of the block's channels: (1, BC)."""
    c = column * BC + tl.arange(0, BC)
    return tl.load(numbers + which * C + c, mask=c < C, other=0.0)[None, :]


@triton.jit
def _collect(x, sums, N, C, rows, SHIFTED: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    part, column = tl.program_id(0), tl.program_id(1)
    first = tl.zeros((1, BC), tl.float32)
    if SHIFTED:
        first = _number(x, 0, C, column, BC).to(tl.float32)
    once, squared = tl.zeros((BR, BC), tl.float32), tl.zeros((BR, BC), tl.float32)
    for i in range(0, rows, BR):
        at, valid = _block(part * rows + i, N, C, column, BR, BC)
        d = tl.where(valid, tl.load(x + at, mask=valid, other=0.0).to(tl.float32) - first, 0.0)
        once += d
        squared += d * d
    _write_sums(sums, once, squared, part, C, column, BC)


@triton.jit
def _write_sums(sums, a, b, part, C, column, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    """Writes the sums of two blocks to (part, 2, C)."""
    c = column * BC + tl.arange(0, BC)
    tl.store(sums + 2 * part * C + c, tl.sum(a, axis=0), mask=c < C)
    tl.store(sums + (2 * part + 1) * C + c, tl.sum(b, axis=0), mask=c < C)


@triton.jit
def _sums_of(sums, C, parts, column, BR: tl.constexpr, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    """The two sums of all parts: (BC,), (BC,)."""
    a, b = tl.zeros((BR, BC), tl.float32), tl.zeros((BR, BC), tl.float32)
    for i in range(0, parts, BR):
        part, c = i + tl.arange(0, BR)[:, None], column * BC + tl.arange(0, BC)[None, :]
        valid = (part < parts) & (c < C)
        a += tl.load(sums + 2 * part * C + c, mask=valid, other=0.0)
        b += tl.load(sums + (2 * part + 1) * C + c, mask=valid, other=0.0)
    return tl.sum(a, axis=0), tl.sum(b, axis=0)


@triton.jit
def _settle(  # type: ignore[no-untyped-def]
    x, sums, weight, bias, running_mean, running_var, batches, numbers, N, C, parts, momentum, eps,
    TRAINING: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0)
    c = column * BC + tl.arange(0, BC)
    valid = c < C
    mean = tl.load(running_mean + c, mask=valid, other=0.0)
    var = tl.load(running_var + c, mask=valid, other=0.0)
    if TRAINING:
        once, squared = _sums_of(sums, C, parts, column, BR, BC)
        once, squared = once / N, squared / N
        batch_mean = tl.load(x + c, mask=valid, other=0.0).to(tl.float32) + once
        batch_var = tl.maximum(squared - once * once, 0.0)
        tl.store(running_mean + c, mean + momentum * (batch_mean - mean), mask=valid)
        tl.store(running_var + c, var + momentum * (batch_var * (N / (N - 1.0)) - var), mask=valid)
        if column == 0:
            tl.store(batches, tl.load(batches) + 1)
        mean, var = batch_mean, batch_var
    rate = 1.0 / tl.sqrt(var + eps)
    scale = tl.load(weight + c, mask=valid, other=0.0) * rate
    tl.store(numbers + c, mean, mask=valid)
    tl.store(numbers + C + c, rate, mask=valid)
    tl.store(numbers + 2 * C + c, scale, mask=valid)
    tl.store(numbers + 3 * C + c, tl.load(bias + c, mask=valid, other=0.0), mask=valid)


@triton.jit
def _apply(x, numbers, y, N, C, RELU: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    column = tl.program_id(1)
    at, valid = _block(tl.program_id(0) * BR, N, C, column, BR, BC)
    d = tl.load(x + at, mask=valid, other=0.0).to(tl.float32) - _number(numbers, 0, C, column, BC)
    Y = d * _number(numbers, 2, C, column, BC) + _number(numbers, 3, C, column, BC)
    if RELU:
        Y = tl.where(Y > 0.0, Y, 0.0)
    tl.store(y + at, Y.to(y.dtype.element_ty), mask=valid)


@triton.jit
def _gradients(x, gy, numbers, at, valid, C, column, RELU: tl.constexpr, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    """Of a block: the gradients before the ReLU, and the normalised numbers."""
    d = tl.load(x + at, mask=valid, other=0.0).to(tl.float32) - _number(numbers, 0, C, column, BC)
    g = tl.load(gy + at, mask=valid, other=0.0).to(tl.float32)
    if RELU:
        g = tl.where(d * _number(numbers, 2, C, column, BC) + _number(numbers, 3, C, column, BC) > 0.0, g, 0.0)
    return g, d * _number(numbers, 1, C, column, BC)


@triton.jit
def _collect_gradients(  # type: ignore[no-untyped-def]
    x, gy, numbers, sums, N, C, rows, RELU: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr
):
    part, column = tl.program_id(0), tl.program_id(1)
    of_bias, of_weight = tl.zeros((BR, BC), tl.float32), tl.zeros((BR, BC), tl.float32)
    for i in range(0, rows, BR):
        at, valid = _block(part * rows + i, N, C, column, BR, BC)
        g, normal = _gradients(x, gy, numbers, at, valid, C, column, RELU, BC)
        of_bias += g
        of_weight += g * normal
    _write_sums(sums, of_bias, of_weight, part, C, column, BC)


@triton.jit
def _add_up(sums, of_line, C, parts, BR: tl.constexpr, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    column = tl.program_id(0)
    of_bias, of_weight = _sums_of(sums, C, parts, column, BR, BC)
    c = column * BC + tl.arange(0, BC)
    tl.store(of_line + c, of_bias, mask=c < C)
    tl.store(of_line + C + c, of_weight, mask=c < C)


@triton.jit
def _apply_gradients(  # type: ignore[no-untyped-def]
    x, gy, numbers, of_line, gx, N, C, RELU: tl.constexpr, BR: tl.constexpr, BC: tl.constexpr
):
    column = tl.program_id(1)
    at, valid = _block(tl.program_id(0) * BR, N, C, column, BR, BC)
    g, normal = _gradients(x, gy, numbers, at, valid, C, column, RELU, BC)
    g -= (_number(of_line, 0, C, column, BC) + normal * _number(of_line, 1, C, column, BC)) / N
    tl.store(gx + at, (g * _number(numbers, 2, C, column, BC)).to(gx.dtype.element_ty), mask=valid)
