"""What a model is, of a configuration or of a file of weights."""

from __future__ import annotations

import logging
import textwrap
from dataclasses import asdict
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from model.st_tr import Options
from processor.config import Config
from processor.config_check import import_object
from processor.weights import Weights, complete, load_weights, read_weights

log = logging.getLogger(__name__)


def info(config: Config) -> None:
    """Logs what `weights`, or else the configuration's model, is.

    Raises:
        ValueError: neither is given, or the file's weights are of no model here.
    """
    if not config.weights and not config.model_args:
        raise ValueError("info: name a file with --weights, or a configuration with --config")
    weights = read_weights(config.weights) if config.weights else None
    if weights and not config.model_args and not weights.trained and not weights.published:
        raise ValueError(
            f"weights: {weights.path} holds {len(weights.state)} tensors ({', '.join(list(weights.state)[:3])}, ...), "
            "neither of the published code nor a checkpoint of ours; if it is a state dict of ours, add its --config"
        )
    if weights:
        config = complete(config, weights)
    model = import_object(config.model)(**config.model_args)
    if weights:
        load_weights(model, weights)
    rows = _file(weights) if weights else {}
    rows |= {"model": config.model, **_model(model, config)}
    for name, text in rows.items():
        log.info(
            textwrap.fill(text, 110, initial_indent=f"{name:<12}", subsequent_indent=" " * 12, break_long_words=False)
        )


def _file(weights: Weights) -> dict[str, str]:
    """What kind of file it is."""
    if weights.published:
        number = sum(x.numel() for key, x in weights.state.items() if x.is_floating_point() and "running_" not in key)
        kind = f"published ST-TR, {number:,} parameters"
    else:
        kind = "checkpoint of ours" if weights.trained else "state dict of ours"
    about = ", ".join(f"{key} {value:.4g}" for key, value in weights.about.items() if not isinstance(value, str))
    return {"file": str(weights.path), "kind": kind + (f" ({about})" if about else "")}


def _model(model: nn.Module, config: Config) -> dict[str, str]:
    """What the model takes and gives, what it costs, and its options."""
    o = options_of(model)
    rows = {
        "stream": _stream(o),
        "input": f"{o.channel} channels{' (joints and bones)' if o.channel == 6 else ''}, {o.window_size} frames, "
        f"{o.num_person} persons",
        "joints": f"{o.num_point} ({o.graph})",
        "classes": f"{o.num_class}",
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "FLOPs": f"{_flops(model) / 1e9:.2f} G a sample, forward, two a multiply-add",
    }
    known = {name: value for name, value in asdict(o).items() if name in config.model_args}
    assumed = {name: value for name, value in asdict(o).items() if name not in config.model_args}
    return {**rows, "options": _list(known), "by default": _list(assumed)}


def _stream(o: Options) -> str:
    """The name that papers have for such a model."""
    names = {
        (True, True): "spatial and temporal attention in one stream (ST-TR-1s)",
        (True, False): "spatial attention (S-TR)",
        (False, True): "temporal attention (T-TR)",
        (False, False): "graph convolutions without attention",
    }
    return names[o.attention, o.tcn_attention] + (", adaptive graph (AGCN)" if o.agcn else "")


def _flops(model: nn.Module) -> int:
    """Of one sample of zeros."""
    o = options_of(model)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, o.channel, o.window_size, o.num_point, o.num_person))
    return int(counter.get_total_flops())


def options_of(model: nn.Module) -> Options:
    """The options that a model of ours keeps."""
    options: Any = model.options
    return options


def _list(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())
