"""Checkpoints: the whole state of a run in one file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from processor.files import written_whole
from processor.runtime import random_state, set_random_state


@dataclass
class State:
    """All that a run needs to go on as if it had not stopped."""

    model: nn.Module
    optimizer: Optimizer
    epoch: int = 0  # epochs done
    step: int = 0  # optimiser steps done
    seconds: float = 0.0  # spent so far
    best: float = -1.0  # best top-1 of an evaluation
    best_epoch: int = 0

    COUNTERS = ("epoch", "step", "seconds", "best", "best_epoch")

    def save(self, path: Path, config: str) -> None:
        """Writes the state with the resolved config; `path` holds either the old file or the whole new one."""
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **{name: getattr(self, name) for name in self.COUNTERS},
            "generator": torch.get_rng_state(),
            "generator_of_device": random_state(next(self.model.parameters()).device),
            "optimizer_name": type(self.optimizer).__name__,
            "config": config,
        }
        with written_whole(path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())

    def load(self, path: Path, device: torch.device) -> None:
        """Takes everything back from a file that `save` wrote.

        Raises:
            ValueError: the file is no such file, or of another model or optimiser.
        """
        content = read_checkpoint(path, key="resume")
        needed = {"model", "optimizer", "optimizer_name", "generator", "generator_of_device", *self.COUNTERS}
        if not isinstance(content, dict) or not needed <= content.keys():
            raise ValueError(f"resume: {path} holds weights, not a run; start a new run with --weights {path}")
        if problem := misfit(self.model.state_dict(), content["model"]):
            raise ValueError(f"resume: {path} is of another model: {problem}; resume with its own configuration")
        if content["optimizer_name"] != type(self.optimizer).__name__:
            raise ValueError(
                f"resume: {path} was trained with {content['optimizer_name']}, not {type(self.optimizer).__name__}; "
                "resume with its own configuration"
            )
        moments, settings = content["optimizer"], self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({**moments, "param_groups": settings})  # the settings are those of this run
        self.model.load_state_dict(content["model"])
        for name in self.COUNTERS:
            setattr(self, name, content[name])
        torch.set_rng_state(content["generator"])
        set_random_state(device, content["generator_of_device"])


def read_checkpoint(path: Path, *, key: str = "weights") -> Any:
    """What a file of `torch.save` holds, on the CPU; only tensors and plain containers are read.

    Messages begin with `key`, which named the file.

    Raises:
        ValueError: the file is missing, damaged, or holds code.
    """
    if not path.is_file():
        raise ValueError(f"{key}: {path} is no file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that torch did not write
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or forged file can raise anything
        raise ValueError(
            f"{key}: {path} is damaged, or holds more than tensors and plain values; nothing was loaded"
        ) from error


def misfit(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """How the tensors of `state` differ from the model's `own`: counts, with the first of each kind; or nothing."""
    kinds = {
        "missing": [name for name in own if name not in state],
        "unknown": [name for name in state if name not in own],
        "of another shape": [name for name in own if name in state and own[name].shape != state[name].shape],
    }
    return ", ".join(f"{len(names)} tensors are {kind} ({names[0]})" for kind, names in kinds.items() if names)
