"""Kernels for NVIDIA GPUs, written with Triton, that keep in registers what several kernels of torch pass by memory.

Each module has the kernels of one function of `model.layers`, forward and backward. No program adds to what another
writes, so two runs are the same to the bit. docs/benchmarks.md has their times. `TRITON_INTERPRET=1` runs them on a
CPU, slowly.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch import Tensor

log = logging.getLogger(__name__)


@cache
def available() -> bool:
    """Whether this machine can build kernels, for which Triton needs a C compiler; if not, a warning says why."""
    try:
        from model.fast.gpu import attention

        x = torch.zeros(1, 1, 1, 2, 2, device="cuda")
        attention.attend_fused(x, x, x)
    except Exception as error:
        log.warning("several kernels of torch do what one of ours would, for Triton could not build it: %s", error)
        return False
    return True


def device_of(x: Tensor) -> AbstractContextManager[None]:
    """Inside, kernels run on the GPU that holds `x`; Triton takes the current one, in backward the right one."""
    return torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext()


def refuse_second_derivatives(what: str) -> None:
    """Raises RuntimeError in a backward pass that is to have a derivative itself: kernels have none."""
    if torch.is_grad_enabled():
        raise RuntimeError(f"no second derivatives of this {what}; call the model inside `model.fast.reference()`")
