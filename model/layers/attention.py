"""The one attention: multi-head self-attention over tokens (B, R, L, C), whatever axis the tokens come from.

Sources: Vaswani et al., *Attention Is All You Need*, NeurIPS 2017, section 3.2; Plizzari et al., *Skeleton-based
action recognition via spatial and temporal transformer networks*, CVIU 2021, sections 4.1 and 4.2, for attention over
joints and over frames, and for dropped keys ("drop connect").

Axis legend: B samples, R rows of tokens (the frames or joints of a sample), L tokens, H heads, d channels of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from einops import rearrange
from torch import Tensor, nn

from model.layers.basic import Linear
from model.replaceable import replaceable, rowwise

Term = Callable[[Tensor], Tensor]  # the queries (..., L, d) -> (..., L, L), added to the logits


@replaceable
def similarity(q: Tensor, k: Tensor) -> Tensor:
    """q·k of all queries and keys: (..., L, d), (..., L, d) -> (..., L, L)."""
    return q @ k.transpose(-1, -2)


def compare(q: Tensor, k: Tensor, terms: Iterable[Term] = ()) -> Tensor:
    """The logits q·k + Σ term(q): (..., L, d), (..., L, d) -> (..., L, L)."""
    return sum((term(q) for term in terms), start=similarity(q, k))


@replaceable
def attend(q: Tensor, k: Tensor, v: Tensor, terms: Iterable[Term] = (), keep: Tensor | None = None) -> Tensor:
    """softmax(q·k + Σ term(q))·v over the keys that are kept; zero where none is.

    The published code drops keys after the softmax and divides the rest by its sum + 1e-8. This is the same, as long
    as that sum is not next to nothing.

    `q`, which is already scaled, and `k` are (..., L, d); `v` and the result (..., L, dv); `keep` (..., 1, L) is False
    where all queries ignore a key.
    """
    logits = compare(q, k, terms)
    if keep is None:
        return logits.softmax(dim=-1) @ v
    dropped = torch.zeros_like(keep, dtype=q.dtype).masked_fill(~keep, torch.finfo(q.dtype).min / 2)
    return (logits + dropped).softmax(dim=-1) @ v * keep.any(dim=-1, keepdim=True)


class Attention(nn.Module):
    """Multi-head self-attention (B, R, L, in) -> (B, R, L, out); the tokens of a row attend to each other.

    Args:
        heads: number of heads H.
        key_width, value_width: channels of one head's keys and values.
        scale: factor of the queries (the published models do not always take `key_width ** -0.5`).
        terms: modules by name that are added to the logits, each `term(q)`: (B, R, H, L, key_width) -> a tensor that
            broadcasts to (B, R, H, L, L). To add another one: `attention.terms["name"] = module`.
        drop_key: the probability with which training drops a key, drawn per sample, row and head (published: 0.5).
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
        terms: Mapping[str, nn.Module] | None = None,
        drop_key: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale
        self.widths = [heads * key_width, heads * key_width, heads * value_width]
        self.qkv = Linear(in_channels, sum(self.widths))
        self.terms = nn.ModuleDict(terms)
        self.out = Linear(heads * value_width, out_channels)
        self.drop_key = drop_key

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """`bias` (B, R or 1, H or 1, L or 1, L) is added to the logits."""
        keep = None
        if self.drop_key and self.training:
            keep = torch.rand(*x.shape[:2], self.heads, 1, x.shape[2], device=x.device) >= self.drop_key
        return self.out(self.mix(self.qkv(x), keep, bias))

    def logits(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, R, H, L, L), a row a query; their softmax over the last axis is what the values are weighted with."""
        q, k, _, terms = self._parts(self.qkv(x), bias)
        return compare(q, k, terms)

    @rowwise
    def mix(self, qkv: Tensor, keep: Tensor | None, bias: Tensor | None) -> Tensor:
        """Attention of all heads: queries, keys and values (B, R, L, H·(2d + dv)) -> (B, R, L, H·dv)."""
        return rearrange(attend(*self._parts(qkv, bias), keep), "b r h l d -> b r l (h d)")

    def _parts(self, qkv: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor, list[Term]]:
        q, k, v = (rearrange(x, "b r l (h d) -> b r h l d", h=self.heads) for x in qkv.split(self.widths, dim=-1))
        return q * self.scale, k, v, [*self.terms.values(), *([] if bias is None else [lambda _: bias])]
