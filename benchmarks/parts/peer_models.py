"""ST-GCN, 2s-AGCN and CTR-GCN, written plainly from their papers, to be timed beside our models (`peers.py`).

Sources: Yan et al., *Spatial Temporal Graph Convolutional Networks*, AAAI 2018, section 3; Shi et al., *Two-Stream
Adaptive Graph Convolutional Networks*, CVPR 2019, sections 4.1 and 4.2; Chen et al., *Channel-wise Topology Refinement
Graph Convolution*, ICCV 2021, section 3. Their weights start as torch has them: they are for timing, not for training.

Axis legend: N samples, M persons, C channels, T frames, V joints, K partitions; hidden features are (N·M, C, T, V).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from graph import adjacency, graph_of

WIDTHS = ((64, 1), (64, 1), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1))  # and strides


def norm_conv(in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, dilation: int = 1) -> nn.Module:
    """Convolution over `kernel` frames and batch norm."""
    padding = (dilation * (kernel - 1) // 2, 0)
    conv = nn.Conv2d(in_channels, out_channels, (kernel, 1), (stride, 1), padding, (dilation, 1))
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


def around(in_channels: int, out_channels: int, stride: int = 1, *, first: bool = False) -> nn.Module | None:
    """A residual connection: nothing around the first block, a projection where the shape changes."""
    if first:
        return None
    same = in_channels == out_channels and stride == 1
    return nn.Identity() if same else norm_conv(in_channels, out_channels, stride=stride)


class MaskedGraphConv(nn.Module):
    """ST-GCN: Σ_k W_k x (A_k ∘ M_k), then batch norm and ReLU."""

    A: Tensor

    def __init__(self, in_channels: int, out_channels: int, A: Tensor) -> None:
        super().__init__()
        self.register_buffer("A", A)
        self.mask = nn.Parameter(torch.ones_like(A))
        self.conv = nn.Conv2d(in_channels, len(A) * out_channels, 1)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = rearrange(self.conv(x), "n (k c) t v -> n k c t v", k=len(self.A))
        return F.relu(self.bn(torch.einsum("nkctv,kvw->nctw", y, self.A * self.mask)))


class AdaptiveGraphConv(nn.Module):
    """2s-AGCN: the graph is A_k + B_k, which is learnt, + C_k, the similarity of joints in each sample."""

    A: Tensor

    def __init__(self, in_channels: int, out_channels: int, A: Tensor) -> None:
        super().__init__()
        self.register_buffer("A", A)
        self.B = nn.Parameter(torch.full_like(A, 1e-6))
        width = out_channels // 4
        self.theta, self.phi, self.conv = (
            nn.ModuleList(nn.Conv2d(in_channels, channels, 1) for _ in A) for channels in (width, width, out_channels)
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.residual = around(in_channels, out_channels) or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        total = torch.zeros_like(y)
        for k, conv in enumerate(self.conv):
            q, key = self.theta[k](x), self.phi[k](x)
            C = torch.einsum("nctv,nctw->nvw", q, key) / (q.shape[1] * q.shape[2])
            graph = self.A[k] + self.B[k] + C.softmax(dim=-2)
            total = total + conv(torch.einsum("nctv,nvw->nctw", x, graph))
        return F.relu(self.bn(total) + y)


class RefinedGraphConv(nn.Module):
    """CTR-GCN: each partition has a learnt graph, which the differences of joints refine for each channel."""

    def __init__(self, in_channels: int, out_channels: int, A: Tensor) -> None:
        super().__init__()
        width = in_channels // 8 if in_channels > 8 else 8
        self.A = nn.Parameter(A.clone())
        self.alpha = nn.Parameter(torch.zeros(1))
        self.first, self.second = (nn.ModuleList(nn.Conv2d(in_channels, width, 1) for _ in A) for _ in range(2))
        self.value = nn.ModuleList(nn.Conv2d(in_channels, out_channels, 1) for _ in A)
        self.widen = nn.ModuleList(nn.Conv2d(width, out_channels, 1) for _ in A)
        self.bn = nn.BatchNorm2d(out_channels)
        self.residual = around(in_channels, out_channels) or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        residual = self.residual(x)
        total = torch.zeros_like(residual)
        for k, value in enumerate(self.value):
            a, b = self.first[k](x).mean(dim=2), self.second[k](x).mean(dim=2)  # (n, c, v)
            refined = self.widen[k](torch.tanh(a[..., :, None] - b[..., None, :])) * self.alpha + self.A[k]
            total = total + torch.einsum("ncvw,nctw->nctv", refined, value(x))
        return F.relu(self.bn(total) + residual)


class PlainTemporal(nn.Module):
    """ST-GCN and 2s-AGCN: a convolution over nine frames, batch norm."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = norm_conv(channels, channels, 9, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class MultiScaleTemporal(nn.Module):
    """CTR-GCN: two dilated convolutions over five frames, a maximum over three, and a projection, side by side."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        width = channels // 4

        def reduced(*after: nn.Module) -> nn.Module:
            return nn.Sequential(norm_conv(channels, width), nn.ReLU(), *after)

        pool = nn.MaxPool2d((3, 1), (stride, 1), (1, 0))
        self.branches = nn.ModuleList(
            (
                *(reduced(norm_conv(width, width, 5, stride, dilation)) for dilation in (1, 2)),
                reduced(pool, nn.BatchNorm2d(width)),
                norm_conv(channels, width, stride=stride),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Block(nn.Module):
    """ReLU(temporal(spatial(x)) + residual(x))."""

    def __init__(self, spatial: nn.Module, temporal: nn.Module, residual: nn.Module | None) -> None:
        super().__init__()
        self.spatial, self.temporal, self.residual = spatial, temporal, residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.temporal(self.spatial(x))
        return F.relu(y if self.residual is None else y + self.residual(x))


class Peer(nn.Module):
    """Ten blocks of a graph convolution and a temporal one: (N, C, T, V, M) -> logits (N, num_class)."""

    def __init__(
        self,
        spatial: Callable[[int, int, Tensor], nn.Module],
        temporal: Callable[[int, int], nn.Module],
        *,
        num_class: int,
        num_point: int,
        num_person: int,
        norm_of_persons: bool,
    ) -> None:
        super().__init__()
        A = torch.tensor(adjacency(graph_of(num_point), {}, num_point), dtype=torch.get_default_dtype())
        self.persons = "(m v c)" if norm_of_persons else "(v c)"
        self.data_bn = nn.BatchNorm1d(3 * num_point * (num_person if norm_of_persons else 1))
        self.blocks = nn.Sequential()
        channels = 3
        for width, stride in WIDTHS:
            residual = around(channels, width, stride, first=channels == 3)
            self.blocks.append(Block(spatial(channels, width, A), temporal(width, stride), residual))
            channels = width
        self.fc = nn.Linear(channels, num_class)

    def forward(self, x: Tensor) -> Tensor:
        N, _, _, V, M = x.shape
        if self.persons == "(m v c)":
            h = self.data_bn(rearrange(x, "n c t v m -> n (m v c) t"))
            h = rearrange(h, "n (m v c) t -> (n m) c t v", m=M, v=V)
        else:
            h = self.data_bn(rearrange(x, "n c t v m -> (n m) (v c) t"))
            h = rearrange(h, "n (v c) t -> n c t v", v=V)
        h = self.blocks(h).mean(dim=(2, 3))
        return self.fc(h.unflatten(0, (N, M)).mean(dim=1))


def st_gcn(num_class: int = 60, num_point: int = 25, num_person: int = 2) -> Peer:
    """ST-GCN, spatial partitions: 3.10 M parameters for NTU RGB+D 60."""
    settings = {"num_class": num_class, "num_point": num_point, "num_person": num_person}
    return Peer(MaskedGraphConv, PlainTemporal, norm_of_persons=False, **settings)


def agcn(num_class: int = 60, num_point: int = 25, num_person: int = 2) -> Peer:
    """One stream of 2s-AGCN: 3.47 M parameters for NTU RGB+D 60, half of the 6.94 M that papers give for both."""
    settings = {"num_class": num_class, "num_point": num_point, "num_person": num_person}
    return Peer(AdaptiveGraphConv, PlainTemporal, norm_of_persons=True, **settings)


def ctr_gcn(num_class: int = 60, num_point: int = 25, num_person: int = 2) -> Peer:
    """CTR-GCN: 1.45 M parameters for NTU RGB+D 60; the 1.46 M that papers give are with 120 classes."""
    settings = {"num_class": num_class, "num_point": num_point, "num_person": num_person}
    return Peer(RefinedGraphConv, MultiScaleTemporal, norm_of_persons=True, **settings)
