"""Published weights become those of a model here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from graph.common.words import few_of
from model import zit_zot
from model.layers.gcn import GCN, AdaptiveGCN
from model.names import RENAMED_IMPORTS, WITHOUT_EFFECT, plain_key
from model.published.inference import agree, family, infer_model_args
from model.published.keys import IDLE, Fold, translate
from model.st_tr import Model

log = logging.getLogger(__name__)

SLIP = 1e-6  # the value of every entry of the fixed adjacency that published agcn weights were trained with


def from_published(state_dict: Mapping[str, Any], model_args: Mapping[str, Any] | None = None) -> Model | zit_zot.Model:
    """The model of a published checkpoint, with its weights, in eval mode.

    Args:
        state_dict: of the published implementation, with or without `module.` prefixes; tensors or numpy arrays.
        model_args: options by their published names. What the weights settle need not be given; what leaves no
            trace in them (`Nh`, skip connections, normalised input) has the releases' values unless it is given.

    Raises:
        ValueError: keys or shapes that are not those of this model, or options that are not those of the weights.
    """
    published = {plain_key(key): torch.as_tensor(value) for key, value in state_dict.items()}
    given = {key: value for key, value in (model_args or {}).items() if key not in WITHOUT_EFFECT}
    if "graph" in given:
        given["graph"] = RENAMED_IMPORTS.get(given["graph"], given["graph"])
    model = (family(published) or Model)(**agree(infer_model_args(published, given), given))
    load_published(model, published)
    return model.eval()


def load_published(
    model: Model | zit_zot.Model, published: Mapping[str, Tensor], kept: Mapping[str, Tensor] | None = None
) -> None:
    """Loads a published state dict into `model`, but for the tensors `kept` (by our names).

    Raises:
        ValueError: keys or shapes that are not those of this model.
    """
    model.load_state_dict(convert(published, model, kept or {}))
    adaptive = [unit for unit in model.modules() if isinstance(unit, AdaptiveGCN)]
    if adaptive and isinstance(model, Model):  # Zoom Transformer's were trained with the true one
        log.info("published agcn weights: fixed adjacency set to %g, with which they were trained", SLIP)
        for name, buffer in model.named_buffers():
            if name.endswith((".A", ".adjacency")):
                buffer.fill_(SLIP if name.endswith(".A") else SLIP * len(adaptive[0].PA))


def convert(
    published: Mapping[str, Tensor], model: Model | zit_zot.Model, kept: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """A published state dict as one of `model`; tensors without effect on the scores are logged as idle.

    Tensors named in `kept` come from there.

    Raises:
        ValueError: tensors that are missing, unknown, or of another shape than the model's.
    """
    sources: dict[str, list[tuple[int, str]]] = {}
    folds: dict[str, Fold] = {}
    for key in published:
        name, number, folds[name] = translate(key)
        sources.setdefault(name, []).append((number, key))
    initial = model.state_dict()
    local = {f"{name}.bn" for name, unit in model.named_modules() if isinstance(unit, GCN) and unit.local_bn}
    state: dict[str, Tensor] = {}
    idle: list[str] = []
    problems: list[str] = []
    for name, keys in sources.items():
        if name in kept:
            continue
        if name not in initial:
            (idle if IDLE.fullmatch(keys[0][1]) else problems).extend(key for _, key in keys)
            continue
        parent = name.rpartition(".")[0]
        try:
            tensor = folds[name]([published[key] for _, key in sorted(keys)])
        except (RuntimeError, IndexError):
            shapes = " and ".join(str(tuple(published[key].shape)) for _, key in sorted(keys))
            problems.append(f"{keys[0][1]} has the shape {shapes}")
            continue
        if tensor.shape != initial[name].shape:
            problems.append(f"{keys[0][1]} gives {tuple(tensor.shape)}, the model takes {tuple(initial[name].shape)}")
        elif tensor.dim() == 1 and (parent in local or parent.endswith("cn1.norm")):
            tensor = rearrange(tensor, "(c v) -> (v c)", v=model.options.num_point)  # ours ends in channels
        state[name] = tensor
    fixed = {name for name in initial if name.endswith((".A", ".adjacency"))}
    problems += [f"{name} is missing" for name in initial.keys() - state.keys() - kept.keys() - fixed]
    if problems:
        raise ValueError(f"these weights are not those of a model with these options: {few_of(problems, 5, '; ')}")
    if idle:
        log.info("published weights: %d tensors are idle, such as %s", len(idle), idle[0])
    return {**{name: initial[name] for name in fixed}, **state, **kept}
