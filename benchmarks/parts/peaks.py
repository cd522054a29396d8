"""What a device can do at most, and what a step asks of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from processor.tools.benchmark import seconds_of


def copy_bandwidth(device: torch.device, small: bool) -> float:
    """Bytes a second, read and written, of the fastest of ten copies inside the device's memory."""
    x = torch.empty(2**22 if small else 2**30, device=device)
    y = torch.empty_like(x)
    return 2 * x.nbytes / min(seconds_of(lambda: y.copy_(x), device) for _ in range(10))


class _Bytes(TorchDispatchMode):
    """Counts the bytes of what every operation of torch reads and writes; views cost nothing."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        made = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        places = {x.untyped_storage().data_ptr() for x in given}
        if (
            not made
            or func.is_view
            or (all(x.untyped_storage().data_ptr() in places for x in made) and not _writes(func))
        ):
            return result
        self.total += sum(x.numel() * x.element_size() for x in (*given, *made))
        return result


def _writes(func: Any) -> bool:
    return any(argument.alias_info and argument.alias_info.is_write for argument in func._schema.arguments)


def traffic(step: Callable[[], object]) -> int:
    """Bytes that the operations of a step read and write, each by itself; what a compiler joins needs fewer."""
    with _Bytes() as counter:
        step()
    return counter.total
