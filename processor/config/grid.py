# ruff: noqa: RUF009 - `option` is a `dataclasses.field`
"""The grid of a study: the key `study` of a configuration, and the layers of each model with each stream.

    study:
      models: [s-tr, t-tr]      # configurations beside this file
      streams: [joint, bone]
      seeds: [0, 1, 2]
      fusion: {joint: 1, bone: 0.6}

A model is read as `--config` reads it; what else the study's file says comes after it, then the stream, then the
command line. Seeds and folds are not read here: they change no other key (`processor.engine.study`).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from graph.common.schema import Problem, beyond_bounds, option
from graph.common.yaml_text import Section, plain
from processor.config.layers import Reader, merge, overlaid, present

KEY = "study"
OF_STUDY = ("phase", "study", "work_dir", "only", "part", "resume", "overwrite")  # no keys of a stream
FEEDERS = ("train_feeder_args", "validation_feeder_args", "test_feeder_args")


@dataclass(frozen=True)
class Grid:
    """The arguments of `study`."""

    models: list[str] = option([], "configurations without .yaml, as _base_ names them; none: the file itself")
    streams: list[str] | dict[str, dict[str, Any]] = option([], "streams, by name with further keys that each changes")
    seeds: list[int] = option([], "seeds; none: the key seed", low=0, high=2**32 - 1)
    fusion: dict[str, Any] = option({}, "weights of streams, of models, or for each model of its streams")

    def members(self) -> Iterator[tuple[str, str]]:
        """Each model with each stream; "" where the study has no such axis."""
        yield from product([Path(model).name for model in self.models] or [""], [*self.streams] or [""])

    def weight(self, model: str, stream: str) -> float:
        """The weight with which a stream of a model is fused; 0: it is left out."""
        value = self.fusion.get(model, self.fusion)
        return float(value.get(stream, 0) if isinstance(value, dict) else value)

    def problems(self) -> Iterator[Problem]:
        """Names that occur twice or are no names, and weights of what the study does not have."""
        yield from beyond_bounds(self)
        models = [Path(model).name for model in self.models]
        for key, names in (("models", models), ("streams", [*self.streams]), ("seeds", self.seeds)):
            if len(set(names)) < len(names):
                yield (key,), f"{names} names one twice"
            for name in names:
                if not re.fullmatch(r"\w[\w.+-]*", str(name)):
                    yield (key,), f"{name!r} cannot be the name of a folder; letters, digits, +, - and . can"
        if both := set(models) & set(self.streams):
            yield ("streams", "models"), f"{both.pop()!r} is the name of a model, too"
        if not all(_are_weights(value) for value in self.fusion.values()):
            yield ("fusion",), "a weight must be a number, such as 1 or 0.6"
        for name in self.streams:
            if isinstance(self.fusion.get(name), dict):
                yield ("fusion", "streams"), f"{name!r} is a stream, so its weight must be a number, such as 1 or 0.6"
        changes = self.streams if isinstance(self.streams, dict) else {}
        for name, key in product(changes, (*OF_STUDY, *["seed"] * bool(self.seeds))):
            if key in changes[name]:
                yield ("streams",), f"{name}: {key} is that of the study; leave it out here"
        inner = {name for value in self.fusion.values() if isinstance(value, dict) for name in value}
        for name in {*self.fusion} - {*models, *self.streams} or inner - {*self.streams}:
            yield ("fusion", "models", "streams"), f"{name!r} is no model and no stream of this study"


def _are_weights(value: Any, *, inside: bool = False) -> bool:
    if isinstance(value, dict) and not inside:
        return all(_are_weights(weight, inside=True) for weight in value.values())
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def member_layers(
    grid: Grid, path: Path, layers: Sequence[Section], problems: list[str]
) -> Iterator[tuple[tuple[str, str], list[Section]]]:
    """The layers of each model with each stream; what cannot be read goes to `problems`.

    Args:
        grid: the study's.
        path: its file.
        layers: what the file and those that it builds on say, in this order, then what the command line says.
        problems: gets a sentence for each problem.
    """
    study = overlaid(layers)[KEY]
    changes = study["streams"] if isinstance(study.get("streams"), Section) else {}
    for model in grid.models or [""]:
        base: list[Section] = []
        if model:
            reader = Reader(problems)
            written = Path(f"{model}.yaml")
            reader.read(present(Path(os.path.normpath(path.parent / written)), written))
            if not reader.complete:
                continue
            base = reader.layers
            if overlaid(base).get(KEY):
                problems.append(f"{path}: study.models: {model} is a study itself; name configurations of one run")
                continue
            problems.extend(_replaced(model, base[-1], layers[:-1], path))
        has_validation = any(FEEDERS[1] in layer for layer in (*base, *layers))
        for stream in [*grid.streams] or [""]:
            further = [_stream(stream, changes.get(stream), has_validation)] if stream else []
            yield (Path(model).name, stream), [*base, *layers[:-1], *further, layers[-1]]


def _replaced(model: str, says: Section, layers: Sequence[Section], path: Path) -> Iterator[str]:
    """A problem if the study's file replaces what makes this model another one: it would be trained under its name."""
    args = says.get("model_args")
    for key, value in plain(args).items() if isinstance(args, Section) else ():
        for layer in layers:
            others = layer.get("model_args")
            if isinstance(others, Section) and key in others and (other := plain(others[key])) != value:
                yield (
                    f"{path}: study.models: {model} has model_args.{key}: {json.dumps(value)}, but this file replaces "
                    f"it by {json.dumps(other)}; name a file without this key"
                )
                return


def _stream(name: str, changes: Any, has_validation: bool) -> Section:
    """The layer of a stream: its name as `stream` of the feeders, below its further keys."""
    layer, place = Section(), f"study.streams.{name}"
    for key in FEEDERS:
        if key != FEEDERS[1] or has_validation:
            inner = Section()
            inner.set("stream", name, place=place)
            layer.set(key, inner, place=place)
    return merge(layer, changes) if isinstance(changes, Section) else layer
