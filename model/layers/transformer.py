"""Spatial and temporal self-attention units of ST-TR (Plizzari et al., CVIU 2021, sections 4.1 to 4.3), and ZiT-ZoT's.

ST-TR's normalise, attend along one axis, add the input and end in batch norm and ReLU; beside the attention a
convolution may give part of the output's channels ("augmented convolution", section 5.5 of arXiv 2008.07404).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from model.layers.attention import Attention
from model.layers.linear import Linear
from model.layers.norm import Dropout, Projection, TokenNorm


class MaskedAdjacency(nn.Module):
    """Attention bias: the adjacency, summed over its partitions, times a learnable mask that starts at one.

    `learnable`: the adjacency is, too.
    """

    adjacency: Tensor

    def __init__(self, A: Tensor, *, learnable: bool = False) -> None:
        super().__init__()
        if learnable:
            self.adjacency = nn.Parameter(A.sum(dim=0))
        else:
            self.register_buffer("adjacency", A.sum(dim=0))
        self.mask = nn.Parameter(torch.ones(A.shape[1:]))

    def forward(self) -> Tensor:
        return self.adjacency * self.mask


class GroupRelation(nn.Module):
    """Attention bias between tokens i and j of each head: tanh(a_j - b_i), a and b linear in the features.

    (B, R, L, C) -> (B, R, H, L, L).
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.a = nn.Linear(channels, heads)
        self.b = nn.Linear(channels, heads)

    def forward(self, x: Tensor) -> Tensor:
        a, b = (rearrange(f(x), "b r l h -> b r h l") for f in (self.a, self.b))
        return torch.tanh(a[..., None, :] - b[..., :, None])


class Transformer(nn.Module):
    """x + attention(x), then that + perceptron(its layer norm): (B, R, L, C) -> same (Zhang et al., TCSVT 2022)."""

    def __init__(self, attention: Attention, *, dropout: float) -> None:
        super().__init__()
        width = attention.out.out_features
        self.attention = attention
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            *(Linear(width, 2 * width), nn.ReLU(), Dropout(dropout)),
            *(Linear(2 * width, width), Dropout(dropout)),
        )

    def forward(self, x: Tensor, relation: Tensor | None = None) -> Tensor:
        x = x + self.attention(x, relation)
        return x + self.mlp(self.norm(x))


class SpatialAttention(nn.Module):
    """Every frame attends over its joints: (B, T, V, in) -> (B, T, V, out).

    Args:
        attention: over tokens of `in` channels; gives all of `out`, or what `conv` leaves.
        norm: of the input, or identity.
        conv: graph convolution of the normalised input whose channels come first, or None.
        skip: add the input (where it has `out` channels).
    """

    def __init__(
        self, out_channels: int, *, attention: Attention, norm: nn.Module, conv: nn.Module | None, skip: bool
    ) -> None:
        super().__init__()
        self.norm = norm
        self.attention = attention
        self.conv = conv
        self.skip = skip
        self.bn = TokenNorm(out_channels, relu=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        y = self.attention(h)
        if self.conv is not None:
            y = torch.cat([self.conv(h), y], dim=-1)
        if self.skip:
            y = y + x
        return self.bn(y)


class TemporalAttention(nn.Module):
    """Every joint attends over its frames: (B, T, V, C) -> (B, ceil(T / stride), V, C).

    Args:
        attention: over tokens of `kernel * C` channels.
        norm: of the input, or identity.
        conv: temporal convolution of the input as it came, whose channels come first, or None.
        skip: add the input, at a stride through a projection.
        stride: a token stands for so many frames.
        kernel: frames of those that the token sees: all (`stride`), or the first (1).
        window: frames attend inside windows of so many (a last one may be shorter); None: over all.
    """

    def __init__(
        self,
        channels: int,
        *,
        attention: Attention,
        norm: nn.Module,
        conv: nn.Module | None,
        skip: bool,
        stride: int,
        kernel: int,
        window: int | None,
    ) -> None:
        super().__init__()
        self.norm = norm
        self.attention = attention
        self.conv = conv
        self.stride = stride
        self.kernel = kernel
        self.window = window
        self.down: nn.Module | None = None
        if skip:
            self.down = Projection(channels, channels, stride=stride) if stride > 1 else nn.Identity()
        self.bn = TokenNorm(channels, relu=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self._attend(self._merge(self.norm(x)).transpose(1, 2)).transpose(1, 2)
        if self.conv is not None:
            y = torch.cat([self.conv(x), y], dim=-1)
        if self.down is not None:
            y = self.down(x) + y  # in the order of memory that `x` has
        return self.bn(y)

    def _merge(self, x: Tensor) -> Tensor:
        """Frames to tokens (B, ceil(T / stride), V, kernel * C); a last, incomplete token is filled with zeros."""
        if self.kernel == 1:
            return x[:, :: self.stride]
        x = F.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % self.stride))
        return rearrange(x, "b (t s) v c -> b t v (s c)", s=self.stride)

    def _attend(self, tokens: Tensor) -> Tensor:
        """Attention (B, V, T, D) -> (B, V, T, out) over all tokens, or inside windows."""
        T, window = tokens.shape[2], self.window
        if window is None or window >= T:
            return self.attention(tokens)
        whole = T - T % window
        y = self.attention(rearrange(tokens[:, :, :whole], "b v (w t) d -> b (v w) t d", t=window))
        y = rearrange(y, "b (v w) t d -> b v (w t) d", v=tokens.shape[1])
        return y if whole == T else torch.cat([y, self.attention(tokens[:, :, whole:])], dim=2)
