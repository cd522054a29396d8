"""`layers.attention.attend` by kernels whose logits stay in registers.

General kernels write (L, L) of every row and head to memory and read it again, four times as much as queries, keys and
values of 25 joints. Backward computes the weights again.

Up to 64 tokens, a program has one row and head. Of more tokens, it has one row and head and a block of the queries,
and takes the keys block by block: weights are of the largest logit so far, and what was summed shrinks when a larger
one comes (Milakov and Gimelshein, *Online normalizer calculation for softmax*, 2018). Forward leaves the logarithm of
each query's sum, with which backward has the weights of any block at once.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.fast.gpu import device_of, refuse_second_derivatives

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SHORT, LONG = 64, 512  # most tokens of the one kind and of the other
WIDTH, LONG_WIDTH = 64, 32  # most channels of a head: wider blocks of float32 are too many for the registers
BLOCK = 64  # tokens that a program of the long kind takes at a time


def serves(q: Tensor, v: Tensor, *, biased: bool) -> bool:
    """Whether `attend_fused` can compute this: (B, R, H, L, d) of a size and type that it knows."""
    most, width = (SHORT, WIDTH) if biased or q.shape[-2] <= SHORT else (LONG, LONG_WIDTH)
    fits = q.shape[-2] <= most and max(q.shape[-1], v.shape[-1]) <= width
    return fits and q.dim() == 5 and q.dtype == v.dtype in DTYPES


def attend_fused(q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """softmax(q·k + bias)·v over the keys that are kept: (B, R, H, L, d), (B, R, H, L, dv) -> (B, R, H, L, dv).

    `keep` (B, R, H, 1, L) and `bias` may have axes of length 1; more than 64 tokens have no bias.
    """
    with device_of(q):
        if q.shape[-2] > SHORT:
            return _Long.apply(q, k, v, keep)
        return _Short.apply(q, k, v, None if bias is None else bias.expand(*q.shape[:-1], q.shape[-2]), keep)


class _Short(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, keep: Tensor | None) -> Tensor:
        q, k, v = (_in_order(x) for x in (q, k, v))
        seen = _seen(keep, q)
        ctx.save_for_backward(q, k, v, bias, seen)
        y = _room(v, v)
        _launch(_forward, q, k, v, bias, seen, y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives("attention")
        q, k, v, bias, seen = ctx.saved_tensors
        grads = [_room(x, v) for x in (q, k, v)]
        of_bias = None if bias is None else bias.new_empty(bias.shape)
        _launch(_backward, q, k, v, bias, seen, _in_order(grad[0]), *grads, q if of_bias is None else of_bias)
        return *grads, of_bias, None


class _Long(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, keep: Tensor | None) -> Tensor:
        q, k, v = (_in_order(x) for x in (q, k, v))
        seen, y = _seen(keep, q), _room(v, v)
        levels = torch.empty(q.shape[:-1], dtype=torch.float32, device=q.device)
        ctx.save_for_backward(q, k, v, seen, y, levels)
        _launch_blocks(_forward_of_block, (q, k, v), seen, y, levels)
        return y

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives("attention")
        q, k, v, seen, y, levels = ctx.saved_tensors
        grads = [_room(x, v) for x in (q, k, v)]
        _launch_blocks(_backward_of_block, (q, k, v, _in_order(grad[0])), seen, y, levels, *grads)
        return *grads, None


def _seen(keep: Tensor | None, q: Tensor) -> Tensor | None:
    """`keep` as bytes, side by side for the keys of a row and head."""
    return None if keep is None else keep.expand(*q.shape[:3], 1, q.shape[3]).contiguous().view(torch.uint8)


def _in_order(x: Tensor) -> Tensor:
    """The channels of a token side by side."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _room(x: Tensor, v: Tensor) -> Tensor:
    """Memory of the shape of `x` (B, R, H, L, d) with the channels of all heads of a token side by side.

    Rows and tokens are in the order in which they are in `v`: what comes before and after needs no copy.
    """
    B, R, H, L, d = x.shape
    if _tokens_first(v):
        return x.new_empty(B, L, R, H, d).permute(0, 2, 3, 1, 4)
    return x.new_empty(B, R, L, H, d).transpose(2, 3)


def _tokens_first(v: Tensor) -> bool:
    return v.stride(3) > v.stride(1)


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


def _launch_blocks(kernel: Any, strided: tuple[Tensor, ...], seen: Tensor | None, *others: Tensor) -> None:
    """Runs a kernel with a program for each row, head and block of tokens; `others` are of `_room`, or (B, R, H, L)."""
    q, _, v, *_ = strided
    B, R, H, L, d = q.shape
    if not q.numel():
        return
    kernel[(B * R * H, triton.cdiv(L, BLOCK))](
        *strided, q if seen is None else seen, *others, R, L, *((H, R * H) if _tokens_first(v) else (L * H, H)),
        *(stride for x in strided for stride in x.stride()[:4]),
        H=H, D=d, DV=v.shape[-1], MASKED=seen is not None, BLOCK=BLOCK,
        WIDE=max(16, triton.next_power_of_2(d)), WIDE_V=max(16, triton.next_power_of_2(v.shape[-1])),
        PRECISION="ieee", num_warps=4, num_stages=2,
    )  # fmt: skip


@triton.jit
def _start(program, R, H: tl.constexpr, b, r, h):  # type: ignore[no-untyped-def]
    """Where the first token of the program's row and head is; `b`, `r` and `h` are strides."""
    row = program // H
    return (row // R) * b + (row % R) * r + (program % H) * h


@triton.jit
def _tokens(start, stride, L, D: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr):  # type: ignore[no-untyped-def]
    """The places of a block (BLOCK, WIDE) of tokens' channels, and which of them are valid."""
    token, channel = tl.arange(0, BLOCK)[:, None], tl.arange(0, WIDE)[None, :]
    return start + token * stride + channel, (token < L) & (channel < D)


@triton.jit
def _load(x, start, stride, first, L, D: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr):  # type: ignore[no-untyped-def]
    """The channels (BLOCK, WIDE) of the tokens from `first` on; zero beyond the last."""
    at, valid = _tokens(start + first * stride, stride, L - first, D, BLOCK, WIDE)
    return tl.load(x + at, mask=valid, other=0.0)


@triton.jit
def _weights(  # type: ignore[no-untyped-def]
    q, k, bias, across, stride, seen, L: tl.constexpr, BIASED: tl.constexpr, MASKED: tl.constexpr, BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The softmax over the keys that are kept, in float32; zero where there are none."""
    query, key = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)
    valid = key < L
    logits = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    if BIASED:
        logits += tl.load(bias + query * stride + key[None, :] * across, mask=(query < L) & valid[None, :], other=0.0)
    if MASKED:
        valid = valid & (tl.load(seen + key, mask=valid, other=0) != 0)
    logits = tl.where(valid[None, :], logits, float("-inf"))
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
    Q = _load(q, _start(program, R, H, qb, qr, qh), ql, 0, L, D, BLOCK, WIDE)
    K = _load(k, _start(program, R, H, kb, kr, kh), kl, 0, L, D, BLOCK, WIDE)
    V = _load(v, _start(program, R, H, vb, vr, vh), vl, 0, L, DV, BLOCK, WIDE_V)
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
    Q = _load(q, _start(program, R, H, qb, qr, qh), ql, 0, L, D, BLOCK, WIDE)
    K = _load(k, _start(program, R, H, kb, kr, kh), kl, 0, L, D, BLOCK, WIDE)
    V = _load(v, _start(program, R, H, vb, vr, vh), vl, 0, L, DV, BLOCK, WIDE_V)
    G = _load(gy, _start(program, R, H, yb, yr, yh), yl, 0, L, DV, BLOCK, WIDE_V)
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


@triton.jit
def _place(program, R, L, row, H: tl.constexpr, D: tl.constexpr):  # type: ignore[no-untyped-def]
    """Where the first token of the program's row and head is in what `_room` made, whose rows are `row` heads apart."""
    r = program // H
    return ((r // R) * R * L * H + (r % R) * row + program % H) * D


@triton.jit
def _store(  # type: ignore[no-untyped-def]
    x, block, program, first, R, L, row, token, H: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
    WIDE: tl.constexpr,
):  # fmt: skip
    """Writes the channels (BLOCK, WIDE) of the tokens from `first` on into what `_room` made."""
    at, valid = _tokens(_place(program, R, L, row, H, D) + first * token * D, token * D, L - first, D, BLOCK, WIDE)
    tl.store(x + at, block.to(x.dtype.element_ty), mask=valid)


@triton.jit
def _kept(seen, first, L, MASKED: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Which keys of the block are valid and kept."""
    key = first + tl.arange(0, BLOCK)
    valid = key < L
    if MASKED:
        valid = valid & (tl.load(seen + key, mask=valid, other=0) != 0)
    return valid


@triton.jit
def _forward_of_block(  # type: ignore[no-untyped-def]
    q, k, v, seen, y, levels, R, L, row, token, qb, qr, qh, ql, kb, kr, kh, kl, vb, vr, vh, vl,
    H: tl.constexpr, D: tl.constexpr, DV: tl.constexpr, MASKED: tl.constexpr,
    BLOCK: tl.constexpr, WIDE: tl.constexpr, WIDE_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The result of a block of queries, and the logarithm of the sum of each one's exp(logit): inf without a key."""
    program, start = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK
    keys, values = _start(program, R, H, kb, kr, kh), _start(program, R, H, vb, vr, vh)
    seen += program * L
    Q = _load(q, _start(program, R, H, qb, qr, qh), ql, start, L, D, BLOCK, WIDE)
    top = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    Y = tl.zeros((BLOCK, WIDE_V), tl.float32)
    for first in range(0, L, BLOCK):
        K = _load(k, keys, kl, first, L, D, BLOCK, WIDE)
        V = _load(v, values, vl, first, L, DV, BLOCK, WIDE_V)
        valid = _kept(seen, first, L, MASKED, BLOCK)
        logits = tl.where(valid[None, :], tl.dot(Q, tl.trans(K), input_precision=PRECISION), float("-inf"))
        before = top
        top = tl.maximum(top, tl.max(logits, axis=1))
        base = tl.where(top == float("-inf"), 0.0, top)
        p, shrink = tl.exp(logits - base[:, None]), tl.exp(before - base)
        total = total * shrink + tl.sum(p, axis=1)
        Y = Y * shrink[:, None] + tl.dot(p.to(V.dtype), V, input_precision=PRECISION)
    none = total == 0.0
    total = tl.where(none, 1.0, total)
    _store(y, Y / total[:, None], program, start, R, L, row, token, H, DV, BLOCK, WIDE_V)
    query = start + tl.arange(0, BLOCK)
    tl.store(levels + program * L + query, tl.where(none, float("inf"), top + tl.log(total)), mask=query < L)


@triton.jit
def _of_queries(  # type: ignore[no-untyped-def]
    gy, y, levels, program, begin, stride, first, R, L, row, token,
    H: tl.constexpr, DV: tl.constexpr, BLOCK: tl.constexpr, WIDE_V: tl.constexpr,
):  # fmt: skip
    """Of a block of queries: the gradient of the result, the logarithm of the sum, and gradient · result."""
    G = _load(gy, begin, stride, first, L, DV, BLOCK, WIDE_V)
    Y = _load(y, _place(program, R, L, row, H, DV), token * DV, first, L, DV, BLOCK, WIDE_V)
    query = first + tl.arange(0, BLOCK)
    level = tl.load(levels + program * L + query, mask=query < L, other=float("inf"))
    return G, level, tl.sum(G.to(tl.float32) * Y.to(tl.float32), axis=1)


@triton.jit
def _pairs(a, b, of_a, of_b, valid, level, mean, PRECISION: tl.constexpr):  # type: ignore[no-untyped-def]
    """The weights of tokens a and b, queries and keys or the reverse, and the gradients of their logits."""
    logits = tl.where(valid, tl.dot(a, tl.trans(b), input_precision=PRECISION), float("-inf"))
    p = tl.exp(logits - level)
    return p, p * (tl.dot(of_a, tl.trans(of_b), input_precision=PRECISION) - mean)


@triton.jit
def _backward_of_block(  # type: ignore[no-untyped-def]
    q, k, v, gy, seen, y, levels, gq, gk, gv, R, L, row, token,
    qb, qr, qh, ql, kb, kr, kh, kl, vb, vr, vh, vl, yb, yr, yh, yl,
    H: tl.constexpr, D: tl.constexpr, DV: tl.constexpr, MASKED: tl.constexpr,
    BLOCK: tl.constexpr, WIDE: tl.constexpr, WIDE_V: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradients of a block of tokens: first of its keys and values, from all queries, then of its queries."""
    program, start = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK
    queries, results = _start(program, R, H, qb, qr, qh), _start(program, R, H, yb, yr, yh)
    keys, values = _start(program, R, H, kb, kr, kh), _start(program, R, H, vb, vr, vh)
    seen += program * L

    K = _load(k, keys, kl, start, L, D, BLOCK, WIDE)
    V = _load(v, values, vl, start, L, DV, BLOCK, WIDE_V)
    valid = _kept(seen, start, L, MASKED, BLOCK)
    of_keys, of_values = tl.zeros((BLOCK, WIDE), tl.float32), tl.zeros((BLOCK, WIDE_V), tl.float32)
    for first in range(0, L, BLOCK):
        Q = _load(q, queries, ql, first, L, D, BLOCK, WIDE)
        G, level, mean = _of_queries(gy, y, levels, program, results, yl, first, R, L, row, token, H, DV, BLOCK, WIDE_V)
        p, g = _pairs(K, Q, V, G, valid[:, None], level[None, :], mean[None, :], PRECISION)
        of_values += tl.dot(p.to(G.dtype), G, input_precision=PRECISION)
        of_keys += tl.dot(g.to(Q.dtype), Q, input_precision=PRECISION)
    _store(gk, of_keys, program, start, R, L, row, token, H, D, BLOCK, WIDE)
    _store(gv, of_values, program, start, R, L, row, token, H, DV, BLOCK, WIDE_V)

    Q = _load(q, queries, ql, start, L, D, BLOCK, WIDE)
    G, level, mean = _of_queries(gy, y, levels, program, results, yl, start, R, L, row, token, H, DV, BLOCK, WIDE_V)
    of_queries = tl.zeros((BLOCK, WIDE), tl.float32)
    for first in range(0, L, BLOCK):
        K = _load(k, keys, kl, first, L, D, BLOCK, WIDE)
        V = _load(v, values, vl, first, L, DV, BLOCK, WIDE_V)
        valid = _kept(seen, first, L, MASKED, BLOCK)
        _, g = _pairs(Q, K, G, V, valid[None, :], level[:, None], mean[:, None], PRECISION)
        of_queries += tl.dot(g.to(K.dtype), K, input_precision=PRECISION)
    _store(gq, of_queries, program, start, R, L, row, token, H, D, BLOCK, WIDE)
