"""`layers.attention` in faster forms for a CPU, and by the fused kernels of a GPU.

Heads have 2 to 32 channels and 10 to 300 tokens, sizes for which general kernels are not made
(`benchmarks/attention.py` times them, docs/benchmarks.md has figures).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from model.fast import gpu
from model.fast.faster import faster, plain
from model.layers.attention import Term, attend, similarity
from model.layers.terms import by_distance

LONG = 64  # tokens from which torch's fused kernels are faster than the plain products


@faster(attend)
def attend_with_masked_keys(
    q: Tensor, k: Tensor, v: Tensor, terms: Iterable[Term] = (), keep: Tensor | None = None
) -> Tensor:
    """Queries get one more channel of 1, keys one that is low where they are dropped: no (L, L) is masked.

    A GPU takes kernels that keep no (L, L), where there are any for so many tokens: ours, or else torch's.
    """
    terms = list(terms)
    if q.is_cuda and gpu.available():
        from model.fast.gpu.attention import attend_fused, serves

        if serves(q, v, biased=bool(terms)):
            bias = reduce(torch.add, (term(q) for term in terms)) if terms else None
            return attend_fused(q, k, v, keep, bias)
    fuses = not q.is_cpu and not terms and q.shape[-2] >= LONG
    if not q.is_cpu and not fuses:
        return plain(attend)(q, k, v, terms, keep)
    queries = q
    if keep is not None:
        mask = q.new_zeros(keep.shape).masked_fill(~keep, torch.finfo(q.dtype).min / 2).transpose(-1, -2)
        queries, k = torch.cat([q, torch.ones_like(q[..., :1])], dim=-1), torch.cat([k, mask], dim=-1)
    y = _fused(queries, k, v) if fuses else plain(attend)(queries, k, v, [partial(_given, term, q) for term in terms])
    return y if keep is None else y * keep.any(dim=-1, keepdim=True)


def _given(term: Term, q: Tensor, _: Tensor) -> Tensor:
    """The term of the queries without their channel for the mask."""
    return term(q)


def _fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Fused kernels want (B, H, L, d) with one width of 8, 16, ... for q, k and v."""
    width = -(-max(q.shape[-1], v.shape[-1]) // 8) * 8
    q4, k4, v4 = (F.pad(x, (0, width - x.shape[-1])).flatten(0, -4) for x in (q, k, v))
    y = F.scaled_dot_product_attention(q4, k4, v4, scale=1.0).reshape(*q.shape[:-1], width)[..., : v.shape[-1]]
    if y.requires_grad:
        y.register_hook(_refuse_second_derivatives)
    return y


def _refuse_second_derivatives(_: Tensor) -> None:
    if torch.is_grad_enabled():
        raise RuntimeError("fused attention has no second derivatives; call the model inside `model.fast.reference()`")


@faster(similarity)
def similarity_with_wide_gradients(q: Tensor, k: Tensor) -> Tensor:
    """Gradients are products with L columns: a CPU is slow where a product has few, as keys have channels."""
    return _Similarity.apply(q, k)


class _Similarity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor) -> Tensor:
        ctx.save_for_backward(q, k)
        return q @ k.transpose(-1, -2)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor]:
        q, k = (x.transpose(-1, -2) for x in ctx.saved_tensors)
        g = grad[0].to(q.dtype)  # in autocast the product may be of another type
        return (k @ g.transpose(-1, -2)).transpose(-1, -2), (q @ g).transpose(-1, -2)


@faster(by_distance)
def by_distance_in_one_product(q: Tensor, r: Tensor) -> Tensor:
    """q·r of all distances in one product instead of L, of which each query then takes L.

    In (L, 2L - 1) the entry (i, j) stands at (i, j - i + L - 1), and in rows that are one shorter at (i, j), L - 1
    numbers on.
    """
    L = q.shape[-2]
    if L == 1:
        return q @ r.T
    return (q @ r.T).flatten(-2)[..., L - 1 : -1].unflatten(-1, (L, 2 * L - 2))[..., :L]
