"""Linear layers, dropout, batch norm and ReLU of channels-last features."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from model.replaceable import replaceable


@replaceable
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x·Wᵀ + b: (..., in) -> (..., out)."""
    return F.linear(x, weight, bias)


@replaceable
def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """In training, zero with probability `p`, and the rest divided by 1 - p."""
    return F.dropout(x, p, training)


class Linear(nn.Linear):
    """A linear layer (..., in) -> (..., out)."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class Dropout(nn.Dropout):
    """Dropout of single numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


@replaceable
def normalise(x: Tensor, bn: nn.BatchNorm1d | None) -> Tensor:
    """Batch norm over everything before the last `bn.num_features` numbers of (B, T, V, C); None: `x` as it is.

    With C features every channel has its statistics, as in a 2-D batch norm; with V·C every channel of every joint has
    (Plizzari et al., CVIU 2021, section 4.3, "data normalization").
    """
    return x if bn is None else bn(x.reshape(-1, bn.num_features)).reshape(x.shape)


@replaceable
def norm_relu(x: Tensor, bn: nn.BatchNorm1d) -> Tensor:
    """ReLU(normalise(x))."""
    return F.relu(normalise(x, bn))


@replaceable
def add_relu(x: Tensor, y: Tensor) -> Tensor:
    """ReLU(x + y)."""
    return F.relu(x + y)


class Projection(nn.Module):
    """1x1 convolution with a temporal stride, batch norm, `relu`: (B, T, V, in) -> (B, ceil(T / stride), V, out)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.stride = stride
        self.linear = Linear(in_channels, out_channels)
        self.bn = nn.BatchNorm1d(out_channels)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x[:, :: self.stride])
        return norm_relu(y, self.bn) if self.relu else normalise(y, self.bn)
