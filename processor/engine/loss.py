"""The loss of training: cross entropy, or a module of the user's that takes the same two tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graph.common.imports import import_object
from graph.common.words import did_you_mean, few_of

Criterion = Callable[[Tensor, Tensor], Tensor]  # logits (N, num_class), labels (N,) -> the mean loss of the samples


def build_loss(
    name: str,
    args: Mapping[str, Any],
    *,
    label_smoothing: float,
    device: torch.device,
    class_weights: Tensor | None = None,
) -> Criterion:
    """The loss on the device: `cross_entropy`, or the torch module at an import path, made with `args`.

    `class_weights` (num_class,) are for cross entropy.

    Raises:
        ValueError: the module has parameters; no optimiser would train them.
    """
    if name == "cross_entropy":
        if class_weights is None:
            return partial(F.cross_entropy, label_smoothing=label_smoothing)
        return partial(weighted_cross_entropy, weights=class_weights.to(device), label_smoothing=label_smoothing)
    loss: nn.Module = import_object(name)(**args)
    if parameters := [key for key, _ in loss.named_parameters()]:
        raise ValueError(
            f"loss: {name} has the parameter {parameters[0]!r}, and no optimiser trains it; make it a buffer, or a "
            "part of the model"
        )
    return loss.to(device)


def weighted_cross_entropy(logits: Tensor, label: Tensor, *, weights: Tensor, label_smoothing: float) -> Tensor:
    """The sum of the samples' losses, each times the weight of its class, divided by the number of samples.

    Unlike `F.cross_entropy(weight=...)` it does not divide by the weights that a batch happens to hold, so that batches
    of several processes and of one step have the mean of the large batch that they make together. A smoothed label
    counts by its sample's class.
    """
    return (weights[label] * F.cross_entropy(logits, label, label_smoothing=label_smoothing, reduction="none")).mean()


def weights_of_classes(factors: str | Mapping[str, float], labels: Any, names: Sequence[str] | None = None) -> Tensor:
    """The weights (num_class,) of classes, whose mean over all `labels` is 1, so that the learning rate stays right.

    Args:
        factors: `balanced`, so that all classes weigh the same in an epoch, or factors by name of class, 1 for others.
        labels: of the samples of an epoch.
        names: of the classes, by number; without them a class is named by its number.

    Raises:
        ValueError: a factor of an unknown class.
    """
    names = list(names or map(str, range(max(labels, default=0) + 1)))
    counts = torch.from_numpy(np.bincount(labels, minlength=len(names))).double()
    if isinstance(factors, str):
        weights = torch.where(counts > 0, 1 / counts.clamp(min=1), 0)
    else:
        if unknown := [name for name in factors if name not in names]:
            near = did_you_mean(unknown[0], names)
            raise ValueError(f"class_weights: no class is named {unknown[0]!r}{near}; they are {few_of(names, 10)}")
        weights = torch.tensor([factors.get(name, 1.0) for name in names], dtype=torch.float64)
    return (weights * counts.sum() / (weights @ counts)).float()


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
    value = deepcopy(criterion)(logits.requires_grad_(), label)  # its buffers stay as they are
    if not isinstance(value, Tensor) or value.dim() or not value.requires_grad:
        given = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        no_gradient = " without gradient" if isinstance(value, Tensor) and not value.requires_grad else ""
        raise ValueError(
            f"loss: {name} gives {given}{no_gradient} for logits {tuple(logits.shape)} and labels "
            f"{tuple(label.shape)}; the mean of the samples' losses is expected, a tensor without axes"
        )
