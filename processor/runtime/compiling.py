"""`torch.compile` of a model in place: what is saved, trained and tested stays the model itself."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from processor.runtime.distributed import SynchronisedBatchNorm


def compile_in_place(model: nn.Module, device: torch.device) -> None:
    """Compiles the forward pass; names of weights stay as they are, so checkpoints fit with and without it.

    Each shape of a batch is compiled by itself when it first comes: in training and in evaluation that of a full batch
    and that of the last one.

    Raises:
        ValueError: torch cannot compile on this machine.
    """
    torch.compiler.reset()  # or the shapes of earlier runs of a study would count towards dynamo's limit
    try:
        torch.compile(torch.sin)(torch.ones(2, device=device))
    except Exception as error:  # no C++ compiler, no Triton, a GPU that is too old
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        text = f"compile: torch cannot compile for {device} on this machine ({reason}); leave it out"
        raise ValueError(text) from error
    # torch.compile cannot trace the exchange between processes; a decorator would import the compiler in every run
    forward = inspect.unwrap(SynchronisedBatchNorm.forward)
    SynchronisedBatchNorm.forward = torch.compiler.disable(forward)  # type: ignore[method-assign]
    model.compile(dynamic=False)
