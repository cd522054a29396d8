"""Spatial and temporal self-attention units of ST-TR.

Sources: Plizzari et al., CVIU 2021, sections 4.1 to 4.3; the convolution beside an attention, which gives part of the
output's channels, is "augmented convolution", section 5.5 of arXiv 2008.07404.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from model.layers.attention import Attention
from model.layers.basic import norm_relu, normalise


class SpatialAttention(nn.Module):
    """The joints of every frame attend to each other: (B, T, V, in) -> (B, T, V, out).

    Args:
        attention: over tokens of `in` channels; gives `out` channels, or those that `conv` leaves.
        norm: batch norm of the input, or None.
        conv: graph convolution of the normalised input, whose channels come first, or None.
        skip: add the input (which then has `out` channels).
    """

    def __init__(
        self,
        out_channels: int,
        *,
        attention: Attention,
        norm: nn.BatchNorm1d | None,
        conv: nn.Module | None,
        skip: bool,
    ) -> None:
        super().__init__()
        self.norm, self.attention, self.conv = norm, attention, conv
        self.skip = skip
        self.bn = nn.BatchNorm1d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        h = normalise(x, self.norm)
        y = self.attention(h)
        if self.conv is not None:
            y = torch.cat([self.conv(h), y], dim=-1)
        if self.skip:
            y = y + x
        return norm_relu(y, self.bn)


class TemporalAttention(nn.Module):
    """The frames of every joint attend to each other: (B, T, V, C) -> (B, ceil(T / stride), V, C).

    Args:
        attention: over tokens of `kernel * C` channels.
        norm: batch norm of the input, or None.
        conv: temporal convolution of the input as it came, whose channels come first, or None.
        down: of the input as it came, for a residual, or None.
        stride: there is one token for every `stride` frames.
        kernel: how many of these frames a token joins: `stride`, or 1, the first.
        window: frames attend inside windows of so many (the last one may be shorter); None: to all frames.
    """

    def __init__(
        self,
        channels: int,
        *,
        attention: Attention,
        norm: nn.BatchNorm1d | None,
        conv: nn.Module | None,
        down: nn.Module | None,
        stride: int,
        kernel: int,
        window: int | None,
    ) -> None:
        super().__init__()
        self.norm, self.attention, self.conv, self.down = norm, attention, conv, down
        self.stride, self.kernel, self.window = stride, kernel, window
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self._attend(self._tokens(normalise(x, self.norm)).transpose(1, 2)).transpose(1, 2)
        if self.conv is not None:
            y = torch.cat([self.conv(x), y], dim=-1)
        if self.down is not None:
            y = self.down(x) + y
        return norm_relu(y, self.bn)

    def _tokens(self, x: Tensor) -> Tensor:
        """Frames to tokens (B, ceil(T / stride), V, kernel * C); an incomplete last token is filled with zeros."""
        if self.kernel == 1:
            return x[:, :: self.stride]
        x = F.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % self.stride))
        return rearrange(x, "b (t s) v c -> b t v (s c)", s=self.stride)

    def _attend(self, tokens: Tensor) -> Tensor:
        """Attention (B, V, T, D) -> (B, V, T, out) over all tokens, or inside windows."""
        T, window = tokens.shape[2], self.window
        if window is None or window >= T:
            return self.attention(tokens)
        full = T - T % window  # frames in full windows
        y = self.attention(rearrange(tokens[:, :, :full], "b v (w t) d -> b (v w) t d", t=window))
        y = rearrange(y, "b (v w) t d -> b v (w t) d", v=tokens.shape[1])
        return y if full == T else torch.cat([y, self.attention(tokens[:, :, full:])], dim=2)
