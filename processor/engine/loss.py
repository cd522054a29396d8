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
    """The loss that the configuration names, on the device.

    Args:
        name: `cross_entropy`, or the import path of a torch module.
        args: the module's arguments.
        label_smoothing: that of cross entropy.

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


def check_loss(criterion: Criterion, logits: Tensor, label: Tensor, name: str) -> None:
    """Tries a loss out before hours are spent.

    Args:
        logits: (N, num_class).
        label: (N,).
        name: what messages call the loss.

    Raises:
        ValueError: it does not give one number that has a gradient.
    """
    logits = logits.detach().requires_grad_()
    with torch.enable_grad():
        value = criterion(logits, label)
    if not isinstance(value, Tensor) or value.dim() or not value.requires_grad:
        given = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        no_gradient = " without gradient" if isinstance(value, Tensor) and not value.requires_grad else ""
        raise ValueError(
            f"loss: {name} gives {given}{no_gradient} for logits {tuple(logits.shape)} and labels "
            f"{tuple(label.shape)}; the mean of the samples' losses is expected, a tensor without axes"
        )
