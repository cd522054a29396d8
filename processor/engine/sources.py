"""What a model learnt from and what it is given now, compared wherever both meet: names of classes, joints or bones.

`custom_gendata.py` writes the names of the classes beside the arrays; two data sets may number the same classes
differently. A checkpoint keeps the names and the stream that it was trained with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from feeders.arrays import BONE, CLASSES, JOINT_BONES, load_classes
from feeders.feeder import Feeder
from processor.config.schema import Config, names_of_classes
from processor.state.weights import Weights

FILES = {f"_{BONE}": "bone", f"_{JOINT_BONES}": "joint+bone"}  # what arrays hold, by the end of their name

log = logging.getLogger(__name__)


def stream_of(args: Mapping[str, Any]) -> str | None:
    """What the samples of these feeder arguments are: `joint`, `bone`, `joint+bone` ...; None: it is not known."""
    path = args.get("data_path")
    if not isinstance(path, str):
        return None
    held = next((held for end, held in FILES.items() if path.endswith(end)), "joint")
    stream = str(args.get("stream", "joint"))
    return stream if held == "joint" else held if stream == "joint" else f"{stream} of {held}"


def classes_of(args: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes beside the array of these feeder arguments; None: there are none, or only numbers.

    Raises:
        ValueError: the file with the names holds something else.
    """
    path = args.get("data_path")
    return load_classes(path) if isinstance(path, str) else None


def match_classes(feeder: Any, own: Sequence[str] | None, wanted: Sequence[str] | None, *, part: str) -> None:
    """Makes the labels of a feeder those of a model.

    Args:
        own: names of the classes as the data number them; None: as the model does.
        wanted: names of the classes as the model numbers them; None: as the data do.
        part: `train` or `test`, for messages.

    Raises:
        ValueError: the data hold a class that the model does not know, or another program's feeder needs other labels.
    """
    if own is None or wanted is None or tuple(own) == tuple(wanted):
        return
    present = np.unique(np.asarray(feeder.label))
    if len(present) and present[-1] >= len(own):
        raise ValueError(
            f"{part} data: the label {present[-1]} has no name among the {len(own)} of {CLASSES}; make both again"
        )
    unknown = [own[label] for label in present if own[label] not in wanted]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise ValueError(
            f"{part} data: the model does not know {', '.join(map(repr, unknown[:3]))}{more}; its classes are "
            f"{', '.join(wanted[:10])}{', ...' if len(wanted) > 10 else ''}"
        )
    number = np.array([wanted.index(name) if name in wanted else -1 for name in own])
    if all(number[label] == label for label in present):
        return
    if not isinstance(feeder, Feeder):
        raise ValueError(
            f"{part} data number their classes otherwise than the model; let the feeder give the model's numbers"
        )
    feeder.label = number[feeder.label]
    log.info("%s data number their classes otherwise than the model; they are matched by name", part)


def settle_sources(config: Config, feeders: Mapping[str, Any], weights: Weights | None) -> Config:
    """Compares what data, weights and configuration say, and makes the labels of all feeders those of the model.

    Args:
        feeders: by their part, `train` and `test`.

    Returns:
        `config` with the names of the model's classes, where anything tells them.

    Raises:
        ValueError: they do not fit each other.
    """
    args = {"train": config.train_feeder_args, "test": config.test_feeder_args}
    said, training = names_of_classes(config), "train" in feeders
    held = weights.known_classes(config.ignore_weights) if weights else None
    if training and held and said and said != held:
        raise ValueError(
            f"weights: {weights and weights.path} and class_names name other classes: {_differing(held, said)}; take "
            "the same names, or train a new classifier with --ignore_weights fcn. (S-TR, T-TR) or fc. (ZiT-ZoT)"
        )
    wanted = held or said or (classes_of(args["train"]) if training else None)
    for part, feeder in feeders.items():
        match_classes(feeder, classes_of(args[part]) or said, wanted, part=part)
    trained = {"train_feeder_args": stream_of(args["train"])} if training else {}
    if weights and weights.stream:
        trained[f"weights: {weights.path}"] = weights.stream
    for place, stream in trained.items():
        if stream and (given := stream_of(args["test"])) and stream != given:
            raise ValueError(f"{place}: the model learns from {stream}, test_feeder_args give {given}; make them agree")
    return replace(config, class_names=list(wanted)) if wanted else config


def learnt(config: Config) -> dict[str, Any]:
    """What a checkpoint keeps of the data that its run learnt from."""
    names = names_of_classes(config)
    return {"class_names": list(names) if names else None, "stream": stream_of(config.train_feeder_args)}


def _differing(a: Sequence[str], b: Sequence[str]) -> str:
    """The first difference of two lists of names."""
    pairs = [(x, y) for x, y in zip(a, b, strict=False) if x != y]
    return f"{pairs[0][0]!r} and {pairs[0][1]!r}" if pairs else f"{len(a)} and {len(b)}"
