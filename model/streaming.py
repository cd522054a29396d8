"""S-TR frame by frame: the logits of all frames so far at any time, exactly those of the whole clip.

    stream = Stream(model.eval())
    for frame in frames:  # (N, C, V, M)
        stream.push(frame)
        logits = stream.logits()  # model(x[:, :, :t]) of the t frames so far

In evaluation mode attention, graph convolution and batch norm of S-TR act inside a frame. Only temporal convolutions
and the mean over time see several frames: each convolution keeps the inputs that its next outputs need (eight frames),
what goes around it (residuals, the raw input of the fourth block) waits as long, and the mean is a running sum.
`logits` finishes a copy of this state with the zeros that each convolution has beyond the end of a clip. Memory does
not grow with the number of frames.

A model that attends over frames, or whose graph is made of all frames, cannot do this: `Window` gives the logits of the
last frames, computed anew.

Axis legend: N streams side by side, C channels, T frames, V joints, M persons; hidden features are (N·M, T, V, C).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from model import st_tr
from model.inputs import checked
from model.layers.basic import norm_relu, normalise
from model.layers.gcn import AdaptiveGCN
from model.layers.tcn import TemporalConv


@dataclass(frozen=True)
class State:
    """What a stream keeps of its frames, as tensors (N·M, frames, V, C) by the unit that waits for more.

    Attributes:
        convs: the inputs of each temporal convolution that its next outputs need.
        around: what waits for the output of each convolution: a block's residual; for `tcn0` nothing.
        seen: the number of frames that reached each convolution.
        raw: the input that waits for the block that takes it again.
        total: (N·M, C) sum of the last features over frames.
        frames: how many these were.
    """

    convs: dict[str, Tensor]
    around: dict[str, Tensor]
    seen: dict[str, int]
    raw: Tensor
    total: Tensor
    frames: int


class Stream:
    """The logits of a growing clip, exactly: after t frames those of `model(x[:, :, :t])`, as far as rounding goes.

    Args:
        model: S-TR in evaluation mode, with any weights.

    Raises:
        ValueError: this model sees all frames at once, or is in training mode.
    """

    def __init__(self, model: nn.Module) -> None:
        if reason := why_not(model):
            raise ValueError(
                f"this model cannot be streamed exactly: {reason}; model.streaming.Window repeats a window"
            )
        if model.training:
            raise ValueError("the model is in training mode, where batch norm looks at all frames; call model.eval()")
        self.model = cast(st_tr.Model, model)
        self._state: State | None = None
        self._persons = (0, 0)

    def reset(self) -> None:
        """Forgets all frames."""
        self._state = None

    @torch.no_grad()
    def push(self, frame: Tensor) -> None:
        """The next frame (N, C, V, M), or frames (N, C, T, V, M), of N streams; fewer persons are completed.

        Raises:
            ValueError: axes are not those of the model, or N differs from that of the frames before.
        """
        frames = frame[:, :, None] if frame.dim() == 4 else frame
        x = checked(frames, self.model.options, self.model.fcn.weight.dtype)
        if self._state is not None and (len(x), x.shape[-1]) != self._persons:
            raise ValueError(f"push: {len(x)} streams, after {self._persons[0]}; call reset() before other streams")
        self._persons = len(x), x.shape[-1]
        self._state = self._advance(x, self._state or self._start(x), last=False)

    @torch.no_grad()
    def logits(self) -> Tensor:
        """(N, num_class) of all frames so far.

        Raises:
            ValueError: there are no frames.
        """
        if self._state is None:
            raise ValueError("logits: no frame was pushed")
        N, M = self._persons
        o = self.model.options
        end = self._state.total.new_zeros(N, o.channel, 0, o.num_point, M, dtype=self.model.fcn.weight.dtype)
        state = self._advance(end, self._state, last=True)
        mean = (state.total / state.frames).unflatten(0, (N, M)).mean(dim=1)
        return self.model.fcn(mean.to(self.model.fcn.weight.dtype))

    def _start(self, x: Tensor) -> State:
        raw = rearrange(x[:, :, :0], "n c t v m -> (n m) t v c")
        total = x.new_zeros(len(raw), self.model.fcn.in_features, dtype=torch.float64)
        return State({}, {}, {}, raw, total, 0)

    def _advance(self, x: Tensor, state: State, *, last: bool) -> State:
        """The state after the frames `x` (N, C, T, V, M), which may be none; with `last`, nothing waits any longer."""
        model = self.model
        state = replace(state, convs={**state.convs}, around={**state.around}, seen={**state.seen})
        raw = rearrange(x, "n c t v m -> (n m) t v c")
        h = raw
        if len(raw) and raw.shape[1]:
            h = normalise(rearrange(x, "n c t v m -> n t (m v c)"), model.data_bn)
            h = rearrange(h, "n t (m v c) -> (n m) t v c", m=x.shape[-1], c=x.shape[1])
        waiting = torch.cat([state.raw, raw], dim=1)
        if not model.options.all_layers:
            h = _convolve("tcn0", model.tcn0, _each_frame(model.gcn0, h), state, last=last)
        for i, block in enumerate(model.backbone):
            if i == model.joined:
                joined, waiting = waiting.split([h.shape[1], waiting.shape[1] - h.shape[1]], dim=1)
                h = torch.cat([h, joined], dim=-1)
            h = _through(f"backbone.{i}", block, h, state, last=last)
        if model.joined is None:
            waiting = waiting[:, :0]
        total = state.total + h.mean(dim=2).sum(dim=1, dtype=torch.float64)
        return replace(state, raw=waiting, total=total, frames=state.frames + h.shape[1])


def _each_frame(module: nn.Module, x: Tensor) -> Tensor:
    """A module that acts inside each frame, of (B, T, V, C) -> (B, T, V, C') or of no frames at all."""
    if x.shape[1]:
        return module(x)
    return module(x.new_zeros(x.shape[0], 1, *x.shape[2:]))[:, :0]


def _convolve(name: str, tcn: TemporalConv, x: Tensor, state: State, *, last: bool) -> Tensor:
    """The outputs that frames `x` of a convolution's input make possible: (B, T, V, C) -> (B, T', V, C')."""
    kernel, stride, padding = tcn.conv.kernel_size[0], tcn.conv.stride[0], tcn.conv.padding[0]
    beyond = x.new_zeros(x.shape[0], padding, *x.shape[2:])
    x = torch.cat([state.convs.get(name, beyond), x, *([beyond] if last else [])], dim=1)
    count = max((x.shape[1] - kernel) // stride + 1, 0)
    state.convs[name] = x[:, count * stride :]
    if not count:
        return x.new_zeros(x.shape[0], 0, x.shape[2], tcn.conv.out_channels)
    y = rearrange(x[:, : (count - 1) * stride + kernel], "b t v c -> b c t v")
    y = F.conv2d(y, tcn.conv.weight, tcn.conv.bias, stride=tcn.conv.stride)
    return norm_relu(rearrange(y, "b c t v -> b t v c"), tcn.bn)


def _through(name: str, block: st_tr.Block, x: Tensor, state: State, *, last: bool) -> Tensor:
    """The frames that a block gives after frames `x` of its input, which may be none."""
    seen, stride = state.seen.get(name, 0), block.tcn1.conv.stride[0]
    state.seen[name] = seen + x.shape[1]
    residual = _each_frame(block.down1, x[:, -seen % stride :])  # a stride takes the frames 0, s, 2s, ... of the clip
    waiting = torch.cat([state.around[name], residual], dim=1) if name in state.around else residual
    y = _convolve(name, block.tcn1, _each_frame(block.gcn1, x), state, last=last)
    state.around[name] = waiting[:, y.shape[1] :]
    return y + waiting[:, : y.shape[1]]


class Window:
    """The logits of the last frames, computed anew each time: for models that see all frames at once.

    Args:
        model: any model, in evaluation mode.
        frames: how many of the last frames are looked at.
    """

    def __init__(self, model: nn.Module, frames: int) -> None:
        if frames < 1:
            raise ValueError(f"frames: {frames} is no number of frames")
        if model.training:
            raise ValueError("the model is in training mode; call model.eval()")
        self.model = model
        self._frames: deque[Tensor] = deque(maxlen=frames)

    def reset(self) -> None:
        """Forgets all frames."""
        self._frames.clear()

    def push(self, frame: Tensor) -> None:
        """The next frame (N, C, V, M), or frames (N, C, T, V, M)."""
        self._frames.extend(frame[:, :, None].unbind(dim=2) if frame.dim() == 4 else frame.unbind(dim=2))

    @torch.no_grad()
    def logits(self) -> Tensor:
        """(N, num_class) of the last frames.

        Raises:
            ValueError: there are no frames.
        """
        if not self._frames:
            raise ValueError("logits: no frame was pushed")
        logits: Tensor = self.model(torch.stack(list(self._frames), dim=2))
        return logits


def why_not(model: nn.Module) -> str | None:
    """Why a model cannot be streamed exactly; None: it can."""
    if not isinstance(model, st_tr.Model):
        return f"{type(model).__module__} begins with a graph that is made of all frames, or is not known"
    if model.options.tcn_attention:
        return "temporal attention looks at all frames"
    if any(isinstance(module, AdaptiveGCN) for module in model.modules()):
        return "an adaptive graph (agcn) is made of all frames"
    return None
