"""Temporal convolutions: ST-GCN's (Yan et al., AAAI 2018, section 3.3), and Zoom Transformer's of several scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.layers.linear import Linear
from model.layers.norm import Dropout, TokenNorm


class TemporalConv(nn.Module):
    """dropout -> convolution over `kernel` frames -> batch norm -> ReLU.

    (B, T, V, in) -> (B, ceil(T / stride), V, out); every joint for itself.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int = 9, stride: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.conv = nn.Conv2d(
            in_channels, out_channels, (kernel, 1), stride=(stride, 1), padding=((kernel - 1) // 2, 0)
        )
        nn.init.normal_(self.conv.weight, std=(2 / (out_channels * kernel)) ** 0.5)
        self.bn = TokenNorm(out_channels, relu=True)

    def forward(self, x: Tensor) -> Tensor:
        # (B, C, T, V) in channels-last memory: both permutations are views
        y = self.conv(self.dropout(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.bn(y)


class MultiScaleTCN(nn.Module):
    """For each kernel a 1x1 convolution, then one over so many frames; side by side; batch norm.

    (B, T, V, in) -> (B, ceil(T / stride), V, out). Source: Zhang et al., IEEE TCSVT 2022.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.mix = Linear(in_channels, len(kernels) * in_channels)
        width = out_channels // len(kernels)
        self.convs = nn.ModuleList(
            nn.Conv2d(in_channels, width, (k, 1), stride=(stride, 1), padding=((k - 1) // 2, 0)) for k in kernels
        )
        self.bn = TokenNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.mix(x).permute(0, 3, 1, 2).chunk(len(self.convs), dim=1)
        y = torch.cat([conv(part) for conv, part in zip(self.convs, parts, strict=True)], dim=1)
        return self.bn(y.permute(0, 2, 3, 1))
