"""The loss of training: cross entropy, or a module of the user's that takes the same two tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graph.common.imports import import_object

Criterion = Callable[[Tensor, Tensor], Tensor]  # logits (N, num_class), labels (N,) -> the mean loss of the samples


def build_loss(name: str, args: Mapping[str, Any], *, label_smoothing: float, device: torch.device) -> Criterion:
    """The loss on the device: `cross_entropy`, or the torch module at an import path, made with `args`.

    Raises:
        ValueError: the module has parameters; no optimiser would train them.
    """
    if name == "cross_entropy":
        return partial(F.cross_entropy, label_smoothing=label_smoothing)
    loss: nn.Module = import_object(name)(**args)
    if parameters := [key for key, _ in loss.named_parameters()]:
        raise ValueError(
            f"loss: {name} has the parameter {parameters[0]!r}, and no optimiser trains it; make it a buffer, or a "
            "part of the model"
        )
    return loss.to(device)


def check_loss(criterion: Criterion, name: str, model: nn.Module, feeder: Any, device: torch.device) -> None:
    """Tries a user's loss out on the first sample, before hours are spent.

    Raises:
        ValueError: it does not give one number that has a gradient.
    """
    if name == "cross_entropy" or not len(feeder):
        return
    x, label = (torch.as_tensor(part)[None].to(device) for part in feeder[0][:2])
    with torch.no_grad():
        logits = model.eval()(x).float()
    value = criterion(logits.requires_grad_(), label)
    if not isinstance(value, Tensor) or value.dim() or not value.requires_grad:
        given = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        no_gradient = " without gradient" if isinstance(value, Tensor) and not value.requires_grad else ""
        raise ValueError(
            f"loss: {name} gives {given}{no_gradient} for logits {tuple(logits.shape)} and labels "
            f"{tuple(label.shape)}; the mean of the samples' losses is expected, a tensor without axes"
        )
