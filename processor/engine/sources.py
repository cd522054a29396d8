"""Compares what a model learnt from with the data that it is given: names of classes, joints or bones.

`custom_gendata.py` writes the names of the classes beside the arrays; two data sets may number the same classes
differently. A checkpoint keeps the names and the stream that its model was trained with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from feeders.arrays import CLASSES, load_classes, stream_in
from feeders.feeder import Feeder
from feeders.options import FeederOptions
from graph.common.words import few_of
from processor.state.weights import Weights

log = logging.getLogger(__name__)


def stream_of(args: Mapping[str, Any]) -> str | None:
    """The stream that a feeder with these arguments gives: `joint`, `bone`, `joint+bone` ...; None: unknown."""
    path = args.get("data_path")
    if not isinstance(path, str):
        return None
    in_file = stream_in(path)
    stream = str(args.get("stream", "joint"))
    return stream if in_file == "joint" else in_file if stream == "joint" else f"{stream} of {in_file}"


def classes_of(args: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes in the file beside the array; None: there is no file, or it holds numbers alone."""
    path = args.get("data_path")
    return load_classes(path) if isinstance(path, str) else None


def settle_classes(
    feeders: Mapping[str, Any],
    args: Mapping[str, Mapping[str, Any]],
    *,
    said: tuple[str, ...] | None = None,
    learnt: tuple[str, ...] | None = None,
) -> tuple[str, ...] | None:
    """The names of the model's classes, where anything tells them; numbers the labels of all feeders as the model does.

    The model's names are those that its weights have `learnt` (None where it has a new classifier), else those `said`
    in the configuration, else those of the training data. Feeders and their arguments are given by part.

    Raises:
        ValueError: the names of weights, configuration and data do not fit each other.
    """
    if "train" in feeders and learnt and said and sorted(said) != sorted(learnt):
        raise ValueError(
            f"weights and class_names name other classes: {_differing(learnt, said)}; take the same names, or "
            "fine-tune with a new classifier: --ignore_weights auto"
        )
    names = learnt or said or (classes_of(args["train"]) if "train" in feeders else None)
    for part, feeder in feeders.items():
        match_classes(feeder, classes_of(args[part]) or said, names, part=part)
    return names


def match_classes(feeder: Any, of_data: Sequence[str] | None, of_model: Sequence[str] | None, *, part: str) -> None:
    """Numbers the labels of a feeder as the model does, by the names of the classes in both orders; None: the same.

    Raises:
        ValueError: the data hold a class that the model does not know, or another program's feeder needs other labels.
    """
    if of_data is None or of_model is None or tuple(of_data) == tuple(of_model):
        return
    present = np.unique(np.asarray(feeder.label))
    if len(present) and present[-1] >= len(of_data):
        raise ValueError(
            f"{part} data: the label {present[-1]} has no name among the {len(of_data)} of {CLASSES}; make both again"
        )
    unknown = [of_data[label] for label in present if of_data[label] not in of_model]
    if unknown:
        raise ValueError(
            f"{part} data: the model does not know {few_of(map(repr, unknown), 3)}; its classes are "
            f"{few_of(of_model, 10)}"
        )
    number = np.array([of_model.index(name) if name in of_model else -1 for name in of_data])
    if all(number[label] == label for label in present):
        return
    if not isinstance(feeder, Feeder):
        raise ValueError(
            f"{part} data number their classes otherwise than the model; let the feeder give the model's numbers"
        )
    feeder.label = number[feeder.label]
    log.info("%s data number their classes otherwise than the model; they are matched by name", part)


def check_streams(args: Mapping[str, Mapping[str, Any]], weights: Weights | None = None) -> None:
    """Refuses feeder arguments, given by part, of an evaluation on another stream than the model learns or learnt."""
    trained = {"train_feeder_args": stream_of(args["train"])} if "train" in args else {}
    if weights and weights.stream:
        trained[f"weights: {weights.path}"] = weights.stream
    for place, stream in trained.items():
        for key, given in ((f"{part}_feeder_args", stream_of(args[part])) for part in args if part != "train"):
            if stream and given and stream != given:
                raise ValueError(f"{place}: the model learns from {stream}, {key} give {given}; make them agree")
    for key in ("derive", "published", "min_max", "normalization", "center", "center_person"):  # what a number means
        said = {part: args[part].get(key, getattr(FeederOptions, key)) for part in args}
        if any(value != next(iter(said.values())) for value in said.values()):
            each = ", ".join(f"{value} in {part}_feeder_args" for part, value in said.items())
            raise ValueError(f"{key}: {each}; the model would be tested on other numbers than it learns from")


def _differing(a: Sequence[str], b: Sequence[str]) -> str:
    """The first difference of two lists of names."""
    pairs = [(x, y) for x, y in zip(a, b, strict=False) if x != y]
    return f"{pairs[0][0]!r} and {pairs[0][1]!r}" if pairs else f"{len(a)} and {len(b)}"
