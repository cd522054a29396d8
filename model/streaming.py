"""S-TR frame by frame: the logits of all frames so far at any time, exactly those of the whole clip.

    stream = Stream(model.eval())
    for frame in frames:  # (N, C, V, M)
        stream.push(frame)
        logits = stream.logits()  # model(x[:, :, :t]) of the t frames so far

In evaluation mode attention, graph convolution and batch norm of S-TR act inside a frame. Only the convolutions over
time and the mean over time see several frames.

Output o of a convolution with stride s sees its inputs o·s - k to o·s + k (k = 4). It is complete when input o·s + k
has come: a convolution is k inputs late, and the delays of all units add up. Frames are taken four at a time. Four is
the product of all strides, so a unit always gets the same number of inputs, and its `delay` is a constant. Where the
strides before it leave one frame of `rate`, its next input after `seen` frames has the place seen / rate - delay in
the clip. Inputs at places before 0 or beyond the end become zeros, which are the padding of the convolution.

What waits for later frames is the state: for each convolution the sums of those outputs (8 / s) that have got some of
their inputs, the last inputs of each residual, the raw input of the fourth block, and the sum for the mean over time.
So memory does not grow. `logits` also computes the outputs at the end of the clip, and does not keep them.

A model that attends over frames, or whose graph is made of all frames, cannot do this: `Window` gives the logits of the
last frames, computed anew.

Axis legend: N streams side by side, C channels, T frames, V joints, M persons; hidden features are (N·M, T, V, C).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from model.inputs import checked, normalised
from model.layers.gcn import AdaptiveGCN
from model.st_tr import Model

STEP = 4  # frames of a step
TOGETHER = 16  # frames that a stream collects before it computes, if nobody asks for logits: fewer calls are faster


class _Unit(nn.Module):
    """A temporal convolution, batch norm and ReLU, with what is before and beside it: tcn(gcn(x)) + residual(x)."""

    matrices: Tensor  # (2k + 1, in, out), those of the convolution times the fixed scale of the batch norm
    bias: Tensor

    def __init__(self, gcn: nn.Module, tcn: Any, residual: nn.Module | None, *, delay: int, rate: int) -> None:
        super().__init__()
        self.gcn, self.residual, self.delay, self.rate = gcn, residual, delay, rate
        self.k, self.stride = int(tcn.conv.padding[0]), int(tcn.conv.stride[0])
        scale = tcn.bn.weight / (tcn.bn.running_var + tcn.bn.eps).sqrt()
        self.register_buffer("matrices", (tcn.conv.weight[..., 0].permute(2, 1, 0) * scale).contiguous())
        self.register_buffer("bias", (tcn.conv.bias - tcn.bn.running_mean) * scale + tcn.bn.bias)

    def convolve(self, x: Tensor, sums: Tensor | None, settled: int, *, ends: bool) -> tuple[Tensor, Tensor]:
        """Outputs (B, Q, V, out) and the next sums, of inputs (B, P, V, in) and the sums of the inputs before.

        The outputs are those that the first `settled` inputs complete. Where the clip `ends`, the other inputs give all
        further outputs, but do not enter the next sums.
        """
        k, s = self.k, self.stride
        if sums is None:
            sums = x.new_zeros(x.shape[0], 2 * k // s, x.shape[2], len(self.bias))
        complete = settled // s
        sums = self._add(x[:, :settled], F.pad(sums, (0, 0, 0, 0, 0, complete)))
        y, sums = sums[:, :complete], sums[:, complete:]
        if ends:
            further = F.pad(sums, (0, 0, 0, 0, 0, -(-(x.shape[1] + k) // s) - complete - sums.shape[1]))
            y = torch.cat([y, self._add(x[:, settled:], further)], dim=1)
        return F.relu(y + self.bias), sums

    def _add(self, x: Tensor, sums: Tensor) -> Tensor:
        """The sums, in place, and what the inputs x give to them: sum o gets input o·s + j - 2k times the matrix j."""
        k, s = self.k, self.stride
        if not x.shape[1]:
            return sums
        if torch.compiler.is_compiling():  # one operation in exported programs, slower in torch
            weight = rearrange(self.matrices, "j i o -> o i j 1")
            y = F.conv2d(rearrange(x, "b t v c -> b c t v"), weight, stride=(s, 1), padding=(2 * k, 0))
            return sums + rearrange(y, "b c t v -> b t v c")[:, : sums.shape[1]]
        for j, matrix in enumerate(self.matrices):
            first = -(-(2 * k - j) // s)  # of the sums that get such an input
            rows = x[:, first * s + j - 2 * k :: s][:, : max(sums.shape[1] - first, 0)]
            place = sums[:, first : first + rows.shape[1]].flatten(1, 2)
            place.baddbmm_(rows.flatten(1, 2), matrix.expand(len(rows), -1, -1))
        return sums


class Step(nn.Module):
    """The state after four frames: ((N, C, 4, V, M), state) -> state, tensors (N, M, ...) by name, and `seen` (1,).

    Args:
        model: S-TR in evaluation mode.

    Raises:
        ValueError: this model cannot be streamed exactly, or is in training mode.
    """

    @torch.no_grad()
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        model = streamable(model)
        self.options, self.data_bn, self.fcn = model.options, model.data_bn, model.fcn
        parts: list[Any] = [] if self.options.all_layers else [(model.gcn0, model.tcn0, None)]
        self.joined = None if model.joined is None else model.joined + len(parts)
        parts += [(block.gcn1, block.tcn1, block.down1) for block in model.backbone]
        self.units, self.delay, self.rate = nn.ModuleList(), 0, 1
        for part in parts:
            self.units.append(unit := _Unit(*part, delay=self.delay, rate=self.rate))
            self.delay, self.rate = (self.delay + unit.k) // unit.stride, self.rate * unit.stride

    def empty(self, N: int = 1) -> dict[str, Tensor]:
        """The state of N streams before their first frame: zeros."""
        (C, _, V, M), like = self.options.shape, self.fcn.weight
        state = self(like.new_zeros(N, C, STEP, V, M), {"seen": like.new_zeros(1, dtype=torch.int64)})
        return {name: torch.zeros_like(x) for name, x in state.items()}

    def forward(self, frames: Tensor, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.advance(frames, state, settled=frames.shape[2])[0]

    def advance(
        self, frames: Tensor, state: Mapping[str, Any], *, settled: int, count: Tensor | int | None = None
    ) -> tuple[dict[str, Any], Tensor]:
        """The state after the first `settled` frames, and logits.

        Args:
            frames: (N, C, P, V, M).
            state: {} before the first frame; `seen` may be a number, too.
            settled: a multiple of four.
            count: frames after which the clip ends, for logits; None: it goes on, and all frames are settled.
        """
        M, seen = frames.shape[-1], state.get("seen", 0)
        state = {name: x if name == "seen" else x.flatten(0, 1) for name, x in state.items()}
        clip = seen + (settled if count is None else count)
        raw, x = rearrange(frames, "n c t v m -> (n m) t v c"), normalised(frames, self.data_bn)
        for i, unit in enumerate(cast(Sequence[_Unit], self.units)):
            n = settled // unit.rate
            if i == self.joined:
                x = torch.cat([x, _delayed(raw, state, "raw", unit.delay, n)[:, : x.shape[1]]], dim=-1)
            h = _inside(unit.gcn(x), seen // unit.rate - unit.delay, -(-clip // unit.rate))
            y, state[f"sums{i}"] = unit.convolve(h, state.get(f"sums{i}"), n, ends=count is not None)
            if unit.residual is not None:
                beside = _delayed(x, state, f"residual{i}", unit.k, n)
                y = y + unit.residual(beside[:, : (y.shape[1] - 1) * unit.stride + 1])
            x = y
        number = -(-clip // self.rate)
        features = _inside(x.mean(dim=2, dtype=torch.float64), seen // self.rate - self.delay, number)
        total = state.get("total", 0.0)
        state["seen"] = seen + settled
        state["total"] = total + features[:, : settled // self.rate].sum(dim=1)
        mean = ((total + features.sum(dim=1)) / number).unflatten(0, (-1, M)).mean(dim=1)
        state = {name: x if name == "seen" else x.unflatten(0, (-1, M)) for name, x in state.items()}
        return state, self.fcn(mean.to(self.fcn.weight.dtype))


class Tail(nn.Module):
    """The logits (N, num_class) of all frames so far: those of a state, and the `count` (1,) first of four more."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def forward(self, frames: Tensor, count: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return self.step.advance(frames, state, settled=0, count=count)[1]


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
        self._step: Any = None
        self._state: dict[str, Any] = {}
        self._frames: list[Tensor] = []  # after those of the state
        self._logits: Tensor | None = None

    def push(self, frame: Tensor) -> None:
        """The next frame (N, C, V, M), or frames (N, C, T, V, M), of N streams; absent persons complete fewer.

        Raises:
            ValueError: axes are not those of the model, N differs from that of the frames before, or training mode.
        """
        _check_evaluation(self.model)
        x = checked(frame[:, :, None] if frame.dim() == 4 else frame, self.model.options, self.model.fcn.weight.dtype)
        if self._frames and len(x) != (N := len(self._frames[0])):
            raise ValueError(f"push: {len(x)} streams, after {N}; call reset() before other streams")
        self._step = self._step or Step(self.model)
        self._frames.append(x.clone())  # the caller may fill the same memory with the next frame
        self._logits = None
        if (number := sum(x.shape[2] for x in self._frames)) > TOGETHER:
            self._advance((number - 1) // STEP * STEP)

    def logits(self) -> Tensor:
        """(N, num_class) of all frames so far.

        Raises:
            ValueError: there are no frames, or training mode.
        """
        _check_evaluation(self.model)
        if not self._frames:
            raise ValueError("logits: no frame was pushed")
        if self._logits is None:
            number = sum(x.shape[2] for x in self._frames)
            self._logits = self._advance(number // STEP * STEP, number)
        return self._logits.clone()

    @torch.no_grad()
    def _advance(self, settled: int, count: int | None = None) -> Tensor:
        frames = torch.cat(self._frames, dim=2)
        state, logits = self._step.advance(frames[:, :, : count or settled], self._state, settled=settled, count=count)
        self._state = {name: x if name == "seen" else x.clone() for name, x in state.items()}  # no parts of more
        self._frames = [frames[:, :, settled:].clone()]
        return logits


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
        """The next frame (N, C, V, M), or frames (N, C, T, V, M).

        Raises:
            ValueError: the shape differs from that of the frames before.
        """
        x = (frame[:, :, None] if frame.dim() == 4 else frame).clone()
        if self._frames and (x[:, :, 0].shape != (before := self._frames[0].shape)):
            given, wanted = tuple(x[:, :, 0].shape), tuple(before)
            raise ValueError(f"push: a frame {given} (N, C, V, M), after {wanted}; call reset() before other streams")
        self._frames.extend(x.unbind(dim=2))

    @torch.no_grad()
    def logits(self) -> Tensor:
        """(N, num_class) of the last frames; errors as `Stream`."""
        _check_evaluation(self.model)
        if not self._frames:
            raise ValueError("logits: no frame was pushed")
        return self.model(torch.stack(list(self._frames), dim=2))


def streamable(model: nn.Module) -> Model:
    """The model, if it can be streamed exactly; errors as `Stream`."""
    if not isinstance(model, Model):
        reason = f"{type(model).__module__} begins with a graph that is made of all frames, or is not known"
    elif model.options.tcn_attention:
        reason = "temporal attention looks at all frames"
    elif any(isinstance(module, AdaptiveGCN) for module in model.modules()):
        reason = "an adaptive graph (agcn) is made of all frames"
    else:
        _check_evaluation(model)
        return model
    raise ValueError(f"this model cannot be streamed exactly: {reason}; take model.streaming.Window")


def _check_evaluation(model: nn.Module) -> None:
    if any(module.training for module in model.modules()):
        raise ValueError("the model is in training mode, where batch norm looks at all frames; call model.eval()")


def _delayed(x: Tensor, state: dict[str, Any], name: str, number: int, settled: int) -> Tensor:
    """x (B, P, V, C) after the `number` frames that wait in the state; those before x[:, settled] wait next."""
    x = torch.cat([state[name], x], dim=1) if name in state else F.pad(x, (0, 0, 0, 0, number, 0))
    state[name] = x[:, settled : settled + number]
    return x


def _inside(x: Tensor, first: Tensor | int, number: Tensor | int) -> Tensor:
    """x (B, P, ...) of the places `first`, first + 1, ...; zero where the place is not among 0 to `number` - 1."""
    if isinstance(first, int) and 0 <= first <= number - x.shape[1]:
        return x
    place = first + torch.arange(x.shape[1], device=x.device)
    inside = (place >= 0) & (place < number)
    return torch.where(inside.view(-1, *[1] * (x.dim() - 2)), x, 0)
