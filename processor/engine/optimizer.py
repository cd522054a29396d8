"""Optimiser and learning rate of a run."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from processor.config.schema import Config


def build_optimizer(model: nn.Module, config: Config) -> Optimizer:
    """SGD, Adam or AdamW over all parameters, as the config says."""
    if config.optimizer == "SGD":
        return SGD(
            model.parameters(),
            lr=config.base_lr,
            momentum=config.momentum,
            nesterov=config.nesterov and config.momentum > 0,
            weight_decay=config.weight_decay,
        )
    kind = Adam if config.optimizer == "Adam" else AdamW
    return kind(model.parameters(), lr=config.base_lr, weight_decay=config.weight_decay)


def learning_rate(config: Config, epoch: float) -> float:
    """The learning rate of the optimiser's step that ends after `epoch` epochs, a fraction within one.

    Multi-step: falls by `gamma` after each of the epochs `step`. Cosine: half a period from `base_lr` to `min_lr`
    (Loshchilov and Hutter, ICLR 2017, equation 5). Both rise linearly from 0 over `warm_up_epoch`.
    """
    if epoch < config.warm_up_epoch:
        return config.base_lr * epoch / config.warm_up_epoch
    if config.lr_schedule == "multi-step":
        return config.base_lr * config.gamma ** sum(epoch > step for step in config.step)
    done = (epoch - config.warm_up_epoch) / max(config.num_epoch - config.warm_up_epoch, 1)
    return config.min_lr + (config.base_lr - config.min_lr) * (1 + math.cos(math.pi * done)) / 2
