"""Checkpoints: the whole state of a run in one file, and the two newest of them, one of which is always sound."""

from __future__ import annotations

import io
import logging
import os
import time
import warnings
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from graph.common.files import atomic_write, beginning, sync_folder
from graph.common.words import plural
from model.names import plain_key
from processor.runtime import distributed
from processor.runtime.device import random_state, set_random_state
from processor.runtime.failure import is_damage

log = logging.getLogger(__name__)

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
JUDGE = "evaluated_on"  # the part of the data whose top-1 the state's best is
LEARNT = ("class_names", "stream", JUDGE)  # what a run learns from, in its checkpoints
DAMAGED = "*.pt.damaged*"  # what damaged ones are renamed to


class DamagedError(ValueError):
    """A checkpoint whose content is not what a run wrote."""


@dataclass
class State:
    """All that a run needs to go on as if it had not stopped."""

    model: nn.Module
    optimizer: Optimizer
    scaler: GradScaler = field(default_factory=lambda: GradScaler("cpu", enabled=False))  # of gradients in float16
    epoch: int = 0  # epochs that are done
    samples: int = 0  # samples of the epoch after them that are done
    step: int = 0  # optimiser steps that are done
    seconds: float = 0.0  # of training
    best: float = -1.0  # best top-1 of an evaluation
    best_epoch: int = 0
    evaluated: int = 0  # the last epoch whose evaluation is in the checkpoints
    loss: nn.Module | None = None  # a loss of the user's, which may have buffers
    settings: Collection[str] = ()  # what the configuration tells of the optimiser's groups; the rest is its state

    COUNTERS = ("epoch", "samples", "step", "seconds", "best", "best_epoch", "evaluated")

    @property
    def learning(self) -> list[str]:
        """The names of the parameters in the order of the optimiser's groups, which its moments are numbered by."""
        names = {id(x): name for name, x in self.model.named_parameters()}
        return [names[id(x)] for group in self.optimizer.param_groups for x in group["params"]]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def save(self, path: Path, about: Mapping[str, Any], previous: Path | None = None) -> None:
        """Writes the state; `path` holds either the old file or the complete new one.

        All processes call it, the one of rank 0 writes.

        Args:
            about: what the file holds beside the state, such as the configuration.
            previous: the new name of the old file.
        """
        distributed.average_statistics(self.model)
        if self.loss:
            about = {**about, "loss": self.loss.state_dict()}
        generators = distributed.gather((torch.get_rng_state(), random_state(self.device)))
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **{name: getattr(self, name) for name in self.COUNTERS},
            "generator": generators[0][0],
            "generator_of_device": generators[0][1],
            "generators_of_others": generators[1:],
            "optimizer_name": type(self.optimizer).__name__,
            "learning": self.learning,
            "scaler": self.scaler.state_dict(),
            **about,
        }
        _write(path, content, previous)
        distributed.wait()  # a process that ended now would end the one that writes

    def load(self, path: Path, about: Mapping[str, Any] | None = None) -> None:
        """Takes everything back from a file that `save` wrote.

        Args:
            about: what this run learns from (`LEARNT`); the file must have the same, where it tells.

        Raises:
            ValueError: the file is no checkpoint of a run, or of another model, optimiser or kind of data.
            DamagedError: the file is damaged.
        """
        content = read_checkpoint(path, key="resume")
        needed = {"model", "optimizer", "optimizer_name", "generator", "generator_of_device", *self.COUNTERS}
        if not isinstance(content, dict) or not needed <= {"samples", "evaluated", *content}:
            raise ValueError(f"resume: {path} holds weights, not a run; start a new run with --weights {path}")
        if not isinstance(content["model"], dict) or not all(isinstance(x, Tensor) for x in content["model"].values()):
            raise DamagedError(f"resume: {path} does not hold what a run saves; nothing can go on from it")
        weights = {plain_key(key): tensor for key, tensor in content["model"].items()}
        if problem := misfit(self.model.state_dict(), weights):
            raise ValueError(f"resume: {path} is of another model: {problem}; resume with its own configuration")
        for key in LEARNT:
            if about and content.get(key) and about.get(key) and content[key] != about[key]:
                raise ValueError(f"resume: {path} was trained with {key} {content[key]}, this run has {about[key]}")
        if content["optimizer_name"] != type(self.optimizer).__name__:
            raise ValueError(
                f"resume: {path} was trained with {content['optimizer_name']}, not {type(self.optimizer).__name__}; "
                "resume with its own configuration"
            )
        learning = content.get("learning", [name for name, _ in self.model.named_parameters()])
        if learning != self.learning or _sizes(content["optimizer"]) not in (None, _sizes(self.optimizer.state_dict())):
            raise ValueError(
                f"resume: {path} was trained with other parts frozen, or other groups of lr_factors or decay_all; "
                "resume with its own configuration, or start a new run with --weights"
            )
        try:
            self.optimizer.load_state_dict({**content["optimizer"], "param_groups": self._groups(content["optimizer"])})
            if wrong := _misfit_of_moments(self.optimizer):
                raise ValueError(wrong)
            self.model.load_state_dict(weights)
            for name in self.COUNTERS:
                setattr(self, name, type(getattr(self, name))(content.get(name, 0)))  # older files lack some
            if self.loss and "loss" in content:
                self.loss.load_state_dict(content["loss"])
            if scale := content.get("scaler"):
                self.scaler.load_state_dict(scale)
            generators = [(content["generator"], content["generator_of_device"])]
            generators += content.get("generators_of_others", [])
            if distributed.rank() < len(generators):  # of a run of fewer processes there is none
                of_cpu, of_device = generators[distributed.rank()]
                torch.set_rng_state(of_cpu)
                set_random_state(self.device, of_device)
        except Exception as error:  # a forged file can raise anything
            if not is_damage(error):
                raise
            raise DamagedError(f"resume: {path} does not hold what a run saves; nothing can go on from it") from error

    def _groups(self, saved: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The optimiser's groups with the settings of this run, and what else a file has of them."""
        groups = zip(saved["param_groups"], self.optimizer.state_dict()["param_groups"], strict=True)
        return [old | {key: x for key, x in new.items() if key in self.settings or key not in old}
                for old, new in groups]  # fmt: skip

    def load_newest(self, folder: Path, about: Mapping[str, Any] | None = None) -> Path | None:
        """Takes everything back from the newest sound checkpoint of a folder; newer damaged ones are renamed.

        Returns:
            Its path, `last.pt` or `best.pt`; None where there is no checkpoint.

        Raises:
            ValueError: none of them is sound, or the sound one is of another model or optimiser.
            OSError: a file cannot be read, which says nothing about its content.
        """
        damaged = []
        for path in [path for name in (LAST, PREVIOUS, BEST) if (path := folder / name).is_file()]:
            try:
                self.load(path, about)
            except DamagedError as error:
                log.warning("%s", error)
                damaged.append(path)
                continue
            for damaged_path in damaged:
                log.warning("%s is kept as %s", damaged_path, _set_aside(damaged_path))
            return path.replace(folder / LAST) if path.name == PREVIOUS else path
        if damaged:
            raise ValueError(f"resume: no checkpoint in {folder} is sound; begin again with --overwrite")
        return None


def _sizes(optimizer: Any) -> list[int] | None:
    """How many parameters each group of an optimiser's state has; None: it is damaged."""
    try:
        return [len(group["params"]) for group in optimizer["param_groups"]]
    except (KeyError, TypeError):
        return None


def _misfit_of_moments(optimizer: Optimizer) -> str:
    """What is wrong with the shapes of an optimiser's moments; "" if each has the shape of its parameter."""
    for group in optimizer.param_groups:
        for x in group["params"]:
            for name, moment in optimizer.state.get(x, {}).items():
                if isinstance(moment, Tensor) and moment.dim() and moment.shape != x.shape:
                    return f"{name} of shape {tuple(moment.shape)} is of no parameter of shape {tuple(x.shape)}"
    return ""


def _set_aside(path: Path) -> Path:
    """Renames a damaged file to a free name, and returns that."""
    names = [path.with_name(f"{path.name}.damaged{number}") for number in ("", *range(2, 100))]
    aside = path.replace(next((name for name in names if not name.exists()), names[-1]))
    sync_folder(path.parent)
    return aside


@distributed.on_rank_0
def _write(path: Path, content: Mapping[str, Any], previous: Path | None) -> None:
    with atomic_write(path) as temporary:
        with temporary.open("wb") as file:
            torch.save(content, file)
        if previous is not None and path.exists():
            os.replace(path, previous)


class Checkpoints:
    """Saves the state of a run, and `about`, in a folder: after epochs, and every `minutes` within one, if not 0."""

    def __init__(self, folder: Path, about: Mapping[str, Any], minutes: float) -> None:
        self.folder, self.about, self.seconds = folder, about, 60 * minutes
        self.saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint within an epoch."""
        return self.seconds > 0 and time.monotonic() - self.saved >= self.seconds

    def save(self, state: State) -> None:
        """Writes `last.pt`, with the seconds so far; the `last.pt` before becomes `previous.pt`."""
        now = time.monotonic()
        state.seconds += now - self.saved
        self.saved = now
        state.save(self.folder / LAST, self.about, previous=self.folder / PREVIOUS)

    def save_best(self, state: State) -> None:
        """Writes `best.pt`."""
        state.save(self.folder / BEST, self.about)


def read_checkpoint(path: Path, *, key: str = "weights") -> Any:
    """What a file of `torch.save` holds, on the CPU; only tensors and plain containers are read.

    Messages begin with `key`, which named the file.

    Raises:
        ValueError: the file is missing.
        DamagedError: it is damaged, or holds code.
    """
    if not path.is_file():
        raise ValueError(f"{key}: {path} is no file{beginning(path)}")
    content = io.BytesIO(path.read_bytes())  # what fails here says nothing about the content
    try:
        if zipfile.is_zipfile(content):
            with zipfile.ZipFile(content) as file:
                if sum(entry.file_size for entry in file.infolist()) > len(content.getbuffer()):
                    raise ValueError("it is larger unpacked")  # torch packs nothing, so someone else did
                if name := file.testzip():
                    raise ValueError(f"the checksum of {name} is wrong")  # torch does not look at them
        content.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that torch did not write
            return torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or forged file can raise anything
        if not is_damage(error):
            raise
        raise DamagedError(
            f"{key}: {path} is damaged, or holds more than tensors and plain values; nothing was loaded"
        ) from error


def misfit(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """How `state` differs from the state dict that a model has: counts, with the first of each kind; or ""."""
    shared = expected.keys() & state.keys()
    kinds = {
        "missing": [name for name in expected if name not in state],
        "unknown": [name for name in state if name not in expected],
        "of another shape": [name for name in expected if name in shared and expected[name].shape != state[name].shape],
    }
    return ", ".join(
        f"{plural(len(names), 'tensor is', 'tensors are')} {kind} ({names[0]})"
        for kind, names in kinds.items()
        if names
    )
