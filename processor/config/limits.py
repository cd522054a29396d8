"""Values of a configuration that are sound one by one, but not together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any


def conflicts(config: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """What cannot be meant: the keys, and the rest of a sentence about the first of them."""
    if config.min_lr > config.base_lr:
        yield (
            ("min_lr", "base_lr"),
            f"{config.min_lr:g} is above base_lr, {config.base_lr:g}; the learning rate is to fall",
        )
    if any(later <= earlier for earlier, later in pairwise(config.step)):
        yield ("step",), f"{config.step} must rise from each epoch to the next"
    for key in ("folds", "show_topk", "device"):
        numbers = getattr(config, key)
        if isinstance(numbers, list) and len(set(numbers)) < len(numbers):
            yield (key,), f"{numbers} names a number twice"
    if config.device == []:
        yield ("device",), "[] names no GPU; take auto, or cpu"


def remarks(config: Any, given: Collection[str]) -> Iterator[str]:
    """What a researcher may mean, but most do not; `given` are the keys that somebody wrote."""
    epochs, num_class = config.num_epoch, config.model_args.get("num_class")
    if config.phase == "train":
        if config.warm_up_epoch >= epochs:
            reached = "just as" if config.warm_up_epoch == epochs else "before"
            yield f"warm_up_epoch: {config.warm_up_epoch}; the run ends at epoch {epochs}, {reached} base_lr is reached"
        if config.lr_schedule == "multi-step" and (late := [step for step in config.step if step >= epochs]):
            never = "; the learning rate never falls" if late == config.step else ""
            yield f"step: {', '.join(map(str, late))}; the run ends with epoch {epochs}{never}"
        if config.optimizer == "SGD" and config.nesterov and not config.momentum:
            yield "nesterov: has no effect, for momentum is 0"
    if "show_topk" in given and isinstance(num_class, int):
        for k in (k for k in config.show_topk if k >= num_class):
            yield f"show_topk: top-{k} of {num_class} classes is always 100 %"
