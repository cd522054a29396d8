"""`layers.gcn.propagate` between up to 32 joints: a kernel that multiplies every frame with all partitions of a graph.

Torch would multiply as many small matrices as there are frames, with rows of 25 numbers, for which its kernels are
slow, and for the gradient of the graph it would write a matrix for every frame and then add them up.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.fast.gpu import device_of, refuse_second_derivatives

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
JOINTS = 32  # the most joints
PROGRAMS = 528  # that share the frames for the gradient of a partition, a multiple of an H100's 132 processors


def serves(x: Tensor, A: Tensor) -> bool:
    """Whether `propagate_frames` can compute this: a graph (K, V, W) for all samples."""
    fits = A.dim() == 3 and A.shape[1] == x.shape[2] and max(A.shape[1:]) <= JOINTS
    return x.dtype in DTYPES and fits and x.numel() > 0 and A.numel() > 0


def propagate_frames(x: Tensor, A: Tensor) -> Tensor:
    """x·A for every partition: (B, T, V, C), (K, V, W) -> (B, T, W, K·C)."""
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    with device_of(x):
        return _Propagate.apply(x, A)


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, A: Tensor) -> Tensor:
        x, A = x if x.stride(-1) == 1 else x.contiguous(), A.contiguous()
        B, T, _, C = x.shape
        y = x.new_empty(B, T, A.shape[2], len(A) * C)
        _forward[_grid(x)](x, A, y, T, C, *x.stride()[:3], **_sizes(x, A))
        ctx.save_for_backward(x, A)
        return y

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        refuse_second_derivatives("product")
        x, A = ctx.saved_tensors
        gy, (B, T, _, C) = grad[0].contiguous(), x.shape
        of_x = of_A = None
        if ctx.needs_input_grad[0]:
            of_x = torch.empty_like(x, memory_format=torch.contiguous_format)
            _backward[_grid(x)](gy, A, of_x, C, **_sizes(x, A))
        if ctx.needs_input_grad[1]:
            parts = A.new_empty(min(PROGRAMS, B * T), *A.shape, dtype=torch.float32)
            _backward_of_graph[(len(parts), len(A))](x, gy, parts, B * T, T, C, *x.stride()[:3], **_sizes(x, A))
            of_A = parts.sum(dim=0).to(A.dtype)
        return of_x, of_A


def _channels(x: Tensor) -> int:
    """Channels of a block."""
    return max(16, min(64, triton.next_power_of_2(x.shape[-1])))


def _grid(x: Tensor) -> tuple[int, int]:
    """A program for every frame and block of channels."""
    return x.shape[0] * x.shape[1], triton.cdiv(x.shape[-1], _channels(x))


def _sizes(x: Tensor, A: Tensor) -> dict[str, Any]:
    K, V, W = A.shape
    return {"K": K, "V": V, "W": W, "BLOCK": JOINTS, "BC": _channels(x), "PRECISION": "ieee", "num_warps": 2}


@triton.jit
def _graph(A, k, across, down, J: tl.constexpr, I: tl.constexpr, BLOCK: tl.constexpr, V: tl.constexpr, W: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: E741
    """A partition as (BLOCK, BLOCK), of which J rows and I columns are numbers; `down` and `across` are strides."""
    j, i = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
    return tl.load(A + k * V * W + j * down + i * across, mask=(j < J) & (i < I), other=0.0)


@triton.jit
def _frame(start, stride, C, column, J: tl.constexpr, BLOCK: tl.constexpr, BC: tl.constexpr):  # type: ignore[no-untyped-def]
    """The places of a frame's joints and channels (BLOCK, BC), and which of them are valid."""
    j, c = tl.arange(0, BLOCK)[:, None], column * BC + tl.arange(0, BC)[None, :]
    return start + j.to(tl.int64) * stride + c, (j < J) & (c < C)


@triton.jit
def _forward(  # type: ignore[no-untyped-def]
    x, A, y, T, C, xb, xt, xv, K: tl.constexpr, V: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr,
    BC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1)
    at, valid = _frame((row // T) * xb + (row % T) * xt, xv, C, column, V, BLOCK, BC)
    X = tl.load(x + at, mask=valid, other=0.0)
    for k in tl.static_range(K):
        graph = _graph(A, k, W, 1, W, V, BLOCK, V, W).to(X.dtype)
        at, valid = _frame(row * W * K * C, K * C, C, column, W, BLOCK, BC)
        tl.store(y + at + k * C, tl.dot(graph, X, input_precision=PRECISION).to(X.dtype), mask=valid)


@triton.jit
def _backward(  # type: ignore[no-untyped-def]
    gy, A, gx, C, K: tl.constexpr, V: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr, BC: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1)
    total = tl.zeros((BLOCK, BC), tl.float32)
    for k in tl.static_range(K):
        at, valid = _frame(row * W * K * C, K * C, C, column, W, BLOCK, BC)
        G = tl.load(gy + at + k * C, mask=valid, other=0.0)
        total += tl.dot(_graph(A, k, 1, W, V, W, BLOCK, V, W).to(G.dtype), G, input_precision=PRECISION)
    at, valid = _frame(row * V * C, C, C, column, V, BLOCK, BC)
    tl.store(gx + at, total.to(gx.dtype.element_ty), mask=valid)


@triton.jit
def _backward_of_graph(  # type: ignore[no-untyped-def]
    x, gy, parts, rows, T, C, xb, xt, xv, K: tl.constexpr, V: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr,
    BC: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    part, k, step = tl.program_id(0), tl.program_id(1), tl.num_programs(0)
    total = tl.zeros((BLOCK, BLOCK), tl.float32)
    for i in range(0, tl.cdiv(rows - part, step)):
        row = part.to(tl.int64) + i * step
        for column in range(0, tl.cdiv(C, BC)):
            at, valid = _frame((row // T) * xb + (row % T) * xt, xv, C, column, V, BLOCK, BC)
            X = tl.load(x + at, mask=valid, other=0.0)
            at, valid = _frame(row * W * K * C, K * C, C, column, W, BLOCK, BC)
            G = tl.load(gy + at + k * C, mask=valid, other=0.0)
            total += tl.dot(X, tl.trans(G), input_precision=PRECISION)
    v, w = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
    tl.store(parts + (part * K + k) * V * W + v * W + w, total, mask=(v < V) & (w < W))
