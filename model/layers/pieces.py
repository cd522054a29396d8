"""Work piece by piece, as the cache of a CPU wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from model.layers.linear import linear

PIECE = 2**20  # numbers inside a piece: 4 MB in float32, which the cache that the cores share holds
WHOLE = 2**22  # numbers inside all rows up to which nothing is gained by pieces


def in_pieces(
    function: Callable[..., Tensor],
    x: Tensor,
    *others: Tensor | None,
    shared: Sequence[Tensor | None],
    inside: int,
    end: nn.Linear | None = None,
) -> Tensor:
    """`function(x, *others, *shared)` of tensors (B, R, ...), by pieces of both axes; rows must be independent.

    On a CPU, what a piece needs inside stays in the cache, and backward computes it again instead of fetching it from
    memory: that is about as fast as the whole at once, and nothing inside is kept. GPUs take the whole, and so do CPUs
    where it is small.

    Args:
        function: of pieces (b, r, ...) of `x` and `others`, and of `shared`; gives (b, r, ...). It must not depend on
            other tensors that gradients are for.
        others: their R may be 1.
        shared: what all rows are computed with.
        inside: how many numbers a row takes inside.
        end: what ends each piece, if its result takes less memory; this is not computed again.

    Raises:
        RuntimeError: in backward of pieces, where a second derivative is asked for.
    """
    if not x.is_cpu or x.shape[0] * x.shape[1] * inside <= WHOLE:
        y = function(x, *others, *shared)
        return end(y) if end else y
    size = max(1, PIECE // inside)
    weight, bias = (end.weight, end.bias) if end else (None, None)
    return _Pieces.apply(function, size, 1 + len(others), weight, bias, x, *others, *shared)


def _pieces(x: Tensor, size: int) -> Iterator[tuple[slice, slice]]:
    """Parts of `x` (B, R, ...) of at most `size` rows: of one sample, or of several whole ones."""
    B, R = x.shape[:2]
    b, r = max(1, size // R), min(size, R)
    for i in range(0, B, b):
        for j in range(0, R, r):
            yield slice(i, i + b), slice(j, j + r)


def _part(x: Any, piece: tuple[slice, slice]) -> Any:
    return None if x is None else x[piece] if x.shape[1] > 1 else x[piece[0]]


def _leaf(x: Tensor | None, wanted: bool) -> Any:
    return None if x is None else x.detach().requires_grad_(wanted)


class _Pieces(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu")
    def forward(
        ctx: Any, function: Callable[..., Tensor], size: int, num_row: int, weight: Any, bias: Any, *rest: Tensor
    ) -> Tensor:
        ctx.function, ctx.size, ctx.num_row = function, size, num_row
        ctx.save_for_backward(weight, *rest)
        rows, shared, out = rest[:num_row], rest[num_row:], None
        for piece in _pieces(rows[0], size):
            y = function(*(_part(x, piece) for x in rows), *shared)
            y = y if weight is None else linear(y, weight, bias)
            if out is None:
                out = _like(rows[0], y)
            out[piece] = y
        if out is None:
            raise RuntimeError("there are no rows to take in pieces")
        return out

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "there are no second derivatives of attention and graph convolution in pieces (model/layers/pieces.py)"
            )
        (weight, *rest), num_row = ctx.saved_tensors, ctx.num_row
        needs = ctx.needs_input_grad[5:]
        wanted = [i for i, need in enumerate(needs) if need]
        shared = [_leaf(x, need) for x, need in zip(rest[num_row:], needs[num_row:], strict=True)]
        whole = {i: i < num_row and rest[i].shape[1] > 1 for i in wanted}  # each number is in one piece alone
        grads = {i: (torch.empty_like if whole[i] else torch.zeros_like)(rest[i]) for i in wanted}
        of_weight = None if weight is None else torch.zeros_like(weight)
        of_bias = weight.new_zeros(len(weight)) if ctx.needs_input_grad[4] else None
        for piece in _pieces(rest[0], ctx.size):
            own = [_leaf(_part(x, piece), need) for x, need in zip(rest[:num_row], needs, strict=False)]
            inputs = [*own, *shared]
            with torch.enable_grad():
                h = ctx.function(*inputs)
            g = grad[0][piece]
            if of_weight is not None:
                flat = g.flatten(0, -2)
                of_weight += flat.T @ h.detach().flatten(0, -2)
                if of_bias is not None:
                    of_bias += flat.sum(dim=0)
                g = linear(g, weight.T)
            if wanted:
                found = torch.autograd.grad(h, [inputs[i] for i in wanted], g.to(h.dtype))
                for i, part in zip(wanted, found, strict=True):
                    target = _part(grads[i], piece) if i < num_row else grads[i]
                    target.copy_(part) if whole[i] else target.add_(part)
        return (None, None, None, of_weight, of_bias, *(grads.get(i) for i in range(len(rest))))


def _like(x: Tensor, y: Tensor) -> Tensor:
    """Room for all rows of `x` (B, R, ...), each as in `y`, in the order of memory that `x` has."""
    shape, strides = [*x.shape[:2], *y.shape[2:]], x.stride()
    room, step = [0] * len(shape), 1
    for axis in sorted(range(len(shape)), key=lambda axis: strides[axis]):
        room[axis] = step
        step *= shape[axis]
    return y.new_empty_strided(shape, room)
