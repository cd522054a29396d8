"""ZiT-ZoT: joints of each person over time ("zoom in"), then the persons as a group ("zoom out").

Source: Zhang et al., *Zoom Transformer for Skeleton-Based Group Activity Recognition*, IEEE TCSVT 2022, for the
hierarchy; relative positions and attention along frames are those of ST-TR. `ZOOM` holds the options with which this is
the original Zoom Transformer. Deviations from it, each an option: one `data_bn` for all persons, so that their order
does not matter; nobody attends to persons that are absent (zero everywhere), nor do they count in the mean, though in
training batch norm still sees them; the group relation, which the original computes as softmax_j(a_j - b_i), where b
cancels, and does not use, is tanh(a_j - b_i). Without `spatial` an adaptive graph convolution joins the joints in its
place.

Axis legend: N samples, C channels, T frames, V joints, M persons, H heads; hidden features are (N·M, T, V, C) in ZiT
and (N, T, M, C), persons in the place of joints, in ZoT. Logits are scaled by the full width, as in the original.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from graph import adjacency
from model.base import SkeletonModel
from model.inputs import checked, normalised
from model.layers.attention import Attention
from model.layers.basic import Dropout, Linear, Projection, add_relu, normalise
from model.layers.gcn import AdaptiveGCN
from model.layers.tcn import FrameConv
from model.layers.terms import MaskedAdjacency, RelativeFrames, RelativeJoints
from model.options import ZitZotOptions as Options

ZIT = ((48, 48, 1), (48, 48, 1), (48, 96, 2), (96, 96, 1), (96, 192, 2), (192, 192, 1))  # in, out, stride of l2 to l7
ZOT = ((192, 276), (276, 276))
ZOOM = {
    **{"temporal": False, "relative": False, "adaptive_mask": False, "group_relation": False},
    "person_order": True,
}


class Transformer(nn.Module):
    """h = x + attention(x); h + MLP(layer norm(h)): (B, R, L, C) -> the same."""

    def __init__(self, attention: Attention, *, dropout: float) -> None:
        super().__init__()
        width = attention.out.out_features
        self.attention = attention
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            *(Linear(width, 2 * width), nn.ReLU(), Dropout(dropout)),
            *(Linear(2 * width, width), Dropout(dropout)),
        )

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """`bias` is added to the logits of the attention."""
        x = x + self.attention(x, bias)
        return x + self.mlp(self.norm(x))


class MultiScaleTCN(nn.Module):
    """For each kernel a 1x1 convolution, then one over `kernel` frames; their channels side by side; batch norm.

    (B, T, V, in) -> (B, ceil(T / stride), V, out).
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.mix = Linear(in_channels, len(kernels) * in_channels)
        width = out_channels // len(kernels)
        self.convs = nn.ModuleList(FrameConv(in_channels, width, kernel, stride) for kernel in kernels)
        self.bn = nn.BatchNorm1d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.mix(x).chunk(len(self.convs), dim=-1)
        y = torch.cat([conv(part) for conv, part in zip(self.convs, parts, strict=True)], dim=-1)
        return normalise(y, self.bn)


class GroupRelation(nn.Module):
    """tanh(a_j - b_i) between the persons i and j for each head, a and b linear in their features.

    Unlike the other terms it is computed once, of the features (N, T, M, C) that reach the group's first layer, and
    every layer of the group adds the result (N, T, H, M, M) to its logits.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.a = Linear(channels, heads)
        self.b = Linear(channels, heads)

    def forward(self, x: Tensor) -> Tensor:
        a, b = (rearrange(f(x), "n t m h -> n t h m") for f in (self.a, self.b))
        return torch.tanh(a[..., None, :] - b[..., :, None])


class Block(nn.Module):
    """Joints (or persons), then frames, and a residual around both: ReLU(tcn1(h) + residual(x)).

    `parallel`: h = x and what each of both adds to x, instead of one after the other.
    """

    def __init__(
        self,
        spatial: nn.Module,
        temporal: nn.Module | None,
        tcn: nn.Module,
        residual: nn.Module,
        *,
        parallel: bool,
    ) -> None:
        super().__init__()
        self.spatial = spatial
        self.temporal = temporal
        self.tcn1 = tcn
        self.residual = residual
        self.parallel = parallel

    def forward(self, x: Tensor, *relation: Tensor) -> Tensor:
        h = self.spatial(x, *relation)
        if self.temporal is not None:
            y = self.temporal((x if self.parallel else h).transpose(1, 2)).transpose(1, 2)
            h = h + y - x if self.parallel else y
        return add_relu(self.tcn1(h), self.residual(x))


class Builder:
    """Makes the units of a model from its options; the units themselves know no options."""

    def __init__(self, options: Options, A: Tensor) -> None:
        self.o = options
        self.A = A

    def transformer(self, width: int, **injected: Any) -> Transformer:
        H = self.o.num_head
        attention = Attention(
            width, width, heads=H, key_width=width // H, value_width=width // H, scale=width**-0.5, **injected
        )
        return Transformer(attention, dropout=self.o.dropout)

    def joints(self, width: int, *, learnable: bool) -> nn.Module:
        if not self.o.spatial:
            return AdaptiveGCN(width, width, A=self.A)
        head = width // self.o.num_head
        terms: dict[str, nn.Module] = {}
        if self.o.relative:
            terms["relative"] = RelativeJoints(self.o.num_point, head, std=self.o.relative_std)
        if self.o.adaptive_mask:
            terms["adjacency"] = MaskedAdjacency(self.A, learnable=learnable)
        return self.transformer(width, terms=terms)

    def frames(self, width: int) -> nn.Module | None:
        if not self.o.temporal:
            return None
        head = width // self.o.num_head
        terms: dict[str, nn.Module] = {}
        if self.o.relative:
            terms["relative"] = RelativeFrames(self.o.max_T, head, option="max_T", std=self.o.relative_std)
        drop_key = self.o.drop_key if self.o.drop_connectivity else 0.0
        return self.transformer(width, terms=terms, drop_key=drop_key)

    def tcn(self, in_channels: int, out_channels: int, stride: int = 1) -> MultiScaleTCN:
        kernels = (1, 3, 7) if self.o.multi_scale else (9,)
        return MultiScaleTCN(in_channels, out_channels, stride=stride, kernels=kernels)

    def block(self, spatial: nn.Module, in_channels: int, out_channels: int, stride: int = 1) -> Block:
        same = in_channels == out_channels and stride == 1
        residual = nn.Identity() if same else Projection(in_channels, out_channels, stride=stride, relu=False)
        tcn = self.tcn(in_channels, out_channels, stride)
        return Block(spatial, self.frames(in_channels), tcn, residual, parallel=self.o.parallel)


class Model(SkeletonModel):
    """ZiT-ZoT, by the keywords of `Options`: (N, C, T, V, M), or (N, C, T, V) of one person -> logits (N, num_class).

    M may be any; with `person_order`, fewer than `num_person` are completed by absent ones, and more are refused.

    >>> Model(num_class=60, num_point=17)(torch.randn(8, 3, 64, 17, 2)).shape
    torch.Size([8, 60])
    """

    Options: ClassVar = Options  # the schema of `model_args`
    PARTS: ClassVar = {"gcn": (AdaptiveGCN,), "attention": (Transformer,), "tcn": (MultiScaleTCN,)}

    def __init__(self, **model_args: Any) -> None:
        super().__init__(**model_args)
        o: Options = self.options
        build = Builder(o, torch.tensor(adjacency(o.graph, o.graph_args, o.num_point), dtype=torch.get_default_dtype()))
        self.data_bn = nn.BatchNorm1d(o.num_point * o.in_channels * (o.num_person if o.person_order else 1))
        self.gcn1 = AdaptiveGCN(o.in_channels, 48, A=build.A)
        self.tcn1 = build.tcn(48, 48)
        self.zit = nn.ModuleList(
            build.block(build.joints(shape[0], learnable=i >= 4), *shape) for i, shape in enumerate(ZIT, start=2)
        )
        self.relation = GroupRelation(192, o.num_head) if o.group_relation else None
        self.zot = nn.ModuleList(build.block(build.transformer(shape[0]), *shape) for shape in ZOT)
        self.fc = nn.Linear(276, o.num_class)
        if o.classifier_std is not None:
            nn.init.normal_(self.fc.weight, std=o.classifier_std)

    def forward(self, x: Tensor) -> Tensor:
        x = checked(x, self.options, self.fc.weight.dtype, any_persons=not self.options.person_order)
        M = x.shape[-1]
        persons = x.new_ones(x.shape[0], M) if self.options.person_order else _present(x)
        h = F.relu(self.tcn1(self.gcn1(normalised(x, self.data_bn))))
        for block in self.zit:
            h = block(h)
        h = rearrange(h.mean(dim=2), "(n m) t c -> n t m c", m=M)
        absent = persons[:, None, None, None] == 0  # (N, 1, 1, 1, M)
        bias = h.new_zeros(absent.shape).masked_fill(absent, -torch.inf)
        if self.relation is not None:
            bias = self.relation(h) + bias
        for block in self.zot:
            h = block(h, bias)
        weight = persons / (h.shape[1] * persons.sum(dim=1, keepdim=True))
        return self.fc(torch.einsum("ntmc,nm->nc", h, weight))


def _present(x: Tensor) -> Tensor:
    """(N, M): 1 for each person with a number other than zero; where there is none, for all."""
    present = (x != 0).flatten(1, 3).any(dim=1)
    return (present | ~present.any(dim=1, keepdim=True)).to(x.dtype)
