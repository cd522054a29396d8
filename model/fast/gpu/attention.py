"""`layers.attention.attend` between few tokens: one kernel, whose logits stay in registers.

A program has one row and head: up to 64 tokens and their few channels. General kernels write (L, L) of every row and
head to memory and read it again, four times as much as queries, keys and values of 25 joints. Backward computes the
weights again.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TOKENS, WIDTH = 64, 64  # most tokens, and most channels of a head


def serves(q: Tensor, v: Tensor) -> bool:
    """Whether `attend_short` can compute this: (B, R, H, L, d) of a size and type that it knows."""
    return q.dim() == 5 and q.dtype == v.dtype in DTYPES and q.shape[-2] <= TOKENS and v.shape[-1] <= WIDTH


def attend_short(q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """softmax(q·k + bias)·v over the keys that are kept: (B, R, H, L, d), (B, R, H, L, dv) -> (B, R, H, L, dv)."""
    shape = (*q.shape[:-1], q.shape[-2])
    return _Short.apply(q, k, v, None if bias is None else bias.expand(shape), keep)


class _Short(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, keep: Tensor | None) -> Tensor:
        q, k, v = (_in_order(x) for x in (q, k, v))
        seen = None if keep is None else keep.expand(*q.shape[:3], 1, q.shape[3]).contiguous().view(torch.uint8)
        ctx.save_for_backward(q, k, v, bias, seen)
        y = _room(v)
        _launch(_forward, q, k, v, bias, seen, y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this attention has no second derivatives; call the model inside `model.fast.reference()`"
            )
        q, k, v, bias, seen = ctx.saved_tensors
        grads = [_room(x) for x in (q, k, v)]
        of_bias = None if bias is None else bias.new_empty(bias.shape)
        _launch(_backward, q, k, v, bias, seen, _in_order(grad[0]), *grads, q if of_bias is None else of_bias)
        return *grads, of_bias, None


def _in_order(x: Tensor) -> Tensor:
    """The channels of a token side by side."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _room(x: Tensor) -> Tensor:
    """Memory of the shape (B, R, H, L, d) in which the channels of all heads of a token lie side by side."""
    B, R, H, L, d = x.shape
    return x.new_empty(B, R, L, H, d).transpose(2, 3)


def _launch(
    kernel: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, seen: Tensor | None, *others: Tensor
) -> None:
    """Runs a kernel with a program for each row and head."""
    B, R, H, L, d = q.shape
    if not q.numel():
        return
    tensors = (q, k, v, q if bias is None else bias, *others)
    block = max(16, triton.next_power_of_2(L))
    kernel[(B * R * H,)](
        *tensors, q if seen is None else seen, R, 0 if bias is None else bias.stride(-1),
        *(stride for x in tensors for stride in x.stride()[:4]),
        H=H, L=L, D=d, DV=v.shape[-1], BIASED=bias is not None, MASKED=seen is not None, BLOCK=block,
        WIDE=max(16, triton.next_power_of_2(d)), WIDE_V=max(16, triton.next_power_of_2(v.shape[-1])),
        PRECISION="ieee", num_warps=1 if block < 64 else 4,
    )  # fmt: skip


@triton.jit
def _start(program, R, H: tl.constexpr, b, r, h):  # type: ignore[no-untyped-def]
    """Where the first token of the program's row and head is; `b`, `r` and `h` are strides."""
    row = program // H
    return (row // R) * b + (row % R) * r + (program % H) * h


@triton.jit
def _tokens(start, stride, L: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr):  # type: ignore[no-untyped-def]
    """The places of a block (BLOCK, WIDE) of tokens' channels, and which of them there are."""
    token, channel = tl.arange(0, BLOCK)[:, None], tl.arange(0, WIDE)[None, :]
    return start + token * stride + channel, (token < L) & (channel < D)


@triton.jit
def _weights(  # type: ignore[no-untyped-def]
    q, k, bias, across, stride, seen, L: tl.constexpr, BIASED: tl.constexpr, MASKED: tl.constexpr, BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The softmax over the keys that are kept, in float32; zero where there are none."""
    query, key = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)
    there = key < L
    logits = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    if BIASED:
        logits += tl.load(bias + query * stride + key[None, :] * across, mask=(query < L) & there[None, :], other=0.0)
    if MASKED:
        there = there & (tl.load(seen + key, mask=there, other=0) != 0)
    logits = tl.where(there[None, :], logits, float("-inf"))
    top = tl.max(logits, axis=1)
    p = tl.exp(logits - tl.where(top == float("-inf"), 0.0, top)[:, None])
    total = tl.sum(p, axis=1)
    return p / tl.where(total == 0.0, 1.0, total)[:, None]


@triton.jit
def _forward(  # type: ignore[no-untyped-def]
    q, k, v, bias, y, seen, R, across,
    qb, qr, qh, ql, kb, kr, kh, kl, vb, vr, vh, vl, bb, br, bh, bl, yb, yr, yh, yl,
    H: tl.constexpr, L: tl.constexpr, D: tl.constexpr, DV: tl.constexpr, BIASED: tl.constexpr, MASKED: tl.constexpr,
    BLOCK: tl.constexpr, WIDE: tl.constexpr, WIDE_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    at, keys = _tokens(_start(program, R, H, qb, qr, qh), ql, L, D, BLOCK, WIDE)
    Q = tl.load(q + at, mask=keys, other=0.0)
    at, keys = _tokens(_start(program, R, H, kb, kr, kh), kl, L, D, BLOCK, WIDE)
    K = tl.load(k + at, mask=keys, other=0.0)
    at, values = _tokens(_start(program, R, H, vb, vr, vh), vl, L, DV, BLOCK, WIDE_V)
    V = tl.load(v + at, mask=values, other=0.0)
    bias += _start(program, R, H, bb, br, bh)
    p = _weights(Q, K, bias, across, bl, seen + program * L, L, BIASED, MASKED, BLOCK, PRECISION)
    at, values = _tokens(_start(program, R, H, yb, yr, yh), yl, L, DV, BLOCK, WIDE_V)
    tl.store(y + at, tl.dot(p.to(V.dtype), V, input_precision=PRECISION).to(V.dtype), mask=values)


@triton.jit
def _backward(  # type: ignore[no-untyped-def]
    q, k, v, bias, gy, gq, gk, gv, gbias, seen, R, across,
    qb, qr, qh, ql, kb, kr, kh, kl, vb, vr, vh, vl, bb, br, bh, bl, yb, yr, yh, yl,
    gqb, gqr, gqh, gql, gkb, gkr, gkh, gkl, gvb, gvr, gvh, gvl, gbb, gbr, gbh, gbl,
    H: tl.constexpr, L: tl.constexpr, D: tl.constexpr, DV: tl.constexpr, BIASED: tl.constexpr, MASKED: tl.constexpr,
    BLOCK: tl.constexpr, WIDE: tl.constexpr, WIDE_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    at, keys = _tokens(_start(program, R, H, qb, qr, qh), ql, L, D, BLOCK, WIDE)
    Q = tl.load(q + at, mask=keys, other=0.0)
    at, keys = _tokens(_start(program, R, H, kb, kr, kh), kl, L, D, BLOCK, WIDE)
    K = tl.load(k + at, mask=keys, other=0.0)
    at, values = _tokens(_start(program, R, H, vb, vr, vh), vl, L, DV, BLOCK, WIDE_V)
    V = tl.load(v + at, mask=values, other=0.0)
    at, values = _tokens(_start(program, R, H, yb, yr, yh), yl, L, DV, BLOCK, WIDE_V)
    G = tl.load(gy + at, mask=values, other=0.0)
    bias += _start(program, R, H, bb, br, bh)
    p = _weights(Q, K, bias, across, bl, seen + program * L, L, BIASED, MASKED, BLOCK, PRECISION)
    g = tl.dot(G, tl.trans(V), input_precision=PRECISION)  # of the weights
    g = p * (g - tl.sum(p * g, axis=1)[:, None])  # of the logits
    if BIASED:
        at, pairs = _tokens(_start(program, R, H, gbb, gbr, gbh), gbl, L, L, BLOCK, BLOCK)
        tl.store(gbias + at, g.to(gbias.dtype.element_ty), mask=pairs)
    g = g.to(Q.dtype)
    at, keys = _tokens(_start(program, R, H, gqb, gqr, gqh), gql, L, D, BLOCK, WIDE)
    tl.store(gq + at, tl.dot(g, K, input_precision=PRECISION).to(Q.dtype), mask=keys)
    at, keys = _tokens(_start(program, R, H, gkb, gkr, gkh), gkl, L, D, BLOCK, WIDE)
    tl.store(gk + at, tl.dot(tl.trans(g), Q, input_precision=PRECISION).to(Q.dtype), mask=keys)
    at, values = _tokens(_start(program, R, H, gvb, gvr, gvh), gvl, L, DV, BLOCK, WIDE_V)
    tl.store(gv + at, tl.dot(tl.trans(p.to(G.dtype)), G, input_precision=PRECISION).to(V.dtype), mask=values)
