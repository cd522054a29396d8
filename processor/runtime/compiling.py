"""`torch.compile` of a model in place: what is saved, trained and tested stays the model itself.

Where nothing is compiled, the compiler is not imported either.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint

from processor.runtime.distributed import SynchronisedBatchNorm


def compile_in_place(model: nn.Module, device: torch.device) -> None:
    """Compiles the forward pass; names of weights stay as they are, so checkpoints fit with and without it.

    Each shape of a batch is compiled by itself when it first comes: in training and in evaluation that of a full batch
    and that of the last one.

    Raises:
        ValueError: torch cannot compile on this machine.
    """
    try:
        torch.compile(torch.sin)(torch.ones(2, device=device))
    except Exception as error:  # no C++ compiler, no Triton, a GPU that is too old
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"compile: torch cannot compile for {device} on this machine ({reason}); leave it out"
        ) from error
    # compilers do not know what processes exchange; as a decorator this would import them with every run
    SynchronisedBatchNorm.forward = torch.compiler.disable(SynchronisedBatchNorm.forward)  # type: ignore[method-assign]
    model.compile(dynamic=False)


def leave_compiler_out() -> None:
    """Keeps torch from importing its compiler, for some seconds, only to mark functions that it should not compile.

    At its first call such a function looks for its marked form here, and imports the compiler where it finds none. A
    version of torch that looks elsewhere does as before.
    """
    marked = (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict)
    for function in (*marked, checkpoint):
        plain = getattr(function, "__wrapped__", None)
        if plain is not None:
            plain.__dict__.setdefault("__dynamo_disable", plain)
