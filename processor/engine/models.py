"""The model of a configuration, built only if this machine can hold it."""

from __future__ import annotations

import os
import warnings
from typing import Any

import torch
from torch import nn

from graph.common.imports import import_object
from processor.config.schema import Config
from processor.state.weights import Weights

SHARE = 0.5  # of the machine's memory that a model may take; training takes it several times
ROOM = (4, 1 << 26)  # a model takes at most so many times the bytes of its weights, and so many more


def build_model(config: Config, weights: Weights | None = None) -> nn.Module:
    """The model, with weights that are still random; its options may come from the file of `weights`.

    Raises:
        ValueError: the options are wrong, or ask for more memory than there is or than the file can be of.
    """
    kind = import_object(config.model)
    size, most = _size(kind, config.model_args), _memory()
    if most and size > SHARE * most:
        raise ValueError(
            f"model_args: the model would take {size / 1e9:.1f} GB of this machine's {most / 1e9:.1f} GB of memory; "
            "num_class, channels, window_size and num_point decide its size"
        )
    if weights and not config.ignore_weights and size > ROOM[0] * weights.size + ROOM[1]:
        raise ValueError(
            f"weights: {weights.path} holds {weights.size / 1e6:.1f} MB, and the model that it names would take "
            f"{size / 1e6:.1f} MB; it is damaged, or not the model's"
        )
    model: nn.Module = kind(**config.model_args)
    return model


def _size(kind: Any, args: dict[str, Any]) -> int:
    """Bytes of parameters and buffers, found without taking memory; 0: a user's model cannot be built like that."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come again
            model = kind(**args)
        return sum(x.numel() * x.element_size() for x in (*model.parameters(), *model.buffers()))
    except ValueError:
        raise
    except Exception:
        return 0


def _memory() -> int:
    """Bytes of this machine's memory; 0: it is not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0
