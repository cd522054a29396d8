"""Values and arguments of a configuration against what takes them: a dataclass, another class or a function.

No model is built and no data is read. The dataclasses of this project's models and feeder are known by the import paths
of their classes (`SCHEMAS`), so that torch is not imported; another class is imported for its signature.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from feeders.arrays import class_names_in
from feeders.options import FeederOptions
from graph.common.imports import import_object
from graph.common.schema import parameters, problems_among, schema_of
from graph.common.words import did_you_mean
from graph.common.yaml_text import COMMAND_LINE, Section, plain
from graph.tools import SkeletonGraph
from model.names import RENAMED_IMPORTS, WITHOUT_EFFECT
from model.options import OPTIONS
from processor.config.layers import DELETE
from processor.config.published import is_idle
from processor.config.values import coerce

SCHEMAS: dict[str, dict[str, Any]] = {"model": OPTIONS, "feeder": {"feeders.feeder.Feeder": FeederOptions}}
KINDS = {
    "model": "a torch module",
    "feeder": "a class of samples, with `__getitem__` and `__len__`",
    "make_data": "a function of data_gen",
    "graph": "a graph.tools.SkeletonGraph",
    "loss": "a torch module",
    "optimizer": "a torch.optim.Optimizer",
}
BUILT_IN: dict[str, tuple[str, ...]] = {"loss": ("cross_entropy",), "optimizer": ("SGD", "Adam", "AdamW")}
GIVEN = {"optimizer": ("params", "lr")}  # arguments that the program gives


class Check:
    """Collects what is wrong with a configuration, and what its user should know."""

    def __init__(self) -> None:
        self.file = ""  # that `--config` names; what another one says is inherited
        self.problems: list[str] = []  # sentences, each opened by where it was written
        self.warnings: list[str] = []  # about values that were changed
        self.renamed: dict[str, str] = {}  # the published names that occur, with ours
        self.idle: dict[str, None] = {}  # the keys that do nothing, an ordered set

    def names(self, config: Any, values: dict[str, Any], section: Section) -> None:
        """Checks what `config` names by import paths, and the arguments of it; `values` gets them converted.

        Keys of `section` that `values` lacks were wrong; what depends on them is left out.
        """

        def is_sound(*keys: str) -> bool:
            return all(key in values or key not in section for key in keys)

        targets: dict[str, Any] = {}
        for key in ("model", "feeder", "make_data", "class_names", "loss", "optimizer"):
            path = getattr(config, key)
            if path in BUILT_IN.get(key, ()):
                if is_sound(f"{key}_args") and values.get(f"{key}_args"):
                    text = f"{key}_args: {path} takes none; they are for what is named by its import path"
                    self._say(section.places.get(f"{key}_args", self.file), text)
            elif isinstance(path, str) and is_sound(key):
                place = section.places.get(key, self.file)
                is_file = key == "class_names" and (path.endswith(".txt") or "/" in path or Path(path).is_file())
                targets[key] = self._names_in(path, place) if is_file else self._target(key, path, place)
        self._class_names(config, targets.get("class_names", config.class_names), values, section)
        called = {f"{key}_args": key for key in ("model", "make_data", "loss", "optimizer")}
        if config.phase != "info":
            called["test_feeder_args"] = "feeder"
            if config.phase == "train" or config.train_feeder_args:
                called["train_feeder_args"] = "feeder"
            if config.validation_feeder_args:
                called["validation_feeder_args"] = "feeder"
        weightless = is_sound("weights", "phase") and config.weights is None and config.phase != "test"
        for key, user in called.items():
            if targets.get(user) is not None and is_sound(key):
                args, place = section.get(key, Section()), section.places.get(key, self.file)
                together = key != "model_args" or weightless  # the weights' file settles some options of the model
                good = values[key] = self.arguments(
                    targets[user], args, getattr(config, user), key, place, together=together, given=GIVEN.get(user, ())
                )
                clips = (good.get("num_clips") or 1) if key == "train_feeder_args" else 1
                if isinstance(clips, int) and clips > 1:
                    text = f"{key}.num_clips: is for tests; training sees one window of a sample an epoch"
                    self._say(args.places["num_clips"], text)

    def arguments(
        self,
        target: Any,
        args: Mapping[str, Any],
        name: str = "",
        key: str = "",
        place: str = "",
        *,
        together: bool = True,
        given: Collection[str] = (),
    ) -> dict[str, Any]:
        """The arguments that `target` takes, converted; all else becomes problems.

        Args:
            target: a dataclass, another class or a function.
            args: its keyword arguments; a `Section` tells where each was written.
            name: what messages call `target`; nothing for the configuration itself.
            key: the key of the configuration that the arguments are the value of.
            place: where that key was written.
            together: whether to check also that values go together.
            given: arguments that the program gives; `args` may not hold them.
        """
        schema, places = schema_of(target), getattr(args, "places", {})
        try:
            hints, required, takes_all = parameters(schema or target)
        except ValueError as error:
            self._say(place, f"{key}: {error}; name another class")
            return {}
        before, prefix, good = len(self.problems), f"{key}." if key else "", {}
        for arg, value in args.items():
            if is_idle(arg, value) if not name else arg in WITHOUT_EFFECT and arg not in hints:
                self.idle[f"{prefix}{arg}"] = None
                continue
            try:
                if arg in given:
                    raise ValueError("the program gives this argument")
                if arg not in hints and not takes_all:
                    text = f"{name} takes no such argument" if name else "unknown key"
                    raise ValueError(text + did_you_mean(arg, hints))
                good[arg] = coerce(self._modern(value), hints.get(arg, Any), key=arg)
            except ValueError as error:
                at = places.get(arg, place)
                is_inherited = plain(value) is None or bool(key and not at.startswith((self.file, COMMAND_LINE)))
                advice = f"; to drop an inherited key, name it in `{DELETE}` beside it" if is_inherited else ""
                self._say(at, f"{prefix}{arg}: {error}{advice}")
        missing = [arg for arg in required if arg not in args and arg not in given]
        for arg in missing:
            self._say(place, f"{prefix}{arg}: {name} needs this argument")
        if name and isinstance(good.get("graph"), str):
            self._graph(good, args, f"{prefix}graph", places.get("graph", place))
        if schema and together:
            for (first, *_), text in problems_among(schema, good, {*args, *missing} - {*good}):
                self._say(places.get(first, place), f"{prefix}{first}: {text}")
            if name and schema is not target and len(self.problems) == before:
                self._make(schema, good, key, place)
        return good

    def _make(self, schema: Any, good: dict[str, Any], key: str, place: str) -> None:
        """Makes the dataclass, and keeps the values that it changed, such as a graph that fits, and its warnings."""
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                made = schema(**good)
            good.update({arg: getattr(made, arg) for arg in good})
            self.warnings += [f"{key}: {warning.message}" for warning in caught]
        except ValueError as error:
            self._say(place, str(error))

    def _graph(self, good: dict[str, Any], args: Mapping[str, Any], key: str, place: str) -> None:
        """Checks the graph that arguments name, and converts `graph_args`."""
        graph, graph_args = self._target(key, good["graph"], place), args.get("graph_args", Section())
        if graph is not None and isinstance(graph_args, Mapping):
            checked = self.arguments(graph, graph_args, good["graph"], f"{key}_args", place)
            good.update({"graph_args": checked} if graph_args else {})

    def _target(self, key: str, path: str, place: str) -> Any:
        """What a key names by an import path, or the dataclass of its arguments; None and a problem if it is wrong."""
        kind = key.rpartition(".")[2]
        if path in SCHEMAS.get(kind, ()):
            return SCHEMAS[kind][path]
        names = BUILT_IN.get(kind, ())
        try:
            if names and "." not in path:
                known = " or ".join(map(repr, names))
                raise ValueError(f"{path!r} must be {known} or an import path{did_you_mean(path, names)}")
            target = import_object(path)
        except ValueError as error:
            self._say(place, f"{key}: {error}")
            return None
        if not _is_kind(kind, path, target):
            self._say(place, f"{key}: {path} is not {KINDS[kind]}")
            return None
        return target

    def _names_in(self, path: str, place: str) -> tuple[str, ...] | None:
        """The names of classes in a text file; None and a problem if it holds none."""
        try:
            return class_names_in(path)
        except ValueError as error:
            self._say(place, str(error))
            return None

    def _class_names(self, config: Any, names: Any, values: dict[str, Any], section: Section) -> None:
        """Puts the names of the classes in the place of a path to them, if they fit the model."""
        num_class = config.model_args.get("num_class")
        if names is None:
            return
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            self._say(section.places["class_names"], f"class_names: {config.class_names} holds no names")
        elif isinstance(num_class, int) and len(names) != num_class:
            text = f"class_names: {len(names)} names, but model_args.num_class is {num_class}"
            self._say(section.places["class_names"], text)
        else:
            values["class_names"] = list(names)

    def _modern(self, path: Any) -> Any:
        if isinstance(path, str) and path in RENAMED_IMPORTS:
            self.renamed[path] = RENAMED_IMPORTS[path]
            return RENAMED_IMPORTS[path]
        return path

    def _say(self, place: str, text: str) -> None:
        self.problems.append(f"{place}: {text}" if place else text)


def _is_kind(kind: str, path: str, target: Any) -> bool:
    """Whether what a key names is of its kind: a file from elsewhere must not call just anything."""
    if kind in ("model", "loss"):
        from torch import nn

        return inspect.isclass(target) and issubclass(target, nn.Module)
    if kind == "optimizer":
        from torch.optim import Optimizer

        return inspect.isclass(target) and issubclass(target, Optimizer)
    if kind == "feeder":
        return inspect.isclass(target) and hasattr(target, "__getitem__") and hasattr(target, "__len__")
    if kind == "graph":
        return inspect.isclass(target) and issubclass(target, SkeletonGraph)
    return kind != "make_data" or (path.startswith("data_gen.") and inspect.isroutine(target))
