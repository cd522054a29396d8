"""Batch normalisation of channels-last features, and the projection that carries a residual."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class TokenNorm(nn.BatchNorm1d):
    """Batch normalisation over everything before the last `num_features` numbers.

    With `num_features = C` every channel has its statistics (a 2-D batch norm); with `V·C` every channel of every
    joint has (Plizzari et al., section 4.3, "data normalization"). The input (B, T, V, C) must end in them.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, self.num_features)).view(x.shape)


class Projection(nn.Module):
    """1x1 convolution with a temporal stride, batch norm and, unless `relu=False`, ReLU.

    (B, T, V, in) -> (B, ceil(T / stride), V, out).
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.stride = stride
        self.relu = relu
        self.linear = nn.Linear(in_channels, out_channels)
        self.bn = TokenNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.linear(x[:, :: self.stride]))
        return F.relu(y) if self.relu else y
