"""The seam between the formulas of `model.layers` and the fast code of `model.fast`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

P = ParamSpec("P")
R = TypeVar("R")

FASTER: dict[Callable[..., Any], Callable[..., Any]] = {}  # a replaceable function -> its fast equal


class Switch:
    """`on`: whether fast equals are called. Compilers and the transforms of torch.func always get the formulas."""

    on = True


def replaceable(plain: Callable[P, R]) -> Callable[P, R]:
    """Marks a function that `model.fast` may compute in another way, with the same values and gradients."""

    @wraps(plain)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        plainly = not Switch.on or torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
        return (plain if plainly else FASTER.get(call, plain))(*args, **kwargs)

    return call


def rowwise(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Marks a method `(self, x, *others)` whose result for a row (b, r) of `x` (B, R, ...) depends on no other row.

    The others are None or (B or 1, R or 1, ...). So it may be computed for some rows at a time.
    """

    @wraps(method)
    def call(self: nn.Module, x: Tensor, *others: Tensor | None) -> Tensor:
        return by_rows(self, method, x, *others)

    return call


@replaceable
def by_rows(module: nn.Module, method: Callable[..., Tensor], x: Tensor, *others: Tensor | None) -> Tensor:
    """All rows at once."""
    return method(module, x, *others)
