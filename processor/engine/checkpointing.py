"""Gradient checkpointing of any model: what a block keeps for backward is its input; the rest is computed again.

Source: Chen et al., *Training Deep Nets with Sublinear Memory Cost*, arXiv 1604.06174, section 4. Values and gradients
are the same, to the bit where the device computes the same twice; docs/training.md tells what it costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint


class _ComputedAgain(nn.Module):
    """A block whose inner results are not kept; a base class beside its own."""

    def forward(self, *args: Any) -> Any:
        if not torch.is_grad_enabled():
            return super().forward(*args)

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _statistics_kept(self)

        return checkpoint(super().forward, *args, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Inside, batch norms leave their running statistics, to which the first time has added the batch."""
    norms = [module for module in block.modules() if isinstance(module, _NormBase)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, number) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, number


def compute_blocks_again(model: nn.Module) -> None:
    """Makes the blocks of a model, the modules in its lists and sequences, keep nothing but their input.

    Raises:
        ValueError: it has no list of blocks.
    """
    lists = [child for child in model.children() if isinstance(child, nn.ModuleList | nn.Sequential)]
    blocks = dict.fromkeys(block for children in lists for block in children)  # each once
    if not blocks:
        raise ValueError(
            f"gradient_checkpointing: {type(model).__qualname__} has no nn.ModuleList or nn.Sequential of blocks; "
            "leave it out, or put the blocks into one"
        )
    for block in blocks:  # another class, for a forward that is kept in the instance is shared by its copies
        block.__class__ = type(type(block).__name__, (_ComputedAgain, type(block)), {})
