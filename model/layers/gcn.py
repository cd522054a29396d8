"""Graph convolution units: ST-GCN's with a learnable mask, and the adaptive one of 2s-AGCN.

Sources: Yan et al., *Spatial Temporal Graph Convolutional Networks*, AAAI 2018, equation 10; Shi et al., *Two-Stream
Adaptive Graph Convolutional Networks*, CVPR 2019, equation 3. The 1x1 convolutions of all partitions are one linear
layer, whose input holds the partitions side by side.

Axis legend: features are (B, T, V, C); K partitions of the adjacency A (K, V, V).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from model.layers.basic import Linear, Projection, add_relu, norm_relu, normalise
from model.replaceable import replaceable, rowwise


@replaceable
def propagate(x: Tensor, A: Tensor) -> Tensor:
    """x·A for every partition: (B, T, V, C), (K, V, W) or (B, 1, K, V, W) -> (B, T, W, K·C)."""
    rows = rearrange(A, "... k v w -> ... (w k) v")
    y = torch.matmul(rows.expand(*x.shape[:2], -1, -1), x)
    return rearrange(y, "b t (w k) c -> b t w (k c)", k=A.shape[-3])


class GraphConv(nn.Module):
    """Σ_k W_k (x·(A_k ∘ mask_k)) + b: (B, T, V, in) -> (B, T, V, out).

    Args:
        A: (K, V, V) adjacency partitions, kept as a buffer.
        mask_learning: multiply `A` with a learnable mask that starts at one.
        std: standard deviation of the first weights; None: (2 / out)^½.
    """

    A: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, *, A: Tensor, mask_learning: bool = False, std: float | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("A", A.clone())
        self.mask = nn.Parameter(torch.ones_like(A)) if mask_learning else None
        self.linear = Linear(len(A) * in_channels, out_channels)
        nn.init.normal_(self.linear.weight, std=std or (2 / out_channels) ** 0.5)

    def forward(self, x: Tensor, adaptive: Tensor | None = None) -> Tensor:
        """`adaptive` (B, K, V, V) is added to the adjacency of each sample."""
        return self.convolve(x, None if adaptive is None else adaptive[:, None])

    @rowwise
    def convolve(self, x: Tensor, adaptive: Tensor | None) -> Tensor:
        """`adaptive` is (B, 1, K, V, V)."""
        A = self.A if self.mask is None else self.A * self.mask
        return self.linear(propagate(x, A if adaptive is None else A + adaptive))


class GCN(nn.Module):
    """Graph convolution, batch norm of channels (with `local_bn` of the channels of each joint), ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, *, A: Tensor, mask_learning: bool = True, local_bn: bool = False
    ) -> None:
        super().__init__()
        self.local_bn = local_bn
        self.conv = GraphConv(in_channels, out_channels, A=A, mask_learning=mask_learning)
        self.bn = nn.BatchNorm1d(out_channels * A.shape[-1] if local_bn else out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return norm_relu(self.conv(x), self.bn)


class AdaptiveGCN(nn.Module):
    """The graph is the fixed one, plus a learnable one `PA`, plus one that the features of each sample give."""

    def __init__(self, in_channels: int, out_channels: int, *, A: Tensor) -> None:
        super().__init__()
        K, width = len(A), out_channels // 4
        self.query = Linear(in_channels, K * width)
        self.key = Linear(in_channels, K * width)
        for layer in (self.query, self.key):
            nn.init.normal_(layer.weight, std=(2 / width) ** 0.5)
            nn.init.zeros_(layer.bias)
        self.conv = GraphConv(in_channels, out_channels, A=A, std=(2 / (out_channels * in_channels * K)) ** 0.5)
        self.PA = nn.Parameter(torch.full_like(A, 1e-6))
        self.bn = nn.BatchNorm1d(out_channels)
        nn.init.constant_(self.bn.weight, 1e-6)
        self.down: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.down = Projection(in_channels, out_channels, relu=False)
            nn.init.normal_(self.down.linear.weight, std=(2 / out_channels) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        q, k = (rearrange(f(x), "b t v (k c) -> b k v (t c)", k=len(self.PA)) for f in (self.query, self.key))
        similarity = (q / q.shape[-1]) @ k.transpose(-1, -2)
        y = self.conv(x, similarity.softmax(dim=-2) + self.PA)
        return add_relu(normalise(y, self.bn), self.down(x))
