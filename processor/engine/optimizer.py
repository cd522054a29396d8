"""Optimiser and learning rate of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from graph.common.imports import import_object


def build_optimizer(
    model: nn.Module,
    name: str,
    *,
    base_lr: float,
    weight_decay: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    args: Mapping[str, Any] | None = None,
) -> Optimizer:
    """The optimiser over all parameters.

    Args:
        name: `SGD`, `Adam`, `AdamW`, or the import path of another optimiser; that gets `lr` and `args` only.
        momentum, nesterov: those of SGD.
        args: `optimizer_args`, of an optimiser that is named by its import path.
    """
    fused = {"fused": True} if _has_fused_kernels(model) else {}
    if name == "SGD":
        settings: dict[str, Any] = {"momentum": momentum, "nesterov": nesterov and momentum > 0, **fused}
        return SGD(model.parameters(), lr=base_lr, weight_decay=weight_decay, **settings)
    if "." in name:
        optimizer: Optimizer = import_object(name)(model.parameters(), lr=base_lr, **(args or {}))
        return optimizer
    return {"Adam": Adam, "AdamW": AdamW}[name](model.parameters(), lr=base_lr, weight_decay=weight_decay, **fused)


def _has_fused_kernels(model: nn.Module) -> bool:
    """Whether torch steps all parameters in one kernel, where else each takes several: a GPU waits for their launch."""
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in model.parameters())


@dataclass(frozen=True)
class Schedule:
    """The learning rate over a run of `num_epoch` epochs; the attributes are the keys of the configuration.

    Multi-step: falls by `gamma` after each of the epochs `step`. Cosine: half a period from `base_lr` to `min_lr`
    (Loshchilov and Hutter, ICLR 2017, equation 5). Both rise linearly from 0 over `warm_up_epoch`.
    """

    lr_schedule: str
    num_epoch: int
    base_lr: float
    min_lr: float = 0.0
    gamma: float = 0.1
    step: Sequence[int] = ()
    warm_up_epoch: int = 0

    def __call__(self, epoch: float) -> float:
        """The learning rate of the optimiser's step that ends after `epoch` epochs, a fraction within one."""
        if epoch < self.warm_up_epoch:
            return self.base_lr * epoch / self.warm_up_epoch
        if self.lr_schedule == "multi-step":
            return self.base_lr * self.gamma ** sum(epoch > step for step in self.step)
        done = (epoch - self.warm_up_epoch) / max(self.num_epoch - self.warm_up_epoch, 1)
        return self.min_lr + (self.base_lr - self.min_lr) * (1 + math.cos(math.pi * done)) / 2
