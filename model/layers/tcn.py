"""The temporal convolution of ST-GCN (Yan et al., AAAI 2018, section 3.3)."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from model.layers.basic import Dropout, norm_relu
from model.replaceable import replaceable


@replaceable
def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Over k frames of a joint, zeros beyond: (B, T, V, in), (out, in, k, 1) -> (B, ceil(T / stride), V, out)."""
    y = F.conv2d(rearrange(x, "b t v c -> b c t v"), weight, bias, (stride, 1), padding=(weight.shape[2] // 2, 0))
    return rearrange(y, "b c t v -> b t v c")


class FrameConv(nn.Conv2d):
    """Convolution over `kernel` (odd) frames of each joint: (B, T, V, in) -> (B, ceil(T / stride), V, out)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, (kernel, 1), stride=(stride, 1), padding=(kernel // 2, 0))

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.weight, self.bias, self.stride[0])


class TemporalConv(nn.Module):
    """Dropout, convolution over `kernel` frames of each joint, batch norm, ReLU.

    (B, T, V, in) -> (B, ceil(T / stride), V, out).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int = 9, stride: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.conv = FrameConv(in_channels, out_channels, kernel, stride)
        nn.init.normal_(self.conv.weight, std=(2 / (out_channels * kernel)) ** 0.5)
        self.bn = nn.BatchNorm1d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return norm_relu(self.conv(self.dropout(x)), self.bn)
