"""Optimiser and learning rate of a run: which parameters learn, how fast, and which of them decay.

A pattern names parameters as the state dict does: the path of a parameter, or of a module for all below it, with `*`,
`?` and `[...]` as in names of files. `backbone.0` is not `backbone.01`; `*.bn` is every module `bn`; a `*` passes dots.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from graph.common.imports import import_object
from graph.common.words import did_you_mean
from model.layers.terms import RelativeFrames, RelativeJoints

# what the configuration tells of an optimiser's groups; the rest of them is its state
SETTINGS = ("params", "lr", "lr_factor", "weight_decay", "momentum", "nesterov", "fused")


def build_optimizer(
    model: nn.Module,
    name: str,
    *,
    base_lr: float,
    weight_decay: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    args: Mapping[str, Any] | None = None,
    lr_factors: Mapping[str, float] | None = None,
    decay_all: bool = True,
) -> Optimizer:
    """The optimiser over all parameters that learn.

    Args:
        name: `SGD`, `Adam`, `AdamW`, or the import path of another optimiser; that gets `lr` and `args` only.
        momentum, nesterov: those of SGD.
        args: `optimizer_args`, of an optimiser that is named by its import path.
        lr_factors, decay_all: as for `parameter_groups`.
    """
    groups = parameter_groups(model, lr_factors or {}, decay_all=decay_all)
    fused = {"fused": True} if _has_fused_kernels(model) else {}
    if name == "SGD":
        settings: dict[str, Any] = {"momentum": momentum, "nesterov": nesterov and momentum > 0, **fused}
        return SGD(groups, lr=base_lr, weight_decay=weight_decay, **settings)
    if "." in name:
        optimizer: Optimizer = import_object(name)(groups, lr=base_lr, **(args or {}))
        return optimizer
    return {"Adam": Adam, "AdamW": AdamW}[name](groups, lr=base_lr, weight_decay=weight_decay, **fused)


def _has_fused_kernels(model: nn.Module) -> bool:
    """Whether one kernel can update all parameters; else each takes several, and a GPU waits for their launch."""
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in model.parameters())


def parameter_groups(
    model: nn.Module, lr_factors: Mapping[str, float], *, decay_all: bool = True
) -> list[dict[str, Any]]:
    """The parameters that learn, in groups of an optimiser: a group for each factor, with and without decay.

    Args:
        lr_factors: patterns, and the factor of the learning rate (`lr_factor` in a group) of what each matches; the
            last one that matches a parameter counts.
        decay_all: False: norms, biases (all that has one axis) and relative positions are in groups without decay.

    Raises:
        ValueError: a pattern matches nothing that learns.
    """
    names = [name for name, x in model.named_parameters() if x.requires_grad]
    matching = {pattern: {*matched(names, pattern, "lr_factors")} for pattern in lr_factors}
    tables = {
        x for unit in model.modules() if isinstance(unit, RelativeFrames | RelativeJoints) for x in unit.parameters()
    }
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, x in model.named_parameters():
        if x.requires_grad:
            factor = next((lr_factors[p] for p in reversed(matching) if name in matching[p]), 1.0)
            spared = not decay_all and (x.dim() <= 1 or x in tables)
            settings = {"lr_factor": factor, **({"weight_decay": 0.0} if spared else {})}
            groups.setdefault((factor, spared), {"params": [], **settings})["params"].append(x)
    return list(groups.values())


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Gives each group the learning rate times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_factor", 1.0)


def freeze(model: nn.Module, patterns: Iterable[str]) -> list[nn.Module]:
    """Takes the gradients off the parameters that patterns match, and returns the modules that no longer learn.

    Those stay in evaluation mode: their batch norms keep their statistics, and their dropout is off.

    Raises:
        ValueError: a pattern matches nothing, or nothing is left that learns.
    """
    parameters = dict(model.named_parameters())
    frozen = {name for pattern in patterns for name in matched(parameters, pattern, "freeze")}
    if not frozen:
        return []
    if len(frozen) == len(parameters):
        raise ValueError("freeze: all parameters of the model are frozen; leave out the parts that are to learn")
    for name in frozen:
        parameters[name].requires_grad_(False)
    still = {id(parameters[name]) for name in frozen}
    return [unit for unit in model.modules() if (xs := {id(x) for x in unit.parameters()}) and xs <= still]


def matched(names: Iterable[str], pattern: str, key: str) -> list[str]:
    """The names of parameters that a pattern matches, themselves or by a module that they are in.

    Raises:
        ValueError: there is none; the message begins with the `key` of the configuration.
    """
    paths = {name: [*accumulate(name.split("."), "{}.{}".format)] for name in names}
    if matching := [name for name, above in paths.items() if any(fnmatchcase(path, pattern) for path in above)]:
        return matching
    near = did_you_mean(pattern, dict.fromkeys(path for above in paths.values() for path in above))
    raise ValueError(
        f"{key}: no parameter that learns is named {pattern!r}, nor is one in a module of this name{near}; "
        "parts are named as in the state dict, such as backbone.0 or *.bn"
    )


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
