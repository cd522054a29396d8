"""What a model is, of a configuration or of a file of weights."""

from __future__ import annotations

import logging
import textwrap
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from graph.common.words import plural
from processor.config.schema import Config
from processor.engine.data import input_shape
from processor.engine.models import build_model
from processor.state.weights import MODELS, Weights, complete, load_weights, read_weights

TELLING = ("model", "model_args", "train_feeder_args", "test_feeder_args")  # keys that tell of a model or of its data
PUBLISHED = {"model.st_tr.Model": "ST-TR", "model.zit_zot.Model": "Zoom Transformer"}

log = logging.getLogger(__name__)


def info(config: Config) -> None:
    """Logs what `weights`, or else the configuration's model, is; one without `model_args` has its family's defaults.

    Raises:
        ValueError: neither is given, or the file's weights are of no model here.
    """
    bare = all(getattr(config, key) == getattr(Config(), key) for key in TELLING)
    if bare and not config.weights:
        raise ValueError("info: nothing names a model; name a file with --weights, or a configuration with --config")
    weights = read_weights(config.weights) if config.weights else None
    if weights and bare and not weights.model:
        tensors = f"{plural(len(weights.state), 'tensor')} ({', '.join(list(weights.state)[:3])}, ...)"
        raise ValueError(
            f"weights: {weights.path} holds {tensors}, "
            "neither of the published code nor a checkpoint of ours; if it is a state dict of ours, add its --config"
        )
    if weights:
        named = config if config.model_args or weights.model not in MODELS else replace(config, model=weights.model)
        config = complete(named, weights)
    model = build_model(config, weights)
    if weights:
        load_weights(model, weights)
    rows = _file(weights) if weights else {}
    rows |= {"model": config.model, **_model(model, config)}
    for name, text in rows.items():
        if not text:
            continue
        log.info(
            textwrap.fill(text, 110, initial_indent=f"{name:<12}", subsequent_indent=" " * 12, break_long_words=False)
        )


def _file(weights: Weights) -> dict[str, str]:
    """What kind of file it is."""
    if weights.published:
        number = sum(x.numel() for key, x in weights.state.items() if x.is_floating_point() and "running_" not in key)
        kind = f"published {PUBLISHED[weights.published]}, {number:,} parameters"
    else:
        kind = "checkpoint of ours" if weights.trained else "state dict of ours"
    about = ", ".join(f"{key} {value:.4g}" for key, value in weights.about.items() if not isinstance(value, str))
    return {"file": str(weights.path), "kind": kind + (f" ({about})" if about else "")}


def _model(model: nn.Module, config: Config) -> dict[str, str]:
    """What the model takes and gives, what it costs, and its options."""
    size = f"{sum(p.numel() for p in model.parameters()):,}"
    o: Any = getattr(model, "options", None)
    if not hasattr(o, "shape"):  # a user's model need not tell what it takes
        return {"parameters": size, "options": _list(config.model_args)}
    C, T, V, M = shape = input_shape(model, config)
    channels = plural(C, "channel") + (" (joints and bones)" if C == 6 else "")
    rows = {
        "stream": o.title,
        "input": f"{channels}, {plural(T, 'frame')}, {plural(M, 'person')}",
        "joints": f"{V} ({o.graph})",
        "classes": f"{o.num_class}",
        "parameters": size,
        "FLOPs": f"{count_flops(model, shape) / 1e9:.2f} G a sample, forward, two a multiply-add",
    }
    known = {name: value for name, value in asdict(o).items() if name in config.model_args}
    assumed = {name: value for name, value in asdict(o).items() if name not in config.model_args}
    return {**rows, "options": _list(known), "by default": _list(assumed)}


def count_flops(model: nn.Module, shape: tuple[int, ...]) -> int:
    """FLOPs of the forward pass of one sample of zeros (C, T, V, M), two a multiply-add."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, *shape))
    return int(counter.get_total_flops())


def _list(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())
