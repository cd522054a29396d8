"""S-TR frame by frame: the logits of all frames so far at any time, exactly those of the whole clip.

    stream = Stream(model.eval())
    for frame in frames:  # (N, C, V, M)
        stream.push(frame)
        logits = stream.logits()  # model(x[:, :, :t]) of the t frames so far

In evaluation mode attention, graph convolution and batch norm of S-TR act inside a frame. Only temporal convolutions
and the mean over time see several frames. So each convolution keeps sums of the outputs that later inputs complete
(eight frames at most), what is added to its output (a block's residual) or taken later (the raw input of the fourth
block) waits as long, and the mean is a running sum: memory does not grow with the number of frames. In `logits`, where
the clip ends, the outputs are complete as they are, for the zeros beyond the end add nothing.

A model that attends over frames, or whose graph is made of all frames, cannot do this: `Window` gives the logits of the
last frames, computed anew.

Axis legend: N streams side by side, C channels, T frames, V joints, M persons; hidden features are (N·M, T, V, C).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from model import st_tr
from model.inputs import checked, normalised
from model.layers.basic import norm_relu
from model.layers.gcn import AdaptiveGCN
from model.layers.tcn import TemporalConv

TOGETHER = 16  # frames after which a stream computes even if nobody asks for logits: fewer calls are faster


class Frames(NamedTuple):
    """Features of successive frames x (B, T, V, C), of which the first `sure` stay the same when more frames come."""

    x: Tensor
    sure: int


class _Convolution:
    """A temporal convolution, batch norm and ReLU whose inputs come piece by piece.

    Each sure input meets each matrix of the kernel once, and the sums are kept until all inputs of an output have come.
    So the outputs at the end of a clip need no inputs before, and no zeros beyond it.
    """

    def __init__(self, tcn: TemporalConv) -> None:
        self._tcn = tcn
        self._weight = tcn.conv.weight.detach()[..., 0].permute(2, 1, 0).contiguous()  # (kernel, in, out)
        self.seen = self._given = 0  # sure inputs so far, and outputs that are complete
        self._sums: Tensor | None = None  # (B, P, V, out) of the outputs after these

    def __call__(self, frames: Frames, *, end: bool) -> Frames:
        """The outputs that the inputs so far complete, with `end` all of them."""
        (x, sure), conv, n = frames, self._tcn.conv, self.seen
        kernel, stride, padding = int(conv.kernel_size[0]), int(conv.stride[0]), int(conv.padding[0])
        B, T, V, _ = x.shape
        reached = (n + T - 1 + padding) // stride + 1 - self._given  # outputs that see an input
        bias = x.new_zeros(conv.out_channels) if conv.bias is None else conv.bias
        kept = 0 if self._sums is None else self._sums.shape[1]
        sums = bias.expand(B, max(reached - kept, 0), V, -1)
        sums = sums.clone() if self._sums is None else torch.cat([self._sums, sums], dim=1)
        y = sums.clone() if sure < T else sums
        complete = max((n + sure + padding - kernel) // stride + 1, 0) - self._given
        count = -(-(n + T) // stride) - self._given if end else complete  # outputs of the clip so far
        for shift, matrix in enumerate(self._weight):  # an output o sees the input o * stride + shift - padding
            first = max(-(-(n + padding - shift) // stride), 0)
            begin = first * stride + shift - padding - n
            first -= self._given
            certain = max(-(-(sure - begin) // stride), 0)
            rows = x[:, begin::stride][:, : max(certain, count - first)] if begin < T else x[:, :0]
            product = (rows.flatten(0, 2) @ matrix).view(B, -1, V, conv.out_channels)
            y[:, first : first + rows.shape[1]] += product
            if sure < T:
                sums[:, first : first + certain] += product[:, :certain]
        self.seen += sure
        self._sums = sums[:, complete : (self.seen - 1 + padding) // stride + 1 - self._given].clone()
        self._given += complete
        y = y[:, :count]
        return Frames(norm_relu(y, self._tcn.bn) if count else y, complete)


class Stream:
    """The logits of a growing clip, exactly: after t frames those of `model(x[:, :, :t])`, as far as rounding goes.

    Args:
        model: S-TR in evaluation mode, with any weights; a stream takes them with its first frame.

    Raises:
        ValueError: this model sees all frames at once, or is in training mode.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = streamable(model)
        self.reset()

    def reset(self) -> None:
        """Forgets all frames."""
        self._convolutions: dict[str, _Convolution] = {}
        self._pushed: list[Tensor] = []  # frames that nothing was computed of
        self._waiting: dict[str, Tensor] = {}  # by unit: frames (N·M, T, V, C) that it needs later
        self._total: Tensor | float = 0.0  # (N·M, C), the last features summed over sure frames
        self._count = 0  # of these frames
        self._shape: tuple[int, ...] = ()

    def push(self, frame: Tensor) -> None:
        """The next frame (N, C, V, M), or frames (N, C, T, V, M), of N streams; absent persons complete fewer.

        Raises:
            ValueError: axes are not those of the model, or N differs from that of the frames before.
        """
        x = frame[:, :, None] if frame.dim() == 4 else frame
        x = checked(x, self.model.options, self.model.fcn.weight.dtype)
        shape = (len(x), x.shape[-1])
        if self._shape not in ((), shape):
            raise ValueError(f"push: {len(x)} streams, after {self._shape[0]}; call reset() before other streams")
        if not self._shape:
            convolutions = ((name, unit) for name, unit in self.model.named_modules() if isinstance(unit, TemporalConv))
            self._convolutions = {name: _Convolution(unit) for name, unit in convolutions}
        self._shape = shape
        self._pushed.append(x)
        if sum(x.shape[2] for x in self._pushed) >= TOGETHER:
            self._advance(end=False)

    def logits(self) -> Tensor:
        """(N, num_class) of all frames so far.

        Raises:
            ValueError: there are no frames.
        """
        if not self._shape:
            raise ValueError("logits: no frame was pushed")
        with torch.no_grad():
            mean = self._advance(end=True).unflatten(0, self._shape).mean(dim=1)
            return self.model.fcn(mean.to(self.model.fcn.weight.dtype))

    @torch.no_grad()
    def _advance(self, *, end: bool) -> Tensor:
        """Takes the pushed frames; the mean (N·M, C) of the last features, with `end` as if the clip ended here."""
        model, o = self.model, self.model.options
        N, M = self._shape
        none = model.fcn.weight.new_zeros(N, o.channel, 0, o.num_point, M)
        x = torch.cat([none, *self._pushed], dim=2)
        self._pushed = []
        raw = rearrange(x, "n c t v m -> (n m) t v c")
        frames = Frames(normalised(x, model.data_bn) if x.shape[2] else raw, x.shape[2])
        if not o.all_layers:
            frames = self._convolutions["tcn0"](_each(model.gcn0, frames), end=end)
        for i, block in enumerate(model.backbone):
            if i == model.joined:
                joined = self._delayed("raw", Frames(raw, raw.shape[1]), frames)
                frames = frames._replace(x=torch.cat([frames.x, joined], dim=-1))
            frames = self._through(f"backbone.{i}", cast(st_tr.Block, block), frames, end=end)
        features = frames.x.mean(dim=2, dtype=torch.float64)
        total = self._total + features.sum(dim=1)
        self._total = self._total + features[:, : frames.sure].sum(dim=1)
        number = self._count + frames.x.shape[1]
        self._count += frames.sure
        return total / number

    def _through(self, name: str, block: st_tr.Block, frames: Frames, *, end: bool) -> Frames:
        """A block, whose residual takes the frames 0, s, 2s, ... of the clip where its stride is s."""
        convolution, stride = self._convolutions[f"{name}.tcn1"], cast(TemporalConv, block.tcn1).conv.stride[0]
        skip = -convolution.seen % stride
        residual = Frames(frames.x[:, skip:], max(frames.sure - skip, 0))
        residual = _each(block.down1, residual, stride)
        y = convolution(_each(block.gcn1, frames), end=end)
        return y._replace(x=y.x + self._delayed(f"{name}.down1", residual, y))

    def _delayed(self, name: str, frames: Frames, late: Frames) -> Tensor:
        """The frames beside those that came `late`; those whose time has not come wait."""
        x = torch.cat([self._waiting[name], frames.x], dim=1) if name in self._waiting else frames.x
        sure = x.shape[1] - frames.x.shape[1] + frames.sure
        self._waiting[name] = x[:, late.sure : sure].clone()
        return x[:, : late.x.shape[1]]


class Window:
    """The logits of the last frames, computed anew each time: for models that see all frames at once.

    Args:
        model: any model, in evaluation mode.
        frames: how many of the last frames are looked at.

    Raises:
        ValueError: no number of frames, or the model is in training mode.
    """

    def __init__(self, model: nn.Module, frames: int) -> None:
        if frames < 1:
            raise ValueError(f"frames: {frames} is no number of frames")
        _check_evaluation(model)
        self.model = model
        self._frames: deque[Tensor] = deque(maxlen=frames)

    def reset(self) -> None:
        """Forgets all frames."""
        self._frames.clear()

    def push(self, frame: Tensor) -> None:
        """The next frame (N, C, V, M), or frames (N, C, T, V, M)."""
        self._frames.extend(frame[:, :, None].unbind(dim=2) if frame.dim() == 4 else frame.unbind(dim=2))

    def logits(self) -> Tensor:
        """(N, num_class) of the last frames.

        Raises:
            ValueError: there are no frames.
        """
        if not self._frames:
            raise ValueError("logits: no frame was pushed")
        with torch.no_grad():
            logits: Tensor = self.model(torch.stack(list(self._frames), dim=2))
        return logits


def streamable(model: nn.Module) -> st_tr.Model:
    """The model, if it can be streamed exactly; errors as `Stream`."""
    if reason := why_not(model):
        raise ValueError(f"this model cannot be streamed exactly: {reason}; take model.streaming.Window")
    _check_evaluation(model)
    return cast(st_tr.Model, model)


def why_not(model: nn.Module) -> str | None:
    """Why a model cannot be streamed exactly; None: it can."""
    if not isinstance(model, st_tr.Model):
        return f"{type(model).__module__} begins with a graph that is made of all frames, or is not known"
    if model.options.tcn_attention:
        return "temporal attention looks at all frames"
    if any(isinstance(module, AdaptiveGCN) for module in model.modules()):
        return "an adaptive graph (agcn) is made of all frames"
    return None


def _check_evaluation(model: nn.Module) -> None:
    if model.training:
        raise ValueError("the model is in training mode, where batch norm looks at all frames; call model.eval()")


def _each(module: nn.Module, frames: Frames, stride: int = 1) -> Frames:
    """A module that acts inside each frame, of every frame at `stride`, and of no frames as well."""
    x, sure = frames
    y = module(x) if x.shape[1] else module(x.new_zeros(x.shape[0], 1, *x.shape[2:]))[:, :0]
    return Frames(y, -(-sure // stride))
