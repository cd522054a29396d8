"""Describes the model of a configuration or of a file of weights: kind, input, cost, options."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from torch import nn

from graph.common.words import plural
from model.base import SkeletonModel
from processor.config.schema import Config
from processor.engine.models import build_model, count_flops, model_of_weights
from processor.state.weights import MODELS, Weights, read_weights

# the keys that name a model or its data
TELLING = ("model", "model_args", "train_feeder_args", "validation_feeder_args", "test_feeder_args")
PUBLISHED = {"model.st_tr.Model": "ST-TR", "model.zit_zot.Model": "Zoom Transformer"}

log = logging.getLogger(__name__)


def info(config: Config) -> None:
    """Logs what `weights`, or else the configuration's model, is; one without `model_args` has its family's defaults.

    Raises:
        ValueError: neither is given, or the file's weights are of no model here.
    """
    bare = all(getattr(config, key) == getattr(Config(), key) for key in TELLING)
    if not config.weights:
        if bare:
            raise ValueError("info: no model is named; name a file with --weights, or a configuration with --config")
        rows, name, args, model = {}, config.model, config.model_args, build_model(config.model, config.model_args)
    else:
        weights = read_weights(config.weights)
        if bare and not weights.model:
            tensors = f"{plural(len(weights.state), 'tensor')} ({', '.join(list(weights.state)[:3])}, ...)"
            raise ValueError(
                f"weights: {weights.path} holds {tensors}, neither of the published code nor a checkpoint of ST-TR; "
                "if it is a state dict of one of its models, add its --config"
            )
        name = weights.model if not config.model_args and weights.model in MODELS else config.model
        model, args = model_of_weights(name, config.model_args, weights, config.ignore_weights)
        rows = _file(weights)
    rows |= {"model": name, **_model(model, args, config.test_feeder_args.get("window_size", 0))}
    for key, text in rows.items():
        if text:
            lines = textwrap.wrap(text, 98, break_long_words=False)
            log.info("\n".join(f"{head:<12}{line}" for head, line in zip_longest([key], lines, fillvalue="")))


def _file(weights: Weights) -> dict[str, str]:
    """The rows about the file: its path, its kind and what else it holds."""
    if weights.published:
        number = sum(x.numel() for key, x in weights.state.items() if x.is_floating_point() and "running_" not in key)
        kind = f"published {PUBLISHED[weights.published]}, {number:,} parameters"
    else:
        kind = "checkpoint" if weights.trained else "state dict"
    return {"file": str(weights.path), "kind": kind, "training": _training(weights.about)}


def _training(about: Mapping[str, Any]) -> str:
    """How long the weights were trained, and their best evaluation."""
    if "epoch" not in about:
        return ""
    text = f"{plural(about['epoch'], 'epoch')}, {plural(about.get('step', 0), 'step')}"
    if samples := about.get("samples"):
        text += f", {plural(samples, 'sample')} of the next epoch"
    text += f", {about.get('seconds', 0) / 60:.1f} minutes"
    if about.get("best", -1) >= 0:
        text += f"; best top-1 {100 * about['best']:.2f} %, of epoch {about['best_epoch']}"
    return text


def _model(model: nn.Module, args: Mapping[str, Any], frames: int) -> dict[str, str]:
    """What the model takes and gives, what it costs, and its options; `args` are its `model_args`."""
    size = f"{sum(p.numel() for p in model.parameters()):,}"
    if not isinstance(model, SkeletonModel):
        return {"parameters": size, "options": _list(args)}
    o, shape = model.options, model.input_shape(frames)
    C, T, V, M = shape
    channels = plural(C, "channel") + (" (joints and bones)" if C == 6 else "")
    options = {**asdict(o), "graph_args": args.get("graph_args", {})}  # the user's file, not a temporary one
    known = {name: value for name, value in options.items() if name in args}
    assumed = {name: value for name, value in options.items() if name not in args}
    return {
        "stream": o.title,
        "input": f"{channels}, {plural(T, 'frame')}, {plural(M, 'person')}",
        "joints": f"{V} ({o.graph})",
        "classes": f"{o.num_class}",
        "parameters": size,
        "FLOPs": f"{count_flops(model, shape) / 1e9:.2f} G a sample, forward, two a multiply-add",
        "options": _list(known),
        "by default": _list(assumed),
    }


def _list(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())
