"""The moving average of a model's weights (EMA), which often tests better than the last weights.

Sources: Polyak and Juditsky, *Acceleration of Stochastic Approximation by Averaging*, SIAM 1992; Tarvainen and Valpola,
*Mean teachers are better role models*, NeurIPS 2017, whose decay rises at the start in this way.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class Average:
    """average <- d * average + (1 - d) * weights after each step, with d = min(decay, (1 + step) / (10 + step)).

    The running statistics of batch norms are averaged likewise: those that the last weights have fit no others. Whole
    numbers are those of the last step.

    Attributes:
        model: the model with the averaged weights, in evaluation mode.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = deepcopy(model).requires_grad_(False).eval()
        pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))
        self.means, self.values = zip(*[pair for pair in pairs if pair[0].is_floating_point()], strict=True)
        self.counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after the optimiser's step of this number, from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.means), list(self.values), 1 - decay)
        for mean, value in self.counts:
            mean.copy_(value)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
