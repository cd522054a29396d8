"""What the attentions of a model look at: weights or logits of every block for one sample, before anything is drawn.

A forward pre-hook on each `Attention` of a copy computes them from the input that it gets (`Attention.logits`), so that
the model itself does nothing more. Dropped keys ("drop connect") are training's, and are left out.

Axis legend: N samples, R rows, H heads, L tokens of an attention; T frames, V joints, M persons.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.layers.attention import Attention
from model.layers.units import SpatialAttention, TemporalAttention
from model.zit_zot import Transformer
from processor.results.tokens import step_of

ROWS = 1 << 22  # numbers of logits that are computed at a time, 32 MB


@dataclass(frozen=True)
class Seen:
    """What one attention gives for one person of one sample.

    Attributes:
        block: the name of the block, such as `backbone.3.gcn1`.
        kind: what attends to each other: `joints`, `frames`, `persons`, or `tokens` of a user's block.
        person: whose it is, from 0; of the group of all persons 0.
        values: `joints` (H, T, V, V), `persons` (H, T, M, M), `frames` (H, V, T, T), or (H, M, T, T) of a group.
    """

    block: str
    kind: str
    person: int
    values: np.ndarray

    @property
    def name(self) -> str:
        """The name of its array: that of the block, for further persons with their number."""
        return f"{self.block}/person{self.person}" if self.person else self.block

    @property
    def num_frame(self) -> int:
        return self.values.shape[-1 if self.kind == "frames" else 1]

    def mean(self) -> np.ndarray:
        """(H, L, L): the mean over the rows, frames or joints, of each head."""
        return self.values.mean(axis=1, dtype=np.float64)

    def received(self) -> np.ndarray:
        """(T, L): attention that each token gets, the mean over heads and queries; of frames (1, T)."""
        received = self.values.mean(axis=(0, 2), dtype=np.float64)
        return received.mean(axis=0, keepdims=True) if self.kind == "frames" else received


def kind_of(model: nn.Module, name: str) -> str:
    """What the tokens of the attention of this name are."""
    unit = name.rpartition(".")[0]
    parent = model.get_submodule(unit)
    if isinstance(parent, SpatialAttention):
        return "joints"
    if isinstance(parent, TemporalAttention):
        return "frames"
    if isinstance(parent, Transformer) and unit.endswith((".spatial", ".temporal")):
        return "frames" if unit.endswith(".temporal") else "persons" if unit.startswith("zot.") else "joints"
    return "tokens"


@torch.no_grad()
def look(model: nn.Module, x: Tensor, *, logits: bool = False) -> tuple[list[Seen], Tensor]:
    """What the attentions of `model` give for one sample (C, T, V, M), and its logits (num_class,).

    Persons who are absent, zero everywhere, are left out of the attentions of one person. Inside windows, frames of
    other windows have the weight zero. All is computed in float64 on the CPU, so that rounding is not seen.

    Args:
        logits: before the softmax; those of frames in other windows, and of persons who are absent, are -inf.

    Raises:
        ValueError: the model has no attention.
    """
    model, x = deepcopy(model).cpu().double().eval(), x.cpu().double()
    named = {name: module for name, module in model.named_modules() if isinstance(module, Attention)}
    if not named:
        raise ValueError("explain: the model has no self-attention (attention and tcn_attention are off)")
    calls: dict[str, list[np.ndarray]] = {name: [] for name in named}
    persons = [m for m in range(x.shape[-1]) if bool(x[..., m].any())] or [0]
    for name, module in named.items():

        def hook(module: nn.Module, args: Any, kwargs: Any, name: str = name) -> None:
            rows = persons if args[0].shape[0] > 1 else [0]
            calls[name].append(_values(module, *args, rows=rows, logits=logits, **kwargs))

        module.register_forward_pre_hook(hook, with_kwargs=True)
    scores = model(x[None])[0]
    seen = []
    for name in named:
        arrays, kind = calls.pop(name), kind_of(model, name)
        is_windowed = isinstance(model.get_submodule(name.rpartition(".")[0]), TemporalAttention)
        joined = _windows(arrays, x.shape[2], -np.inf if logits else 0.0) if is_windowed else arrays[0]
        block = name.removesuffix(".attention")
        numbers = persons if len(joined) == len(persons) and not name.startswith("zot.") else range(len(joined))
        seen += [Seen(block, kind, number, values) for number, values in zip(numbers, joined, strict=True)]
    return seen, scores


def _values(module: Any, x: Tensor, bias: Tensor | None = None, *, rows: list[int], logits: bool) -> np.ndarray:
    """(persons, H, R, L, L) of the tokens (B, R, L, C), some rows at a time."""
    R, L = x.shape[1:3]
    y = np.empty((len(rows), module.heads, R, L, L), np.float32)
    step = max(1, ROWS // (module.heads * L * L))
    for place, b in enumerate(rows):
        for r in range(0, R, step):
            part = None
            if bias is not None:
                part = bias[b : b + 1] if bias.shape[0] > 1 else bias
                part = part[:, r : r + step] if part.shape[1] > 1 else part
            values = module.logits(x[b : b + 1, r : r + step], part)
            values = values if logits else values.softmax(dim=-1)
            y[place, :, r : r + step] = values[0].transpose(0, 1).cpu().numpy()
    return y


def _windows(calls: list[np.ndarray], V: int, outside: float) -> np.ndarray:
    """(persons, H, V, T, T) of a temporal attention: full windows in one call, rows (v w), and a last shorter one."""
    blocks = []
    for array in calls:
        count = array.shape[2] // V
        blocks += [array[:, :, number::count] for number in range(count)]
    if len(blocks) == 1:
        return blocks[0]
    T = sum(block.shape[-1] for block in blocks)
    y = np.full((*blocks[0].shape[:3], T, T), outside, np.float32)
    end = 0
    for block in blocks:
        begin, end = end, end + block.shape[-1]
        y[..., begin:end, begin:end] = block
    return y


def frames_of(seen: Seen, frames: np.ndarray) -> np.ndarray:
    """The recording's number of the frame at which each token of time stands, of those of the input (T,)."""
    return frames[:: step_of(len(frames), seen.num_frame)]


def first_clip(feeder: Any, index: int) -> Tensor:
    """A sample (C, T, V, M) as the model gets it; of several clips the first."""
    x = torch.as_tensor(feeder[index][0])
    x = x[0] if x.dim() == 5 else x
    return x if x.dim() == 4 else x[..., None]
