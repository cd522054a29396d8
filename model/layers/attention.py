"""The one attention: multi-head self-attention over tokens (B, L, D), whatever axis the tokens come from.

Source: Vaswani et al., *Attention Is All You Need*, NeurIPS 2017, section 3.2; Plizzari et al., *Skeleton-based
action recognition via spatial and temporal transformer networks*, CVIU 2021, sections 4.1 and 4.2, for its use on
joints and on frames, and for dropped keys ("drop connect").

Axis legend: B samples, R rows of tokens (the frames or joints of a sample), L tokens, H heads, d key width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from model.layers.linear import Linear
from model.layers.pieces import in_pieces

LONG = 64  # tokens from which a GPU's fused attention is faster than two products, and (L, L) too large to keep
PART = 2**28  # most logits that a GPU holds at once where its fused attention cannot add relative positions
SHORT = 16  # tokens below which a CPU's softmax is several times slower than its formula
DROP = 0.5  # probability that `drop_connect` drops a key (published)


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    keep: Tensor | None = None,
    relative: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """softmax(q·k + q·r + bias)·v over the kept keys.

    Dropped keys get logits so low that nothing is left of them; where all are dropped, the result is zero. (The
    published code takes them out behind the softmax and divides by what is left, plus 1e-8: the same, unless that is
    next to nothing.)

    Args:
        q, k: (..., L, d), `q` already scaled.
        v: (..., L, dv).
        keep: (..., L, 1) bool, False where a key is dropped for all queries.
        relative: (L, L, d), r_ij of query i and key j; or (2L - 1, d), where r_ij is that of the distance j - i.
        bias: (L, L) or (..., L, L), added to the logits.

    Returns:
        (..., L, dv).
    """
    mask = None if keep is None else q.new_zeros(keep.shape).masked_fill(~keep, torch.finfo(q.dtype).min / 2)
    if q.is_cpu or q.shape[-2] < LONG:
        y = _products(q, k, v, mask, bias, relative)
    elif relative is None and bias is None:
        y = _fused(q, k, v, mask)
    else:
        y = _in_parts(q, k, v, mask, bias, relative)
    return y if keep is None else y * keep.any(dim=-2, keepdim=True).to(y.dtype)


def _products(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, relative: Tensor | None
) -> Tensor:
    """Logits, softmax, values: the formula as it is written."""
    logits = _Products.apply(q, k)
    if relative is not None:
        logits = logits + _relative(q, relative)
    if bias is not None:
        logits = logits + bias
    if mask is not None:
        logits.add_(mask.transpose(-1, -2))
    return _softmax(logits) @ v


class _Products(torch.autograd.Function):
    """q·k of all queries and keys; keys have few channels, and a CPU takes products of few columns slowly."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor) -> Tensor:
        ctx.save_for_backward(q, k)
        return q @ k.transpose(-1, -2)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor]:
        q, k = (x.transpose(-1, -2) for x in ctx.saved_tensors)
        g = grad[0].to(q.dtype)  # in autocast the product may be of another one
        return (k @ g.transpose(-1, -2)).transpose(-1, -2), (q @ g).transpose(-1, -2)


def _in_parts(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, relative: Tensor | None
) -> Tensor:
    """The same for some samples at a time, and again for each in backward: nothing of size (L, L) stays."""
    size = max(1, PART // (q.shape[1:-1].numel() * q.shape[-2]))
    n = len(q.split(size))
    own = bias is not None and bias.dim() == q.dim() and len(bias) == len(q)
    biases = bias.split(size) if own and bias is not None else [bias] * n
    masks = [None] * n if mask is None else mask.split(size)
    parts = zip(q.split(size), k.split(size), v.split(size), masks, biases, strict=True)
    return torch.cat([checkpoint(_products, *part, relative, use_reentrant=False) for part in parts])


def _relative(q: Tensor, r: Tensor) -> Tensor:
    """q_i·r_ij, (..., L, L)."""
    L = q.shape[-2]
    if r.dim() == 3:
        return torch.einsum("...id,ijd->...ij", q, r)
    if L == 1:
        return q @ r.T
    products = (q @ r.T).flatten(-2)  # (i, j) stands at (i, j - i + L - 1) of (L, 2L - 1): L - 1 on in rows one shorter
    return products[..., L - 1 : -1].unflatten(-1, (L, 2 * L - 2))[..., :L]


def _softmax(logits: Tensor) -> Tensor:
    """Of the last axis; on a CPU in float32 at least, which is faster than in bfloat16, too.

    Torch's own takes rows that are shorter than a vector register number by number.
    """
    if not logits.is_cpu:
        return logits.softmax(dim=-1)
    wide = torch.promote_types(logits.dtype, torch.float32)
    if logits.shape[-1] >= SHORT:
        return logits.softmax(dim=-1, dtype=wide).to(logits.dtype)
    p = (logits - logits.detach().amax(dim=-1, keepdim=True)).to(wide).exp()
    return (p / p.sum(dim=-1, keepdim=True)).to(logits.dtype)


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """The same by fused kernels, which want (B, H, L, d) and one width of 8, 16, ... for q, k and v.

    The mask is one more channel of the keys, where that of the queries is 1.
    """
    if mask is not None:
        q, k = torch.cat([q, torch.ones_like(q[..., :1])], dim=-1), torch.cat([k, mask], dim=-1)
    width = -(-max(q.shape[-1], v.shape[-1]) // 8) * 8
    q4, k4, v4 = (F.pad(x, (0, width - x.shape[-1])).flatten(0, -4) for x in (q, k, v))
    y = F.scaled_dot_product_attention(q4, k4, v4, scale=1.0)
    return y.reshape(*q.shape[:-1], width)[..., : v.shape[-1]]


class Attention(nn.Module):
    """Self-attention (B, R, L, in) -> (B, R, L, out), a row for itself; no logits are kept for backward with long L.

    Args:
        heads: number of heads H.
        key_width, value_width: channels of one head's keys and values.
        scale: factor of the queries (the published models do not always take `key_width ** -0.5`).
        relative: module that gives r_ij for a length L, as `attend` takes them, or None.
        bias: module that gives (L, L) for the logits, or None.
        drop_connect: in training drop keys with probability 0.5, drawn per sample, row and head.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        heads: int,
        key_width: int,
        value_width: int,
        scale: float,
        relative: nn.Module | None = None,
        bias: nn.Module | None = None,
        drop_connect: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.widths = [heads * key_width, heads * key_width, heads * value_width]
        self.scale = scale
        self.qkv = Linear(in_channels, sum(self.widths))
        self.out = Linear(heads * value_width, out_channels)
        self.relative = relative
        self.bias = bias
        self.drop_connect = drop_connect

    def forward(self, x: Tensor, relation: Tensor | None = None) -> Tensor:
        """`relation` (B, R or 1, H or 1, L or 1, L) is added to the logits."""
        B, R, L, _ = x.shape
        keep = None
        if self.drop_connect and self.training:
            keep = torch.rand(B, R, self.heads, L, 1, device=x.device) >= DROP

        def piece(qkv: Tensor, keep: Tensor | None, relation: Tensor | None, *shared: Tensor | None) -> Tensor:
            relative, bias = shared
            parts = qkv.split(self.widths, dim=-1)
            q, k, v = (rearrange(part, "b r l (h d) -> b r h l d", h=self.heads) for part in parts)
            y = attend(q * self.scale, k, v, keep=keep, relative=relative, bias=_sum(bias, relation))
            return rearrange(y, "b r h l d -> b r l (h d)")

        relative = None if self.relative is None else self.relative(L)
        bias = None if self.bias is None else self.bias()
        inside = self.heads * L * L
        return self.out(in_pieces(piece, self.qkv(x), keep, relation, shared=[relative, bias], inside=inside))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b
