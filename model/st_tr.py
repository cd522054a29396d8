"""ST-TR: graph convolutions below, spatial (S-TR) or temporal (T-TR) self-attention above, or both in one stream.

Paper: Plizzari, Cannici, Matteucci, *Skeleton-based action recognition via spatial and temporal transformer
networks*, CVIU 208-209, 2021 (arXiv 2008.07404). The numbers are those of the published implementation.
Deviations: an odd number of frames at stride 2 gives ceil(T / 2) tokens and a last window may be shorter (the
published code fails on both); the idle `person_bn` is left out; the biases of a graph convolution's partitions,
which only occur as their sum, are one.

Axis legend: N samples, C channels, T frames, V joints, M persons; hidden features are (N·M, T, V, C).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from graph import adjacency, fitting_graph
from model.inputs import checked
from model.layers.attention import Attention
from model.layers.gcn import GCN, AdaptiveGCN, GraphConv
from model.layers.norm import Projection, TokenNorm
from model.layers.relative import RelativeFrames, RelativeJoints
from model.layers.tcn import TemporalConv
from model.layers.transformer import MaskedAdjacency, SpatialAttention, TemporalAttention


@dataclass
class Options:
    """`model_args` of the YAML file, by their published names.

    Raises:
        ValueError: options that cannot work together, all of them in one message.
    """

    num_class: int = 60
    channel: int = 3  # C of the input: 3, or 6 for joints and bones
    window_size: int = 300  # T of the input, the size of relative tables
    num_point: int = 25
    num_person: int = 2
    graph: str | None = None  # import path; None: that of the skeleton with num_point joints
    graph_args: dict[str, Any] = field(default_factory=dict)
    channels: list[int] = field(default_factory=lambda: [64, 128, 256])  # widths of the three stages

    attention: bool = True  # spatial self-attention: S-TR
    tcn_attention: bool = False  # temporal self-attention: T-TR
    only_attention: bool = True  # False: graph convolution beside the spatial attention
    only_temporal_attention: bool = True  # False: temporal convolution beside the temporal attention
    all_layers: bool = False  # attention from the first layer on
    agcn: bool = False  # adaptive graph convolutions
    double_channel: bool = False  # twice the widths, for joints and bones
    concat_original: bool = True  # the raw input again, before the fourth block

    Nh: int = 8  # heads
    dk: float = 0.25  # share of the channels that keys have
    dv: float = 0.25  # share of the channels that values have beside a convolution
    more_channels: bool = False  # a head's share is 1 / n of dk and dv instead of 1 / Nh
    n: int = 4
    relative: bool = False  # relative positions of joints or frames
    adjacency: bool = False  # the graph as a bias of the spatial attention
    drop_connect: bool = True  # drop keys in training
    skip_conn: bool = True  # add an attention's input to its output
    data_normalization: bool = True  # batch norm per joint and channel before an attention
    dim_block1: int = 10  # windows of temporal attention in the first stage (all_layers), by its width:
    dim_block2: int = 30  # up to 64, up to 128, beyond
    dim_block3: int = 75

    mask_learning: bool = True  # learnable mask on the graph
    use_data_bn: bool = True  # batch norm of the input
    use_local_bn: bool = False  # a graph convolution's batch norm per joint
    dropout: float = 0.5  # before temporal convolutions
    classifier_std: float | None = 0.01  # of the classifier's first weights; None: (2 / num_class)^½, as published

    def __post_init__(self) -> None:
        if problems := list(self._problems()):
            raise ValueError("model_args: " + "; ".join(problems))
        self.graph = fitting_graph(self.graph, self.num_point)

    def _problems(self) -> Iterator[str]:
        blocks = ("dim_block1", "dim_block2", "dim_block3")
        for name in ("num_class", "channel", "window_size", "num_point", "num_person", "Nh", "n", *blocks):
            if getattr(self, name) < 1:
                yield f"{name}: {getattr(self, name)} is less than 1"
        if len(self.channels) != 3 or min(self.channels, default=0) < 4:
            yield f"channels: {self.channels} are not three widths of at least 4"
            return
        if not 0 <= self.dropout <= 0.95:
            yield f"dropout: {self.dropout} is not in [0, 0.95]"
        if self.classifier_std is not None and not 0 <= self.classifier_std < math.inf:
            yield f"classifier_std: {self.classifier_std} is no deviation, a finite number from 0 on"
        if not 0 < self.dk <= 1 or not 0 < self.dv <= 1:
            yield f"dk, dv: {self.dk}, {self.dv} are not both in (0, 1]"
            return
        if self.graph is not None and "." not in self.graph:
            yield f"graph: {self.graph!r} is no import path, such as graph.ntu_rgb_d.Graph"
        uses = (("attention", self.only_attention), ("tcn_attention", self.only_temporal_attention))
        for width in self.widths if self.all_layers else self.widths[1:]:
            for name, only in uses:
                dk, dv = int(width * self.dk), self.value_channels(width, only=only)
                if getattr(self, name) and not self._splits(dk, dv):
                    shares = f"shares of 1 / n, n={self.n}, for" if self.more_channels else "equal parts for"
                    yield f"{name}: {dk} key and {dv} value channels of {width} do not give {shares} Nh={self.Nh} heads"

    def _splits(self, dk: int, dv: int) -> bool:
        if self.more_channels:
            return min(dk, dv) >= self.n and dk >= self.Nh
        return dk >= self.Nh and dk % self.Nh == 0 and dv % self.Nh == 0

    @property
    def shape(self) -> tuple[int, int | None, int, int]:
        """(C, T, V, M) of the input; T is None where it may be any."""
        return self.channel, self.window_size, self.num_point, self.num_person

    @property
    def title(self) -> str:
        """The name that papers have for such a model."""
        names = {
            (True, True): "spatial and temporal attention in one stream (ST-TR-1s)",
            (True, False): "spatial attention (S-TR)",
            (False, True): "temporal attention (T-TR)",
            (False, False): "graph convolutions without attention",
        }
        return names[self.attention, self.tcn_attention] + (", adaptive graph (AGCN)" if self.agcn else "")

    @property
    def widths(self) -> list[int]:
        """Channels of the three stages."""
        return [width * (2 if self.double_channel else 1) for width in self.channels]

    def value_channels(self, width: int, *, only: bool) -> int:
        """dv: all channels of a block, or the share that a convolution leaves."""
        return width if only else int(width * self.dv)

    def blocks(self) -> list[tuple[int, int, int]]:
        """(in, out, stride) of each block, without what `concat_original` adds."""
        a, b, c = self.widths
        first = [(self.channel, a, 1)] if self.all_layers else []
        return [*first, *[(a, a, 1)] * 3, (a, b, 2), *[(b, b, 1)] * 2, (b, c, 2), *[(c, c, 1)] * 2]


class Block(nn.Module):
    """Joints, then frames, and a residual around both: tcn1(gcn1(x)) + residual."""

    def __init__(self, gcn: nn.Module, tcn: nn.Module, residual: nn.Module) -> None:
        super().__init__()
        self.gcn1 = gcn
        self.tcn1 = tcn
        self.down1 = residual

    def forward(self, x: Tensor) -> Tensor:
        return self.tcn1(self.gcn1(x)) + self.down1(x)


class Builder:
    """Makes the units of a model from its options; the units themselves know no options."""

    def __init__(self, options: Options, A: Tensor) -> None:
        self.o = options
        self.A = A
        self.share = options.n if options.more_channels else options.Nh  # a head has one part in so many of dk and dv

    def graph_unit(self, in_channels: int, out_channels: int) -> nn.Module:
        if self.o.agcn:
            return AdaptiveGCN(in_channels, out_channels, A=self.A)
        return GCN(
            in_channels,
            out_channels,
            A=self.A,
            mask_learning=self.o.mask_learning,
            local_bn=self.o.use_local_bn,
        )

    def block(self, in_channels: int, out_channels: int, *, stride: int, frames: int) -> Block:
        """`frames`: how many the block gives."""
        o = self.o
        attends = o.all_layers or out_channels > o.widths[0]
        gcn: nn.Module
        if attends and o.attention:
            gcn = self.spatial(in_channels, out_channels)
        else:
            gcn = self.graph_unit(in_channels, out_channels)
        tcn: nn.Module
        if attends and o.tcn_attention:
            tcn = self.temporal(out_channels, stride=stride, frames=frames)
        else:
            tcn = TemporalConv(out_channels, out_channels, stride=stride, dropout=o.dropout)
        same = in_channels == out_channels and stride == 1
        return Block(gcn, tcn, nn.Identity() if same else Projection(in_channels, out_channels, stride=stride))

    def spatial(self, in_channels: int, out_channels: int) -> SpatialAttention:
        o, only = self.o, self.o.only_attention
        dv = o.value_channels(out_channels, only=only)
        relative = RelativeJoints(o.num_point, self._key_width(out_channels)) if o.relative else None
        bias = MaskedAdjacency(self.A) if o.adjacency else None
        attention = self._attention(in_channels, out_channels, dv=dv, relative=relative, bias=bias)
        return SpatialAttention(
            out_channels,
            attention=attention,
            norm=TokenNorm(o.num_point * in_channels) if o.data_normalization else nn.Identity(),
            conv=None if only else GraphConv(in_channels, out_channels - dv, A=self.A),
            skip=only and o.skip_conn and in_channels == out_channels,
        )

    def temporal(self, channels: int, *, stride: int, frames: int) -> TemporalAttention:
        o, only = self.o, self.o.only_temporal_attention
        dv = o.value_channels(channels, only=only)
        kernel = 1 if o.num_point % 2 == 0 and not o.more_channels else stride
        window = self._window(channels)
        relative = RelativeFrames(window or frames, self._key_width(channels)) if o.relative else None
        attention = self._attention(kernel * channels, channels, dv=dv, relative=relative)
        return TemporalAttention(
            channels,
            attention=attention,
            norm=TokenNorm(o.num_point * channels) if o.data_normalization else nn.Identity(),
            conv=None if only else TemporalConv(channels, channels - dv, stride=stride),
            skip=o.skip_conn,
            stride=stride,
            kernel=kernel,
            window=window,
        )

    def _window(self, width: int) -> int | None:
        if not self.o.all_layers or width != self.o.widths[0]:
            return None
        return self.o.dim_block1 if width <= 64 else self.o.dim_block2 if width <= 128 else self.o.dim_block3

    def _key_width(self, width: int) -> int:
        return int(width * self.o.dk) // self.share

    def _attention(
        self, in_channels: int, width: int, *, dv: int, relative: nn.Module | None, bias: nn.Module | None = None
    ) -> Attention:
        """The attention of a unit of `width` channels that gives `dv` of them."""
        return Attention(
            in_channels,
            dv,
            heads=self.o.Nh,
            key_width=self._key_width(width),
            value_width=dv // self.share,
            scale=(int(width * self.o.dk) // self.o.Nh) ** -0.5,
            relative=relative,
            bias=bias,
            drop_connect=self.o.drop_connect,
        )


class Model(nn.Module):
    """ST-TR, by the keywords of `Options`: (N, C, T, V, M), or (N, C, T, V) of one person -> logits (N, num_class).

    Fewer persons than `num_person` are completed by absent ones, which are zeros.

    >>> Model(num_class=60)(torch.randn(1, 3, 64, 25, 2)).shape  # S-TR
    torch.Size([1, 60])
    """

    __signature__ = inspect.signature(Options)

    def __init__(self, **model_args: Any) -> None:
        super().__init__()
        o = self.options = Options(**model_args)
        build = Builder(o, torch.tensor(adjacency(o.graph, o.graph_args, o.num_point), dtype=torch.get_default_dtype()))
        self.data_bn = TokenNorm(o.num_person * o.num_point * o.channel) if o.use_data_bn else nn.Identity()
        if not o.all_layers:
            self.gcn0 = build.graph_unit(o.channel, o.widths[0])
            self.tcn0 = TemporalConv(o.widths[0], o.widths[0])
        self.backbone = nn.ModuleList()
        self.joined = 3 if o.concat_original else None  # the block that takes the raw input, too
        frames = o.window_size
        for i, (in_channels, out_channels, stride) in enumerate(o.blocks()):
            frames = -(-frames // stride)
            extra = o.channel if i == self.joined else 0
            self.backbone.append(build.block(in_channels + extra, out_channels, stride=stride, frames=frames))
        self.fcn = nn.Linear(o.widths[-1], o.num_class)
        std = (2 / o.num_class) ** 0.5 if o.classifier_std is None else o.classifier_std
        nn.init.normal_(self.fcn.weight, std=std)

    def forward(self, x: Tensor) -> Tensor:
        x = checked(x, self.options, self.fcn.weight.dtype)
        N, _, _, _, M = x.shape
        raw = rearrange(x, "n c t v m -> (n m) t v c")
        h = self.data_bn(rearrange(x, "n c t v m -> n t (m v c)"))
        h = rearrange(h, "n t (m v c) -> (n m) t v c", m=M, c=x.shape[1])
        if not self.options.all_layers:
            h = self.tcn0(self.gcn0(h))
        for i, block in enumerate(self.backbone):
            h = block(torch.cat([h, raw], dim=-1) if i == self.joined else h)
        return self.fcn(h.mean(dim=(1, 2)).unflatten(0, (N, M)).mean(dim=1))
