"""ST-TR: graph convolutions below, spatial (S-TR) or temporal (T-TR) self-attention above, or both in one stream.

Paper: Plizzari, Cannici, Matteucci, *Skeleton-based action recognition via spatial and temporal transformer
networks*, CVIU 208-209, 2021 (arXiv 2008.07404). The numbers are those of the published implementation.
Deviations: an odd number of frames at stride 2 gives ceil(T / 2) tokens and a last window may be shorter (the
published code fails on both); the idle `person_bn` is left out; the biases of a graph convolution's partitions,
which only occur as their sum, are one.

Axis legend: N samples, C channels, T frames, V joints, M persons; hidden features are (N·M, T, V, C).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

from graph import adjacency
from model.base import SkeletonModel
from model.inputs import checked, normalised
from model.layers.attention import Attention
from model.layers.basic import Projection
from model.layers.gcn import GCN, AdaptiveGCN, GraphConv
from model.layers.tcn import TemporalConv
from model.layers.terms import MaskedAdjacency, RelativeFrames, RelativeJoints
from model.layers.units import SpatialAttention, TemporalAttention
from model.options import StTrOptions as Options


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
        self.share = options.n if options.more_channels else options.Nh  # each head gets 1 / share of dk and dv

    def graph_unit(self, in_channels: int, out_channels: int) -> nn.Module:
        if self.o.agcn:
            return AdaptiveGCN(in_channels, out_channels, A=self.A)
        options = {"mask_learning": self.o.mask_learning, "local_bn": self.o.use_local_bn}
        return GCN(in_channels, out_channels, A=self.A, **options)

    def block(self, stage: int, in_channels: int, out_channels: int, *, stride: int, frames: int) -> Block:
        """A block of the stage 0, 1 or 2; `frames`: how many it gives."""
        o = self.o
        attends = o.all_layers or stage > 0
        gcn: nn.Module
        if attends and o.attention:
            gcn = self.spatial(in_channels, out_channels)
        else:
            gcn = self.graph_unit(in_channels, out_channels)
        tcn: nn.Module
        if attends and o.tcn_attention:
            tcn = self.temporal(stage, out_channels, stride=stride, frames=frames)
        else:
            tcn = TemporalConv(out_channels, out_channels, stride=stride, dropout=o.dropout)
        same = in_channels == out_channels and stride == 1
        residual = nn.Identity() if same else Projection(in_channels, out_channels, stride=stride)
        return Block(gcn, tcn, residual)

    def spatial(self, in_channels: int, out_channels: int) -> SpatialAttention:
        o, only = self.o, self.o.only_attention
        dv = o.value_channels(out_channels, only=only)
        terms: dict[str, nn.Module] = {}
        if o.relative:
            terms["relative"] = RelativeJoints(o.num_point, self._key_width(out_channels), std=o.relative_std)
        if o.adjacency:
            terms["adjacency"] = MaskedAdjacency(self.A)
        attention = self._attention(in_channels, out_channels, dv=dv, terms=terms)
        return SpatialAttention(
            out_channels,
            attention=attention,
            norm=nn.BatchNorm1d(o.num_point * in_channels) if o.data_normalization else None,
            conv=None if only else GraphConv(in_channels, out_channels - dv, A=self.A),
            skip=only and o.skip_conn and in_channels == out_channels,
        )

    def temporal(self, stage: int, channels: int, *, stride: int, frames: int) -> TemporalAttention:
        o, only = self.o, self.o.only_temporal_attention
        dv = o.value_channels(channels, only=only)
        kernel = 1 if o.num_point % 2 == 0 and not o.more_channels else stride
        window = self._window(channels) if o.all_layers and stage == 0 else None
        terms: dict[str, nn.Module] = {}
        if o.relative:
            terms["relative"] = RelativeFrames(window or frames, self._key_width(channels), std=o.relative_std)
        attention = self._attention(kernel * channels, channels, dv=dv, terms=terms)
        down = Projection(channels, channels, stride=stride) if stride > 1 else nn.Identity()
        return TemporalAttention(
            channels,
            attention=attention,
            norm=nn.BatchNorm1d(o.num_point * channels) if o.data_normalization else None,
            conv=None if only else TemporalConv(channels, channels - dv, stride=stride),
            down=down if o.skip_conn else None,
            stride=stride,
            kernel=kernel,
            window=window,
        )

    def _window(self, width: int) -> int:
        return self.o.dim_block1 if width <= 64 else self.o.dim_block2 if width <= 128 else self.o.dim_block3

    def _key_width(self, width: int) -> int:
        return int(width * self.o.dk) // self.share

    def _attention(self, in_channels: int, width: int, *, dv: int, terms: dict[str, nn.Module]) -> Attention:
        """The attention of a unit of `width` channels that gives `dv` of them."""
        return Attention(
            in_channels,
            dv,
            heads=self.o.Nh,
            key_width=self._key_width(width),
            value_width=dv // self.share,
            scale=(int(width * self.o.dk) // self.o.Nh) ** -0.5,
            terms=terms,
            drop_key=self.o.drop_key if self.o.drop_connect else 0.0,
        )


class Model(SkeletonModel):
    """ST-TR, by the keywords of `Options`: (N, C, T, V, M), or (N, C, T, V) of one person -> logits (N, num_class).

    Fewer persons than `num_person` are completed by absent ones, which are zeros.

    >>> Model(num_class=60)(torch.randn(1, 3, 64, 25, 2)).shape  # S-TR
    torch.Size([1, 60])
    """

    Options: ClassVar = Options  # the schema of `model_args`
    PARTS: ClassVar = {
        "gcn": (GCN, AdaptiveGCN, GraphConv),
        "attention": (SpatialAttention, TemporalAttention),
        "tcn": (TemporalConv,),
    }

    def __init__(self, **model_args: Any) -> None:
        super().__init__(**model_args)
        o: Options = self.options
        build = Builder(o, torch.tensor(adjacency(o.graph, o.graph_args, o.num_point), dtype=torch.get_default_dtype()))
        self.data_bn = nn.BatchNorm1d(o.num_person * o.num_point * o.channel) if o.use_data_bn else None
        if not o.all_layers:
            self.gcn0 = build.graph_unit(o.channel, o.widths[0])
            self.tcn0 = TemporalConv(o.widths[0], o.widths[0])
        self.backbone = nn.ModuleList()
        self.joined = 3 if o.concat_original else None  # the block that takes the raw input, too
        frames = o.window_size
        for i, (stage, in_channels, out_channels, stride) in enumerate(o.blocks()):
            frames = -(-frames // stride)
            extra = o.channel if i == self.joined else 0
            self.backbone.append(build.block(stage, in_channels + extra, out_channels, stride=stride, frames=frames))
        self.fcn = nn.Linear(o.widths[-1], o.num_class)
        std = (2 / o.num_class) ** 0.5 if o.classifier_std is None else o.classifier_std
        nn.init.normal_(self.fcn.weight, std=std)

    def forward(self, x: Tensor) -> Tensor:
        x = checked(x, self.options, self.fcn.weight.dtype)
        N, _, _, _, M = x.shape
        raw = rearrange(x, "n c t v m -> (n m) t v c")
        h = normalised(x, self.data_bn)
        if not self.options.all_layers:
            h = self.tcn0(self.gcn0(h))
        for i, block in enumerate(self.backbone):
            h = block(torch.cat([h, raw], dim=-1) if i == self.joined else h)
        return self.fcn(h.mean(dim=(1, 2)).unflatten(0, (N, M)).mean(dim=1))
