"""`model.streaming.Stream` as two functions of fixed shapes, which can be exported: a step of one frame, and the tail.

    step = Step(model.eval())
    state = step.empty(N)
    for frame in frames:  # (N, C, V, M)
        state = step(frame, *state)
    logits = Tail(step)(*state)  # (N, num_class), of all frames so far

Every unit runs on every frame, and its output is kept where it counts: a convolution over nine frames gives its first
output with its fifth input, and with stride 2 one for each second input. How many inputs each unit has had follows from
the number of frames, `seen`. A state begins with zeros, which are the zeros before a clip.

Axis legend: N streams, M persons, P frames that come together (one in a step; in the tail all that are still to come),
V joints, C channels; features are (N·M, P, V, C), and the state's (N, M, frames, V, C).
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from model import st_tr
from model.inputs import normalised
from model.layers.basic import norm_relu
from model.layers.tcn import TemporalConv
from model.streaming import streamable


class Frames(NamedTuple):
    """Features x (N·M, P, V, C), of which the first `number` are frames of the clip, after `before` others."""

    x: Tensor
    number: Tensor  # (1,)
    before: Tensor  # (1,)


class _Unit(NamedTuple):
    """A temporal convolution with what is before and beside it: tcn(gcn(x)) + residual(x)."""

    gcn: nn.Module
    tcn: TemporalConv
    residual: nn.Module | None


class Step(nn.Module):
    """One frame: (frame (N, C, V, M), *state) -> the next state, a list of tensors with `names`.

    Args:
        model: S-TR in evaluation mode.

    Raises:
        ValueError: this model cannot be streamed exactly, or is in training mode.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = streamable(model)
        self.units: list[_Unit] = []
        if not self.model.options.all_layers:
            self.units.append(_Unit(self.model.gcn0, self.model.tcn0, None))
        for block in self.model.backbone:
            block = cast(st_tr.Block, block)
            self.units.append(_Unit(block.gcn1, cast(TemporalConv, block.tcn1), block.down1))
        joined = self.model.joined
        self.joined = None if joined is None else joined + len(self.units) - len(self.model.backbone)
        self.margin = int(self.units[0].tcn.conv.padding[0])  # frames on each side that a convolution sees

    def empty(self, N: int = 1) -> list[Tensor]:
        """The state of N streams before their first frame."""
        o, k = self.model.options, self.margin
        widths = [width + (o.channel if i == self.model.joined else 0) for i, (width, *_) in enumerate(o.blocks())]
        lengths = [(2 * k, unit.tcn.conv.in_channels) for unit in self.units] + [(k, width) for width in widths]
        if self.joined is not None:
            lengths.append((k * self.joined, o.channel))
        like = self.model.fcn.weight
        waiting = [like.new_zeros(N, o.num_person, T, o.num_point, C) for T, C in lengths]
        total = like.new_zeros(N, o.num_person, o.widths[-1], dtype=torch.float64)
        return [like.new_zeros(1, dtype=torch.int64), total, *waiting]

    def names(self) -> list[str]:
        """`seen` frames, the `total` of the last features, and the frames that wait beside each unit."""
        convolutions = [f"conv{i}" for i in range(len(self.units))]
        residuals = [f"residual{i}" for i, unit in enumerate(self.units) if unit.residual is not None]
        return ["seen", "total", *convolutions, *residuals, *([] if self.joined is None else ["raw"])]

    def forward(self, frame: Tensor, *state: Tensor) -> list[Tensor]:
        after, _ = self.advance(frame, state)
        return after

    def advance(self, frame: Tensor | None, state: tuple[Tensor, ...]) -> tuple[list[Tensor], Tensor]:
        """The state after a frame, and the mean (N, M, C) of the last features; without a frame the clip ends."""
        N, M, _ = state[1].shape
        kept = {name: x.flatten(0, 1) if x.dim() == 5 else x for name, x in zip(self.names(), state, strict=True)}
        new, seen = dict(kept), kept["seen"]
        o = self.model.options
        raw, x = (kept["conv0"].new_zeros(N * M, 0, o.num_point, o.channel),) * 2
        if frame is not None:
            raw = rearrange(frame, "n c v m -> (n m) 1 v c")
            x = normalised(frame[:, :, None], self.model.data_bn)
        new["seen"] = seen + x.shape[1]
        frames = Frames(x, torch.full_like(seen, x.shape[1]), seen)
        for i, unit in enumerate(self.units):
            if i == self.joined:
                waiting = _joined(kept["raw"], raw)
                beside = _part(waiting, frames.before - seen + kept["raw"].shape[1], frames.x.shape[1])
                frames = frames._replace(x=torch.cat([frames.x, beside], dim=-1))
                new["raw"] = waiting[:, raw.shape[1] :]
            frames = self._through(i, unit, frames, kept, new, end=frame is None)
        features = frames.x.mean(dim=2, dtype=torch.float64)
        total = kept["total"] + _masked(features, frames.number).sum(dim=1).unflatten(0, (N, M))
        new["total"] = total
        after = [x.unflatten(0, (N, M)) if x.dim() == 4 else x for x in new.values()]
        return after, total / (frames.before + frames.number).clamp(min=1)

    def _through(
        self, i: int, unit: _Unit, frames: Frames, kept: dict[str, Tensor], new: dict[str, Tensor], *, end: bool
    ) -> Frames:
        """The outputs of a unit; the frames that it keeps for later ones are put into `new`."""
        (x, count, n), k, P = frames, self.margin, frames.x.shape[1]
        kernel, stride = int(unit.tcn.conv.kernel_size[0]), int(unit.tcn.conv.stride[0])
        given = (n + stride - 1 - k).clamp(min=0) // stride  # outputs of the inputs before these
        waiting = {f"conv{i}": _joined(kept[f"conv{i}"], _masked(unit.gcn(x), count) if P else x)}
        if unit.residual is not None:
            waiting[f"residual{i}"] = _joined(kept[f"residual{i}"], x)
        if end:
            outputs, possible = -(-(P + k) // stride), (n + count + stride - 1) // stride
        else:
            outputs, possible = 1, (n + count + stride - 1 - k).clamp(min=0) // stride
            new.update({name: torch.where(count > 0, y[:, 1:], y[:, :-1]) for name, y in waiting.items()})
        first = given * stride - n + k  # the place of the next output among those that wait
        y = _part(F.pad(waiting[f"conv{i}"], (0, 0, 0, 0, 0, k)), first, (outputs - 1) * stride + kernel)
        y = F.conv2d(rearrange(y, "b t v c -> b c t v"), unit.tcn.conv.weight, unit.tcn.conv.bias, (stride, 1))
        y = norm_relu(rearrange(y, "b c t v -> b t v c"), unit.tcn.bn)
        if unit.residual is not None:
            y = y + unit.residual(_part(waiting[f"residual{i}"], first, (outputs - 1) * stride + 1))
        return Frames(y, possible - given, given)


class Tail(nn.Module):
    """The logits (N, num_class) of a state, of all frames so far, as if the clip ended there."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def forward(self, *state: Tensor) -> Tensor:
        _, mean = self.step.advance(None, state)
        fcn = self.step.model.fcn
        return fcn(mean.mean(dim=1).to(fcn.weight.dtype))


def _joined(x: Tensor, y: Tensor) -> Tensor:
    """x and y after each other in time; an exporter takes no y without frames."""
    return torch.cat([x, y], dim=1) if y.shape[1] else x


def _masked(x: Tensor, count: Tensor) -> Tensor:
    """x (B, P, ...) with zeros from frame `count` on."""
    is_frame = torch.arange(x.shape[1], device=x.device) < count
    return torch.where(is_frame.view(-1, *[1] * (x.dim() - 2)), x, 0)


def _part(x: Tensor, first: Tensor, length: int) -> Tensor:
    """Frames `first` to `first + length` of x (B, T, V, C); beyond its end the last one again."""
    places = first + torch.arange(length, device=x.device)
    return x.index_select(1, places.clamp(max=x.shape[1] - 1))
