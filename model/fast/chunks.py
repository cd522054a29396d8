"""`model.replaceable.by_rows` in chunks: some rows at a time, computed again in backward instead of kept.

On a CPU what a chunk needs inside stays in the cache, so that computing it again takes about the time of fetching it
from memory. On a GPU long attention with terms in its logits would keep (L, L) of every row; fused
kernels serve the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from model.fast.attention import LONG
from model.fast.faster import faster
from model.layers.attention import Attention
from model.layers.gcn import GraphConv
from model.replaceable import Switch, by_rows

SMALL = 2**22  # numbers inside all rows up to which a CPU gains nothing by chunks
CPU_CHUNK = 2**20  # numbers inside a chunk: 4 MB in float32, which the cache that the cores share holds
GPU_CHUNK = 2**28  # most logits that a GPU holds at once

Grid = list[tuple[slice, slice]]  # of rows (B, R)


@faster(by_rows)
def by_chunks(module: nn.Module, method: Callable[..., Tensor], x: Tensor, *others: Tensor | None) -> Tensor:
    """`method(module, x, *others)` by chunks of both axes of rows.

    Each chunk is a checkpoint of torch with the parameters and buffers that the module has now: hooks, parametrisations
    and wrapped layers inside act, in each chunk; gradients reach whatever is used; second derivatives are right.
    """
    rows = _rows_of_a_chunk(module, x, others)
    if rows is None:
        return method(module, x, *others)
    grid = list(_grid(x.shape[0], x.shape[1], rows))
    chunks = zip(grid, *(_cut(tensor, grid, x.shape[:2]) for tensor in (x, *others)), strict=True)
    remembers = torch.is_grad_enabled()
    bound = _bound(module, method) if remembers else None
    y = x
    for number, (place, *chunk) in enumerate(chunks):
        part = checkpoint(bound, *chunk, use_reentrant=False) if bound else method(module, *chunk)
        y = y if number else _room(part, x.shape, x.stride())
        y = _Write.apply(y, part, place) if remembers else _write(y, part, place)
    return y


def _rows_of_a_chunk(module: nn.Module, x: Tensor, others: tuple[Tensor | None, ...]) -> int | None:
    """How many rows make a chunk; None: all rows at once."""
    B, R, L, _ = x.shape
    if not x.numel():
        return None
    inside = module.heads * L * L if isinstance(module, Attention) else x[0, 0].numel()
    if isinstance(module, GraphConv):
        inside *= len(module.A)
    if x.is_cpu:
        return max(1, CPU_CHUNK // inside) if B * R * inside > SMALL else None
    added = isinstance(module, Attention) and (len(module.terms) or others[-1] is not None)
    return max(1, GPU_CHUNK // inside) if added and L >= LONG else None


def _grid(B: int, R: int, rows: int) -> Iterator[tuple[slice, slice]]:
    """Chunks of at most `rows` rows: part of one sample, or several samples."""
    b, r = max(1, rows // R), min(rows, R)
    for i in range(0, B, b):
        for j in range(0, R, r):
            yield slice(i, i + b), slice(j, j + r)


def _cut(x: Tensor | None, grid: Grid, shape: torch.Size) -> list[Tensor | None] | tuple[Tensor, ...]:
    """The chunks of a tensor (B or 1, R or 1, ...)."""
    if x is None:
        return [None] * len(grid)
    if x.shape[:2] == shape:
        return _Cut.apply(x, grid)
    B, R = x.shape[:2]
    return [x[i if B > 1 else slice(None), j if R > 1 else slice(None)] for i, j in grid]


def _bound(module: nn.Module, method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`method` of `module` with its present tensors, whatever the module holds when backward calls it again."""
    present = _tensors(module)

    def call(*args: Tensor | None) -> Tensor:
        before, Switch.on = Switch.on, True
        try:
            now = _tensors(module)
            if all(now[name] is tensor for name, tensor in present.items()):
                return method(module, *args)
            return functional_call(_Method(module, method), present, args)
        finally:
            Switch.on = before

    return call


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    named = (*module.named_parameters(), *module.named_buffers())
    return {f"module.{name}": tensor for name, tensor in named}


class _Method(nn.Module):
    """A method as the forward of a module of its own, for `functional_call`."""

    def __init__(self, module: nn.Module, method: Callable[..., Tensor]) -> None:
        super().__init__()
        self.module = module
        self.method = method

    def forward(self, *args: Tensor | None) -> Tensor:
        return self.method(self.module, *args)


def _room(chunk: Tensor, shape: torch.Size, strides: tuple[int, ...]) -> Tensor:
    """Memory for all rows (B, R), each as in `chunk`, in the order of memory of a tensor with these strides."""
    shape = torch.Size([*shape[:2], *chunk.shape[2:]])
    room, step = [0] * len(shape), 1
    for axis in sorted(range(len(shape)), key=lambda axis: strides[axis]):
        room[axis] = step
        step *= shape[axis]
    return chunk.new_empty_strided(shape, room)


class _Cut(torch.autograd.Function):
    """Views of the chunks; backward joins their gradients once, where slices would add up one by one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Grid) -> tuple[Tensor, ...]:
        ctx.grid, ctx.shape, ctx.strides = grid, x.shape, x.stride()
        return tuple(x[chunk] for chunk in grid)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        x = _room(grads[0], ctx.shape, ctx.strides)
        for place, chunk in zip(ctx.grid, grads, strict=True):
            x = _write(x, chunk, place) if not torch.is_grad_enabled() else _Write.apply(x, chunk, place)
        return x, None


class _Write(torch.autograd.Function):
    """Writes a chunk to its place in `y`, and leaves nothing of it in memory but there."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, chunk: Tensor, place: tuple[slice, slice]) -> Tensor:
        ctx.place = place
        ctx.mark_dirty(y)
        return _write(y, chunk, place)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor, None]:
        return grad[0], grad[0][ctx.place], None


def _write(y: Tensor, chunk: Tensor, place: tuple[slice, slice]) -> Tensor:
    y[place] = chunk
    return y
