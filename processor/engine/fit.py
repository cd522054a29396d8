"""Whether feeder, model and names of classes fit each other; checked before hours are spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graph.common.words import plural
from model.base import SkeletonModel


def check_feeder(feeder: Any, name: str) -> None:
    """Refuses a user's feeder without `sample_name` or `label`, or whose samples are not (x, label, index)."""
    wanted = "a feeder has `sample_name` and `label`, a name and a whole number for each sample"
    for part in ("sample_name", "label"):
        if len(getattr(feeder, part, ())) != len(feeder):
            raise ValueError(f"feeder: {name} has no `{part}` for each of its {len(feeder)} samples; {wanted}")
    if len(feeder):
        sample = feeder[0]
        if not isinstance(sample, tuple | list) or len(sample) != 3 or getattr(sample[0], "ndim", 0) not in (4, 5):
            raise ValueError(
                f"feeder: {name} must give (x, label, index), x of shape (C, T, V, M) or (clips, C, T, V, M)"
            )


def check_fit(feeder: Any, model: nn.Module, part: str, class_names: Sequence[str] | None = None) -> None:
    """Refuses data of other channels, joints, persons or classes than the model's, with both numbers."""
    if not len(feeder):
        return
    if not isinstance(model, SkeletonModel):
        _try_out(feeder, model, part)
        return
    if part == "train" and feeder[0][0].ndim > 4:
        raise ValueError("train_feeder_args: num_clips is for tests; training sees one window of a sample an epoch")
    options = model.options
    C, T, V, M = feeder[0][0].shape[-4:]
    channels, _, joints, persons = options.shape
    problems = [
        f"{what} {given} in the data, {key} {taken} in model_args"
        for what, given, key, taken in (
            ("channels", C, options.CHANNELS, channels),
            ("joints", V, "num_point", joints),
            ("persons", M, "num_person", persons),
        )
        if given != taken
    ]
    if channels == 2 * C:
        problems[0] += f" (`stream: joint+bone` in {part}_feeder_args adds the bones)"
    if options.longest and options.longest < T:
        problems.append(f"frames {T} in the data, max_T {options.longest} in model_args")
    low, high = min(feeder.label), max(feeder.label)
    if low < 0 or high >= options.num_class:
        problems.append(f"labels {low} to {high} in the data, num_class {options.num_class} in model_args")
    if class_names is not None and len(class_names) != options.num_class:
        problems.append(
            f"{plural(len(class_names), 'class name')}, num_class {options.num_class} in model_args; give one for "
            "each, or class_names: null"
        )
    if problems:
        raise ValueError(f"{part} data and model do not fit: " + "; ".join(problems))


def _try_out(feeder: Any, model: nn.Module, part: str) -> None:
    """Refuses a model that does not tell what it takes, unless it gives logits of the first sample for all labels."""
    x = torch.as_tensor(feeder[0][0])
    x = x if x.dim() == 5 else x[None]
    training = model.training
    with torch.no_grad():
        y = model.eval()(x)
    model.train(training)
    highest = max(feeder.label)
    if not isinstance(y, Tensor) or y.dim() != 2 or len(y) != len(x) or y.shape[1] <= highest:
        given = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(
            f"model: {type(model).__module__}.{type(model).__qualname__} gives {given} for {part} samples "
            f"{tuple(x.shape)}; logits (N, num_class) are expected, for labels up to {highest}"
        )
