"""Batch normalisation, ReLU and dropout of channels-last features, and the projection that carries a residual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from model.layers.linear import Linear

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by their bytes


class _ReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x > 0)
        ctx.mark_dirty(x)
        return x.relu_()

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return _kept(grad[0], positive)


def relu(x: Tensor) -> Tensor:
    """ReLU in place of `x`, no view, which remembers one byte a number for backward instead of the result."""
    return _ReLU.apply(x) if torch.is_grad_enabled() and x.requires_grad else x.relu_()


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        n, limit = x.numel(), round(p * 2**16)
        bits = torch.empty(-(-n // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None).view(torch.int16)
        bits = bits[:n].as_strided(x.shape, x.stride())
        keep = bits >= limit - 2**15
        ctx.save_for_backward(keep)
        ctx.scale = 2**16 / (2**16 - limit)
        return _kept(x, keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return _kept(grad[0], keep).mul_(ctx.scale), None


def _kept(x: Tensor, keep: Tensor) -> Tensor:
    """`x`, zero where `keep` is; its bits, as integers, times bytes: floats times bool take up to six times as long."""
    if torch.is_grad_enabled():  # for a second derivative
        return x * keep
    return (x.view(INTEGERS[x.element_size()]) * keep.view(torch.uint8)).view(x.dtype)


class Dropout(nn.Dropout):
    """Dropout; a CPU draws 16 bits a number (`p` to 1 / 65536), a third of the time that torch's own takes."""

    def forward(self, x: Tensor) -> Tensor:
        dense = x.is_cpu and torch._debug_has_internal_overlap(x) == 0
        return _Dropout.apply(x, self.p) if dense and self.training and 0 < self.p < 1 else super().forward(x)


class TokenNorm(nn.BatchNorm1d):
    """Batch normalisation over everything before the last `num_features` numbers.

    With `num_features = C` every channel has its statistics (a 2-D batch norm); with `V·C` every channel of every
    joint has (Plizzari et al., section 4.3, "data normalization"). The input (B, T, V, C) must end in them.

    Args:
        relu: end in ReLU.

    Attributes:
        total: sum of a tensor over the processes whose batches have common statistics in training; None: alone.

    Raises:
        ValueError: in training, a single value of each feature, which has no variance.
    """

    total: Callable[[Tensor], Tensor] | None = None

    def __init__(self, num_features: int, *, relu: bool = False) -> None:
        super().__init__(num_features)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.num_features)
        if self.training and len(rows) == 1 and self.total is None:
            raise ValueError(
                f"batch norm: a single value of each of {self.num_features} features reached it, and in training their "
                "variance is needed; give a batch of two samples or more, or call model.eval() to predict"
            )
        y = self._together(rows, self.total) if self.training and self.total else super().forward(rows)
        # no `view`, for which autograd would copy gradients when the next layer changes the result in place
        return torch.ops.aten._unsafe_view(relu(y) if self.relu else y, x.shape)

    def _together(self, x: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:
        """Normalises (n, C) by the statistics of all processes: their mean, and then the variance around it."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        sums = total(torch.cat([wide.sum(dim=0), wide.new_tensor([len(x)])]))
        mean, number = sums[:-1] / sums[-1], sums[-1]
        centred = wide - mean
        variance = total(centred.square().sum(dim=0)) / number
        with torch.no_grad():
            unbiased = variance * number / (number - 1)
            for running, found in ((self.running_mean, mean), (self.running_var, unbiased)):
                running.lerp_(found.to(running.dtype), self.momentum)  # type: ignore[union-attr, arg-type]
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        return (centred * (self.weight * (variance + self.eps).rsqrt()) + self.bias).to(x.dtype)


class Projection(nn.Module):
    """1x1 convolution with a temporal stride, batch norm and, unless `relu=False`, ReLU.

    (B, T, V, in) -> (B, ceil(T / stride), V, out).
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.stride = stride
        self.linear = Linear(in_channels, out_channels)
        self.bn = TokenNorm(out_channels, relu=relu)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.linear(x[:, :: self.stride]))
