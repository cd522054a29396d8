"""How a fast function takes the place of its plain equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from torch import Tensor

from model.replaceable import FASTER

P = ParamSpec("P")
R = TypeVar("R")
Function = TypeVar("Function", bound=Callable[..., object])


def faster(replaceable: Callable[..., object]) -> Callable[[Function], Function]:
    """Decorates the fast equal of a function of `model.layers` that is marked `@replaceable`."""

    def put(function: Function) -> Function:
        FASTER[replaceable] = function
        return function

    return put


def plain(replaceable: Callable[P, R]) -> Callable[P, R]:
    """The function as `model.layers` writes it."""
    return replaceable.__wrapped__  # type: ignore[attr-defined]


def by_memory(x: Tensor, fixed: int = 1) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """`x` with its axes from the slowest to the fastest in memory, but for the last `fixed`; and the way back."""
    free = x.dim() - fixed
    order = sorted(range(free), key=x.stride, reverse=True)
    back = [order.index(axis) for axis in range(free)]
    return x.permute(*order, *range(free, x.dim())), lambda y: y.permute(*back, *range(free, y.dim()))
