"""Batch normalisation and ReLU of channels-last features, and the projection that carries a residual."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _ReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x > 0)
        ctx.mark_dirty(x)
        return x.relu_()

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return grad[0] * positive


def relu(x: Tensor) -> Tensor:
    """ReLU in place of `x`, no view, which remembers one byte a number for backward instead of the result."""
    return _ReLU.apply(x)


class TokenNorm(nn.BatchNorm1d):
    """Batch normalisation over everything before the last `num_features` numbers.

    With `num_features = C` every channel has its statistics (a 2-D batch norm); with `V·C` every channel of every
    joint has (Plizzari et al., section 4.3, "data normalization"). The input (B, T, V, C) must end in them.

    Args:
        relu: end in ReLU.
    """

    def __init__(self, num_features: int, *, relu: bool = False) -> None:
        super().__init__(num_features)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x.reshape(-1, self.num_features))
        # no `view`, for which autograd would copy gradients when the next layer changes the result in place
        return torch.ops.aten._unsafe_view(relu(y) if self.relu else y, x.shape)


class Projection(nn.Module):
    """1x1 convolution with a temporal stride, batch norm and, unless `relu=False`, ReLU.

    (B, T, V, in) -> (B, ceil(T / stride), V, out).
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.stride = stride
        self.linear = nn.Linear(in_channels, out_channels)
        self.bn = TokenNorm(out_channels, relu=relu)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.linear(x[:, :: self.stride]))
