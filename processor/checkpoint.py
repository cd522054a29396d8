"""Checkpoints: the whole state of a run in one file, and the two newest of them, one of which is always sound."""

from __future__ import annotations

import logging
import os
import time
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from processor import distributed
from processor.files import written_whole
from processor.runtime import random_state, set_random_state

log = logging.getLogger(__name__)

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"


class DamagedError(ValueError):
    """A file that is not what was once written."""


@dataclass
class State:
    """All that a run needs to go on as if it had not stopped."""

    model: nn.Module
    optimizer: Optimizer
    epoch: int = 0  # epochs done
    samples: int = 0  # of the next one that are done, too
    step: int = 0  # optimiser steps done
    seconds: float = 0.0  # spent so far
    best: float = -1.0  # best top-1 of an evaluation
    best_epoch: int = 0

    COUNTERS = ("epoch", "samples", "step", "seconds", "best", "best_epoch")

    def save(self, path: Path, config: str, previous: Path | None = None) -> None:
        """Writes the state with the resolved config; `path` holds either the old file or the whole new one.

        All processes call it, the first of them writes.

        Args:
            previous: what the old file becomes.
        """
        device = next(self.model.parameters()).device
        distributed.agree(self.model)
        generators = distributed.gather((torch.get_rng_state(), random_state(device)))
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **{name: getattr(self, name) for name in self.COUNTERS},
            "generator": generators[0][0],
            "generator_of_device": generators[0][1],
            "generators_of_others": generators[1:],
            "optimizer_name": type(self.optimizer).__name__,
            "config": config,
        }
        if distributed.rank() == 0:
            with written_whole(path) as temporary:
                with temporary.open("wb") as file:
                    torch.save(content, file)
                    file.flush()
                    os.fsync(file.fileno())
                if previous is not None and path.exists():
                    os.replace(path, previous)
        distributed.wait()  # a process that ended would end those that still write

    def load(self, path: Path, device: torch.device) -> None:
        """Takes everything back from a file that `save` wrote.

        Raises:
            ValueError: the file is no such file, or of another model or optimiser.
            DamagedError: it was one.
        """
        content = read_checkpoint(path, key="resume")
        needed = {"model", "optimizer", "optimizer_name", "generator", "generator_of_device", *self.COUNTERS}
        if not isinstance(content, dict) or not needed <= {"samples", *content}:
            raise ValueError(f"resume: {path} holds weights, not a run; start a new run with --weights {path}")
        if not isinstance(content["model"], dict) or not all(isinstance(x, Tensor) for x in content["model"].values()):
            raise DamagedError(f"resume: {path} does not hold what a run saves; nothing can go on from it")
        if problem := misfit(self.model.state_dict(), content["model"]):
            raise ValueError(f"resume: {path} is of another model: {problem}; resume with its own configuration")
        if content["optimizer_name"] != type(self.optimizer).__name__:
            raise ValueError(
                f"resume: {path} was trained with {content['optimizer_name']}, not {type(self.optimizer).__name__}; "
                "resume with its own configuration"
            )
        moments, settings = content["optimizer"], self.optimizer.state_dict()["param_groups"]
        try:
            self.optimizer.load_state_dict({**moments, "param_groups": settings})  # the settings are those of this run
            self.model.load_state_dict(content["model"])
            for name in self.COUNTERS:
                setattr(self, name, type(getattr(self, name))(content.get(name, 0)))  # older files know no `samples`
            generators = [(content["generator"], content["generator_of_device"])]
            generators += content.get("generators_of_others", [])
            if distributed.rank() < len(generators):  # of a run of fewer processes there is none
                own, of_device = generators[distributed.rank()]
                torch.set_rng_state(own)
                set_random_state(device, of_device)
        except Exception as error:  # a forged file can raise anything
            raise DamagedError(f"resume: {path} does not hold what a run saves; nothing can go on from it") from error

    def load_newest(self, folder: Path, device: torch.device) -> Path | None:
        """Goes on from the newest sound checkpoint of a folder; damaged ones are told of.

        Returns:
            Its path, now that of the last; None where there is no checkpoint.

        Raises:
            ValueError: none of them is sound, or it is of another model or optimiser.
        """
        paths = [path for name in (LAST, PREVIOUS, BEST) if (path := folder / name).is_file()]
        for path in paths:
            try:
                self.load(path, device)
                if path.name == PREVIOUS:  # or the next save would put a damaged file in its place
                    return path.replace(folder / LAST)
                return path
            except DamagedError as error:
                log.warning("%s", error)
        if paths:
            raise ValueError(f"resume: no checkpoint in {folder} is sound; begin again with --overwrite")
        return None


class Checkpoints:
    """When and where a run is saved.

    Args:
        minutes: between checkpoints within an epoch; 0: none.
    """

    def __init__(self, folder: Path, config: str, minutes: float) -> None:
        self.folder, self.config, self.seconds = folder, config, 60 * minutes
        self.saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for one within an epoch."""
        return self.seconds > 0 and time.monotonic() - self.saved >= self.seconds

    def save(self, state: State) -> None:
        """Writes `last.pt`, with the time that has passed; the one before becomes `previous.pt`."""
        now = time.monotonic()
        state.seconds += now - self.saved
        self.saved = now
        state.save(self.folder / LAST, self.config, previous=self.folder / PREVIOUS)

    def save_best(self, state: State) -> None:
        """Writes `best.pt`."""
        state.save(self.folder / BEST, self.config)


def read_checkpoint(path: Path, *, key: str = "weights") -> Any:
    """What a file of `torch.save` holds, on the CPU; only tensors and plain containers are read.

    Messages begin with `key`, which named the file.

    Raises:
        ValueError: the file is missing.
        DamagedError: it is damaged, or holds code.
    """
    if not path.is_file():
        raise ValueError(f"{key}: {path} is no file")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                assert file.testzip() is None, "a sum is wrong"  # torch does not look at them
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that torch did not write
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or forged file can raise anything
        raise DamagedError(
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
