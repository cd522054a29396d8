"""Training with CUDA graphs: a GPU replays a recorded step, so that the processor need not launch its kernels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from processor.runtime.failure import sentence

log = logging.getLogger(__name__)


class Recorded(nn.Module):
    """A model on a GPU whose forward and backward in training are recorded with the first batch, then replayed.

    It computes what the model computes. Batches of another shape, such as the last of an epoch, and evaluation are not
    replayed. Gradients are those of the last batch alone: they stand in memory that the next one overwrites.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.replay: Callable[..., Any] | None = None
        self.shape: torch.Size | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.replay is None:
            self._record(x)
        if self.training and self.replay is not None and x.shape == self.shape:
            return self.replay(x)
        return self.model(x)

    def _record(self, x: Tensor) -> None:
        """Records on batches like this, and leaves statistics and random numbers as they were.

        Raises:
            ValueError: the model does what cannot be recorded, such as reading a value.
        """
        kind = x.device.type
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        generator = torch.cuda.get_rng_state(x.device)
        enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        try:
            with torch.autocast(kind, dtype, enabled=enabled, cache_enabled=False):
                samples = (x.clone(),)
                self.replay = torch.cuda.make_graphed_callables(_Forward(self.model), samples, allow_unused_input=True)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise ValueError(f"cuda_graphs: this model cannot be recorded ({sentence(error)}); leave it out") from error
        self.shape = x.shape
        torch.cuda.set_rng_state(generator, x.device)
        for buffer, before in buffers:
            buffer.copy_(before)


class _Forward(nn.Module):
    """A model, whose own `forward` recording would replace."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def recorded(model: nn.Module, device: torch.device) -> nn.Module:
    """The model as `Recorded` on a GPU; elsewhere, where there is nothing to record, the model itself."""
    if device.type == "cuda":
        return Recorded(model)
    log.info("cuda_graphs: they are for NVIDIA's GPUs; on this device (%s) training runs without them", device)
    return model
