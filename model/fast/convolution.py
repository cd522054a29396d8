"""`layers.tcn.convolve` on a CPU as products of frequencies: a quarter of the multiplications for nine taps.

Frames are cut into tiles: 24 frames give 16 outputs of nine taps. A discrete Fourier transform over the frames of a
tile turns the convolution into one product of matrices for each frequency, over the channels, for all joints and tiles.
A complex product costs three real ones, so there are 35 of them instead of 16 · 9. All this is real and linear:

    y = Aᵀ((G·w) ∘ (B·x))    B (P, 24), G (P, taps), A (P, 25 - taps), P = 35 products

With a stride of two, even and odd frames each have a convolution with half of the taps, and the products of both are
added. Rounding errors are smaller than in the sums of taps · channels numbers. Gains are in docs/benchmarks.md.

Axis legend: B samples, T frames, V joints, C channels.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from math import pi
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model.fast.faster import faster, plain
from model.layers.tcn import convolve

FRAMES = 24  # of a tile; of 12 to 32 the fastest for most sizes
PRODUCTS = 3 * FRAMES // 2 - 1
CHUNK = 2**20  # numbers of B·x at a time: 4 MB in float32, which the cache that the cores share holds
SMALL = 3  # a multiplication by A, B or G takes as long as so many of the products, and one more for each thread

Places = list[tuple[slice, slice]]  # for each tile, rows of the tile and the frames that they are


@faster(convolve)
def convolve_by_frequencies(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """On a CPU in float32 and float64, where there are channels enough to pay for the transforms."""
    serves = x.is_cpu and x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")
    if serves and _pays(*x.shape, *weight.shape[:3:2], stride, SMALL + torch.get_num_threads()):
        return _Convolution.apply(x, weight, bias, stride)
    return plain(convolve)(x, weight, bias, stride)


@lru_cache
def _pays(B: int, T: int, V: int, C: int, out: int, taps: int, stride: int, small: int) -> bool:
    """Whether the products and transforms have fewer multiplications than the convolution."""
    length, outputs = _outputs(T, taps, stride)
    if not B * T * V or outputs < taps:
        return False
    tile = stride * C * out + small * (stride * FRAMES * C + outputs * out)
    ours = PRODUCTS * (B * V * -(-length // outputs) * tile + small * taps * C * out)
    return ours < B * V * length * taps * C * out


def _outputs(T: int, taps: int, stride: int) -> tuple[int, int]:
    """Of the convolution, and of a tile."""
    return -(-T // stride), FRAMES + 1 - -(-taps // stride)


@lru_cache
def _matrices(outputs: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """A, G and B.

    With the transforms X = Σ x e^(-iωt) = a - ib of frames and W = c - id of taps, y = Σ Re(X·W*·e^(iωt)) / 24 over all
    ω. Those of 0 and π are real, and the others count twice. (a - ib)(c + id) = r - is has three products:
    c(a - b), a(d - c) and b(c + d), with r = c(a - b) + b(c + d) and -s = c(a - b) + a(d - c).
    """
    A: list[Tensor] = []
    G: list[Tensor] = []
    B: list[Tensor] = []
    for k in range(FRAMES // 2 + 1):
        angle = 2 * pi * k / FRAMES * torch.arange(FRAMES, dtype=torch.float64)
        cos, sin = angle.cos(), angle.sin()
        if k in (0, FRAMES // 2):
            A, G, B = [*A, cos / 2], [*G, cos], [*B, cos]
        else:
            A, G, B = [*A, cos - sin, -sin, cos], [*G, cos, sin - cos, cos + sin], [*B, cos - sin, cos, sin]
    a, g, b = (torch.stack(rows).to(dtype) for rows in (A, G, B))
    return (2 / FRAMES * a[:, :outputs]).contiguous(), g[:, : FRAMES + 1 - outputs].contiguous(), b


class _Phase(NamedTuple):
    """Frames r, r + stride, ... and the taps that meet them."""

    taps: slice
    G: Tensor
    U: Tensor  # G·w, (P, in, out)
    places: Places


class _Plan:
    """The matrices, the places and the chunks of samples for one input (B, T, V, in)."""

    def __init__(self, x: Tensor, weight: Tensor, stride: int) -> None:
        T, taps = x.shape[1], weight.shape[2]
        length, outputs = _outputs(T, taps, stride)
        starts = range(0, length, outputs)
        self.A, G, self.B = _matrices(outputs, x.dtype)
        self.places = _places(length, starts, outputs)
        self.phases = []
        for r in range(stride):
            w = weight.detach()[:, :, r::stride, 0]
            g = G[:, : w.shape[2]]
            U = torch.einsum("pk,oik->pio", g, w).contiguous()
            places = _places(T, starts, FRAMES, first=r - taps // 2, step=stride)
            self.phases.append(_Phase(slice(r, None, stride), g, U, places))
        size = max(1, CHUNK // (PRODUCTS * len(starts) * x[0, 0].numel()))
        self.chunks = [slice(i, i + size) for i in range(0, len(x), size)]


def _places(T: int, starts: range, size: int, *, first: int = 0, step: int = 1) -> Places:
    """Of the frames `first`, `first` + `step`, ..., each tile has `size`; rows and places of those among 0 to T - 1."""
    begin, end = -(first // step), -((first - T) // step)
    places = []
    for start in starts:
        a = max(start, begin)
        b = max(min(start + size, end), a)
        places.append((slice(a - start, b - start), slice(first + a * step, first + b * step, step)))
    return places


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        ctx.stride = stride
        plan = _Plan(x, weight, stride)
        y = x.new_empty(len(x), plan.places[-1][1].stop, x.shape[2], len(weight))
        for chunk in plan.chunks:
            Y = reduce(Tensor.add_, (torch.bmm(_tiles(plan.B, x[chunk], p.places), p.U) for p in plan.phases))
            if bias is not None:
                Y[0] += FRAMES * bias  # the first row of A is 1 / FRAMES
            _frames(plan.A, Y, y[chunk], plan.places)
        return y

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        if torch.is_grad_enabled():  # second derivatives are those of the plain function
            wanted = [tensor for tensor, needed in zip((x, weight, bias), ctx.needs_input_grad, strict=False) if needed]
            y = plain(convolve)(x, weight, bias, ctx.stride)
            gradients = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
            return tuple(next(gradients) if needed else None for needed in ctx.needs_input_grad)
        plan = _Plan(x, weight, ctx.stride)
        dx, dU = x.new_zeros(x.shape) if of_x else None, [torch.zeros_like(phase.U) for phase in plan.phases]
        for chunk in plan.chunks:
            dY = _tiles(plan.A, grad[0][chunk], plan.places)
            for phase, of_U in zip(plan.phases, dU, strict=True):
                if of_weight:
                    of_U.baddbmm_(_tiles(plan.B, x[chunk], phase.places).mT, dY)
                if dx is not None:
                    _frames(plan.B, torch.bmm(dY, phase.U.mT), dx[chunk], phase.places, add=True)
        dw = torch.empty_like(weight) if of_weight else None
        for phase, of_U in zip(plan.phases, dU, strict=True):
            if dw is not None:
                dw[:, :, phase.taps, 0] = torch.einsum("pk,pio->oik", phase.G, of_U)
        return dx, dw, grad[0].sum(dim=(0, 1, 2)) if of_bias else None, None


def _tiles(matrix: Tensor, x: Tensor, places: Places) -> Tensor:
    """matrix · the frames of each tile: (P, size), (B, T, V, C) -> (P, B · tiles · V, C)."""
    B, _, V, C = x.shape
    products = x.new_empty(len(matrix), B, len(places), V * C)
    for b, sample in enumerate(x.flatten(2)):
        for tile, (rows, frames) in enumerate(places):
            torch.mm(matrix[:, rows], sample[frames], out=products[:, b, tile])
    return products.view(len(matrix), -1, C)


def _frames(matrix: Tensor, products: Tensor, y: Tensor, places: Places, *, add: bool = False) -> None:
    """matrixᵀ · the products of each tile, put to its frames of y (B, T, V, C), or added to them."""
    matrix, products = matrix.T.contiguous(), products.view(len(matrix), len(y), len(places), -1)
    for b, sample in enumerate(y.flatten(2)):
        for tile, (rows, frames) in enumerate(places):
            if add:
                sample[frames].addmm_(matrix[rows], products[:, b, tile])
            else:
                torch.mm(matrix[rows], products[:, b, tile], out=sample[frames])
