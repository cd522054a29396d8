"""The temporal convolution of ST-GCN (Yan et al., AAAI 2018, section 3.3)."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from model.layers.basic import Dropout, norm_relu


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
