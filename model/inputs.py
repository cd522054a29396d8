"""What every model asks of its input, whatever the family."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from model.layers.basic import normalise
from model.options import ModelOptions


def normalised(x: Tensor, bn: nn.BatchNorm1d | None) -> Tensor:
    """(N, C, T, V, M) -> (N·M, T, V, C), normalised by the batch norm of persons, joints and channels."""
    h = normalise(rearrange(x, "n c t v m -> n t (m v c)"), bn)
    return rearrange(h, "n t (m v c) -> (n m) t v c", m=x.shape[-1], c=x.shape[1])


def checked(x: Tensor, options: ModelOptions, dtype: torch.dtype, *, any_persons: bool = False) -> Tensor:
    """The input as a model takes it: (N, C, T, V, M), or (N, C, T, V) of one person -> (N, C, T, V, M).

    Absent persons (zeros) follow where the input has fewer than `num_person`. Real numbers of any type become `dtype`.

    Args:
        options: the model's; T of their `shape` is not compared, for convolutions take any.
        dtype: that of the weights.
        any_persons: M may be any, and stays.

    Raises:
        ValueError: axes, channels, joints or persons are not those of the model, there are no frames, or the numbers
            are complex.
    """
    if not isinstance(x, Tensor) or x.dim() not in (4, 5) or x.is_complex():
        given = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(
            f"input: {given}, where the model takes a tensor of real numbers with the axes (N, C, T, V, M), or "
            "(N, C, T, V) of one person"
        )
    x = x[..., None] if x.dim() == 4 else x
    _, C, T, V, M = x.shape
    channels, _, joints, persons = options.shape
    problems = [
        f"{given} {what}, the model takes {taken} (model_args.{option})"
        for what, given, taken, option in (
            ("channels", C, channels, options.CHANNELS),
            ("joints", V, joints, "num_point"),
        )
        if given != taken
    ]
    if persons < M and not any_persons:
        problems.append(f"{M} persons, the model takes at most {persons} (model_args.num_person)")
    problems += [f"no {what}" for what, number in (("frames", T), ("persons", M)) if number == 0]
    if problems:
        raise ValueError(
            f"input: (N, C, T, V, M) = {tuple(x.shape)} has {' and '.join(problems)}; "
            "give data that fit, or build the model with the options of the data"
        )
    x = x if any_persons or persons == M else F.pad(x, (0, persons - M))
    return x.to(dtype)
