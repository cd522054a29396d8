"""Where and how a run computes: device, precision, random numbers."""

from __future__ import annotations

import ctypes
import logging
import platform
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.amp import GradScaler
from tqdm import tqdm

from graph.common.words import plural
from processor.runtime.distributed import local_rank, rank, world

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h; the latter may be 2**25 at most
T = TypeVar("T")

log = logging.getLogger(__name__)


def keep_memory() -> None:
    """Asks glibc to keep freed memory, which the system would have to clear page by page for the next batch."""
    with suppress(AttributeError, OSError, TypeError):  # other systems and libraries
        for parameter, value in ((M_TRIM_THRESHOLD, 2**31 - 1), (M_MMAP_THRESHOLD, 2**25)):
            ctypes.CDLL(None).mallopt(parameter, value)


def choose_device(wish: str | Sequence[int]) -> torch.device:
    """The device for a value of the key `device`: `auto`, `cpu`, `mps`, `cuda`, or GPU numbers, one for each process.

    Processes of one machine take a GPU each. On a machine without GPUs, GPU numbers mean `auto`, with a warning.

    Raises:
        ValueError: this machine has no such device, or not so many.
    """
    if torch.cuda.is_available() and wish in ("auto", "cuda"):
        wish = [*range(local_rank() + 1)]
    if wish == "auto":  # several processes cannot exchange tensors of an MPS device
        return torch.device("mps" if torch.backends.mps.is_available() and world() == 1 else "cpu")
    if not isinstance(wish, str):
        if not torch.cuda.is_available():  # configurations come from other machines, published ones name four GPUs
            device = choose_device("auto")
            log.warning("device: GPU %s is asked for, this machine has none; computing on %s", list(wish), device)
            return device
        if local_rank() >= len(wish):
            raise ValueError(
                f"device: {list(wish)} has no GPU for process {local_rank()}; "
                f"start {plural(len(wish), 'process', 'processes')}"
            )
        number = wish[local_rank()]
        if number >= torch.cuda.device_count():
            raise ValueError(
                f"device: GPU {number} is asked for, this machine has {torch.cuda.device_count()}; "
                "take another number, or --device cpu"
            )
        torch.cuda.set_device(number)  # threads that pin memory work on the current one
        compute_in_full()
        return torch.device("cuda", number)
    available = {"cpu": True, "cuda": False, "mps": torch.backends.mps.is_available()}
    if not available[wish]:
        raise ValueError(f"device: {wish} is asked for, this machine has none; take --device cpu")
    return torch.device(wish)


def compute_in_full() -> None:
    """Lets a GPU convolve float32 in full precision; by default torch rounds to the 10 bits of float16 there (TF32)."""
    torch.backends.cudnn.allow_tf32 = False


def device_name(device: torch.device) -> str:
    """The product name of the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    about = Path("/proc/cpuinfo")  # on Linux, where `platform` does not know it
    name = re.search(r"^model name\s*: (.+)$", about.read_text(), re.MULTILINE) if about.exists() else None
    return name[1] if name else platform.processor() or platform.machine()


def computes_in(device: torch.device, precision: str) -> bool:
    """Whether the device multiplies matrices of this precision in hardware; emulation would be slow."""
    if precision == "float32":
        return True
    if device.type == "cuda":
        return precision == "float16" or torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        units = ("avx512_bf16", "amx_bf16", "sve_bf16", "bf16")
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return precision == "bfloat16" and any(capabilities.get(unit) for unit in units)
    return False


def effective_precision(device: torch.device, precision: str) -> str:
    """`precision`, but `float32` where the device does not compute in it."""
    return precision if computes_in(device, precision) else "float32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Context in which activations have a precision that the device computes in; weights stay float32."""
    low = torch.float16 if precision == "float16" else torch.bfloat16
    return torch.autocast(device.type, low, enabled=precision != "float32")


def gradient_scaler(device: torch.device, precision: str) -> GradScaler:
    """A scaler of the loss, so that gradients do not vanish in float16; in other precisions it does nothing."""
    return GradScaler(device.type, enabled=precision == "float16")


def to_device(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`x` on the device. From pinned memory to a GPU it is copied while the GPU still computes what came before.

    The copy has a stream of its own, and what the GPU computes from now on waits for it; this process does not.
    """
    if device.type != "cuda" or x.is_cuda or not x.is_pinned():
        return x.to(device, non_blocking=device.type == "cuda")  # elsewhere that is not safe
    computing, copying = torch.cuda.current_stream(device), _copying(device)
    with torch.cuda.stream(copying):
        y = x.to(device, non_blocking=True)
    computing.wait_stream(copying)
    y.record_stream(computing)  # or its memory could be used again too early
    return y


@cache
def _copying(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def progress(batches: Iterable[T], name: str, **about: int) -> tqdm[T]:
    """`batches`, with a progress bar on the terminal of the process of rank 0."""
    return tqdm(batches, name, leave=False, dynamic_ncols=True, disable=True if rank() else None, **about)


def random_state(device: torch.device) -> torch.Tensor | None:
    """State of the generator of a GPU; None for the CPU, whose state is kept anyway."""
    return None if device.type == "cpu" else torch.get_device_module(device).get_rng_state()


def set_random_state(device: torch.device, state: torch.Tensor | None) -> None:
    """Restores a `random_state`; a run that goes on on another kind of device begins a new sequence, with a warning."""
    if state is None or device.type == "cpu":
        return
    try:
        torch.get_device_module(device).set_rng_state(state)
    except (RuntimeError, TypeError, AttributeError, IndexError):
        log.warning(
            "resume: the random numbers of %s begin anew, for the checkpoint is of another kind of device", device
        )
