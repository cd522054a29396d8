"""Temporal convolutions: ST-GCN's (Yan et al., AAAI 2018, section 3.3), and Zoom Transformer's of several scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from model.layers.basic import Dropout, Linear, norm_relu, normalise


def over_frames(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Conv2d:
    """Convolution over `kernel` frames of each joint: (B, C, T, V) -> (B, C, ceil(T / stride), V)."""
    return nn.Conv2d(in_channels, out_channels, (kernel, 1), stride=(stride, 1), padding=((kernel - 1) // 2, 0))


class TemporalConv(nn.Module):
    """Dropout, convolution over `kernel` frames of each joint, batch norm, ReLU.

    (B, T, V, in) -> (B, ceil(T / stride), V, out).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int = 9, stride: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.conv = over_frames(in_channels, out_channels, kernel, stride)
        nn.init.normal_(self.conv.weight, std=(2 / (out_channels * kernel)) ** 0.5)
        self.bn = nn.BatchNorm1d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(rearrange(self.dropout(x), "b t v c -> b c t v"))
        return norm_relu(rearrange(y, "b c t v -> b t v c"), self.bn)


class MultiScaleTCN(nn.Module):
    """For each kernel a 1x1 convolution, then one over so many frames; side by side; batch norm.

    (B, T, V, in) -> (B, ceil(T / stride), V, out). Source: Zhang et al., *Zoom Transformer*, IEEE TCSVT 2022.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.mix = Linear(in_channels, len(kernels) * in_channels)
        width = out_channels // len(kernels)
        self.convs = nn.ModuleList(over_frames(in_channels, width, kernel, stride) for kernel in kernels)
        self.bn = nn.BatchNorm1d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        parts = rearrange(self.mix(x), "b t v (k c) -> k b c t v", k=len(self.convs))
        y = torch.cat([conv(part) for conv, part in zip(self.convs, parts, strict=True)], dim=1)
        return normalise(rearrange(y, "b c t v -> b t v c"), self.bn)
