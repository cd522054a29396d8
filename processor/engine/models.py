"""The model that a run names, built only if this machine can hold it, with the weights of a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from graph.common.imports import import_object
from model import fast
from processor.state.weights import Weights, load_weights

SHARE = 0.5  # of the machine's memory that a model may take; training takes it several times
ROOM = (4, 1 << 26)  # a model takes at most so many times the bytes of its weights, and so many more


def model_of_weights(
    name: str, args: Mapping[str, Any], weights: Weights, ignored: Sequence[str] = ()
) -> tuple[nn.Module, dict[str, Any]]:
    """The model with the weights of a file, and the complete `model_args`: those given and those that weights settle.

    Weights that begin with one of `ignored` are not taken from the file.

    Raises:
        ValueError: weights and options disagree, or the model is too large, or the weights are of another.
    """
    complete = weights.complete(name, args, ignored)
    model = build_model(name, complete, None if ignored else weights)
    load_weights(model, weights, ignored)
    return model, complete


def build_model(name: str, args: Mapping[str, Any], weights: Weights | None = None) -> nn.Module:
    """The model of the class at an import path, with random weights; `weights` that it gets later bound its size.

    Raises:
        ValueError: the options are wrong, or ask for more memory than there is or than the weights can fill.
    """
    kind = import_object(name)
    size, memory = _size(kind, args), _memory()
    if memory and size > SHARE * memory:
        raise ValueError(
            f"model_args: the model would take {size / 1e9:.1f} GB of this machine's {memory / 1e9:.1f} GB of memory; "
            "num_class, channels, window_size and num_point decide its size"
        )
    if weights and size > ROOM[0] * weights.size + ROOM[1]:
        raise ValueError(
            f"weights: {weights.path} holds {weights.size / 1e6:.1f} MB, and the model that it names would take "
            f"{size / 1e6:.1f} MB; it is damaged, or not the model's"
        )
    model: nn.Module = kind(**args)
    return model


def count_flops(model: nn.Module, shape: tuple[int, ...]) -> int:
    """FLOPs of the forward pass of one sample of zeros (C, T, V, M), two a multiply-add."""
    with torch.no_grad(), fast.reference(), FlopCounterMode(display=False) as counter:  # it knows the plain functions
        model.eval()(torch.zeros(1, *shape))
    return int(counter.get_total_flops())


def _size(kind: Any, args: Mapping[str, Any]) -> int:
    """Bytes of parameters and buffers, without taking memory; 0: a user's model cannot be built like that."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), _Undrawn(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come again when the model is built
            model = kind(**args)
        return sum(x.numel() * x.element_size() for x in (*model.parameters(), *model.buffers()))
    except ValueError:
        raise
    except Exception:
        return 0


class _Undrawn(TorchFunctionMode):
    """Leaves weights empty: to fill them on the meta device, torch would first import its compiler, for two seconds."""

    INSTEAD: ClassVar = {
        nn.init.normal_: lambda tensor, **_: tensor,
        torch.ones_like: lambda tensor: torch.empty(tensor.shape),
    }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.INSTEAD.get(func, func)(*args, **(kwargs or {}))


def _memory() -> int:
    """Bytes of this machine's memory; 0: unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0
