"""A configuration under review: published names made ours, values and arguments checked, problems collected.

Published configurations are read as they are: keys and import names that are called otherwise here
(`RENAMED_KEYS`, `RENAMED_IMPORTS`) are translated; those that do nothing there do nothing here (`IDLE_KEYS`,
`WITHOUT_EFFECT`). What was found of them is remarked once.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any, get_type_hints

from torch import nn

from graph.tools import SkeletonGraph
from model.published import RENAMED_IMPORTS, WITHOUT_EFFECT
from processor.config.check import MisfitError, check_call, coerce, did_you_mean, import_object, plain
from processor.config.layers import DELETE
from processor.config.limits import conflicts
from processor.config.yaml_text import COMMAND_LINE, Section

RENAMED_KEYS = {"optimize_every": "accumulation"}
IDLE_KEYS = (
    "scheduler", "clip_grad_norm", "feeder_augmented", "train_feeder_args_new", "test_feeder_args_new", "val_split",
    "data_dir", "log_dir", "exp_name", "num_workers", "writer_enabled", "gcn0_flag", "scheduling_lr", "complete",
    "bn_flag", "data_mirroring", "local_rank", "save_score", "print_log", "display_by_category",
    "display_recall_precision",
)  # fmt: skip
IDLE_VALUES = {"clip": False, "validation_split": False, "accumulating_gradients": True, "start_epoch": 0}  # at these

_WANTED = {
    "model": "a torch module",
    "feeder": "a class of samples, with `__getitem__` and `__len__`",
    "make_data": "a function of data_gen",
}


def _fits(key: str, path: str, target: Any) -> bool:
    """Whether what a configuration names is of its key's kind: a file from elsewhere must not call just anything."""
    if key == "model":
        return inspect.isclass(target) and issubclass(target, nn.Module)
    if key == "feeder":
        return inspect.isclass(target) and hasattr(target, "__getitem__") and hasattr(target, "__len__")
    return key != "make_data" or (path.startswith("data_gen.") and inspect.isroutine(target))


def _how_to_drop(value: Any, *, inherited: bool = False) -> str:
    """What to tell who wishes to be rid of what a `_base_` says, or gives null for it where that is no value."""
    return f"; to drop an inherited key, name it in `{DELETE}` beside it" if inherited or plain(value) is None else ""


class Review:
    """What is found while a configuration is read.

    Args:
        schema: the dataclass that a configuration becomes.

    Attributes:
        problems: sentences, each opened by where it was written.
    """

    def __init__(self, schema: type) -> None:
        self.problems: list[str] = []
        self._hints = get_type_hints(schema)
        self._bounds = {f.name: f.metadata["bounds"] for f in fields(schema)}
        self._file = ""
        self._renamed: dict[str, str] = {}
        self._idle: dict[str, None] = {}  # an ordered set
        self._warnings: list[str] = []

    def remarks(self) -> Iterator[str]:
        """A line on published names and one on keys without effect, where there are any."""
        if self._renamed:
            yield "published names: " + ", ".join(f"{a} is read as {b}" for a, b in self._renamed.items())
        if self._idle:
            yield "these published keys do nothing: " + ", ".join(self._idle)
        yield from self._warnings

    def modernise(self, layer: Section) -> Section:
        """`layer` with published keys renamed, and `phase` and `training` agreeing.

        A layer at a time, so that `--phase test` overrides `training: True` in a file.
        """
        for old, new in RENAMED_KEYS.items():
            if old in layer:
                place = layer.places[old]
                if new in layer:
                    self.problems.append(f"{place}: {old} is another name of {new}; leave one out")
                layer.set(new, layer.pop(old), place=place)
                self._renamed[old] = new
        if str(layer.get("model")).startswith("st_gcn.") and "accumulation" not in layer:
            layer.set("accumulation", 2, place=layer.places["model"])
            self._renamed["optimize_every, 2 by default there,"] = "accumulation"
        phase, training = layer.get("phase"), plain(layer.get("training"))
        if phase is None and isinstance(training, bool):
            layer.set("phase", "train" if training else "test", place=layer.places["training"])
        elif phase in ("train", "test"):
            if isinstance(training, bool) and training is not (phase == "train"):
                place = layer.places["training"]
                told = f"training: {training} contradicts phase: {phase}; leave one out"
                self.problems.append(f"{place}: {told}")
            if training is None:
                layer.set("training", phase == "train", place=layer.places["phase"])
        return layer

    def values(self, section: Section) -> dict[str, Any]:
        """The fields that `section` gives rightly; what else is in it becomes problems."""
        values = {}
        for key, value in section.items():
            place = section.places[key]
            if key in IDLE_KEYS or (key in IDLE_VALUES and plain(value) == IDLE_VALUES[key]):
                self._idle[key] = None
            elif key not in self._hints:
                self.problems.append(f"{place}: unknown key {key!r}{did_you_mean(key, self._hints)}")
            else:
                try:
                    low, high = self._bounds[key]
                    values[key] = coerce(self._modern(value), self._hints[key], key=key, low=low, high=high)
                except MisfitError as misfit:
                    self.problems.append(f"{place}: {key}: {misfit}{_how_to_drop(value)}")
        return values

    def check_imports(self, config: Any, values: dict[str, Any], section: Section, *, place: str) -> None:
        """Import what `config` names, compare signatures with arguments, and convert these in `values`.

        Keys of `section` that `values` lacks were wrong; what depends on them is left alone.
        """
        self._file = place
        targets: dict[str, Any] = {}
        for key in ("model", "feeder", "make_data", "class_names"):
            path = getattr(config, key)
            if isinstance(path, str) and (key in values or key not in section):
                targets[key] = self._import(key, path, section.places.get(key, place))
                if targets[key] is not None and not _fits(key, path, targets[key]):
                    self.problems.append(f"{section.places.get(key, place)}: {key}: {path} is not {_WANTED[key]}")
                    targets[key] = None
        self._check_names(config, targets.get("class_names", config.class_names), section)
        called = {"model_args": "model", "make_data_args": "make_data"}
        if config.phase != "info":
            called["test_feeder_args"] = "feeder"
            if config.phase == "train" or config.train_feeder_args:
                called["train_feeder_args"] = "feeder"
        known = len(self.problems)
        for key, user in called.items():
            if targets.get(user) is not None and (key in values or key not in section):
                args = section.get(key, Section())
                values[key] = self._check(key, targets[user], args, section.places.get(key, place))
        if len(self.problems) == known and "model_args" in values and config.weights is None and config.phase != "test":
            self._check_options(targets.get("model"), values["model_args"], section.places.get("model_args", place))

    def _check_options(self, model: Any, args: dict[str, Any], place: str) -> None:
        """What a model's `Options` refuse or warn of; not with weights, whose file settles some of them."""
        options: Any = getattr(model, "Options", None)
        if inspect.isclass(options):
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    made: Any = options(**args)
                if "graph" in args:
                    args["graph"] = made.graph  # the one that is used
                self._warnings += [f"model_args: {warning.message}" for warning in caught]
            except ValueError as error:
                self.problems.append(f"{place}: {error}")

    def check_values(self, config: Any, values: Collection[str], section: Section, *, place: str) -> None:
        """Values that do not go together; those of which one was wrong already are left alone."""
        for (key, *others), text in conflicts(config):
            if all(name in values or name not in section for name in (key, *others)):
                self.problems.append(f"{section.places.get(key, place)}: {key}: {text}")

    def _check_names(self, config: Any, names: Any, section: Section) -> None:
        """Names of classes fit the model; a report would fail on them, but after the training."""
        num_class = config.model_args.get("num_class")
        if names is None:
            return
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            text = f"{config.class_names} holds no names"
        elif isinstance(num_class, int) and len(names) != num_class:
            text = f"{len(names)} names, but model_args.num_class is {num_class}"
        else:
            return
        self.problems.append(f"{section.places['class_names']}: class_names: {text}")

    def _modern(self, path: Any) -> Any:
        if isinstance(path, str) and path in RENAMED_IMPORTS:
            self._renamed[path] = RENAMED_IMPORTS[path]
            return RENAMED_IMPORTS[path]
        return path

    def _import(self, key: str, path: str, place: str) -> Any:
        """The object at `path`, or None and a problem."""
        try:
            return import_object(path)
        except ValueError as error:
            self.problems.append(f"{place}: {key}: {error}")
            return None

    def _check(self, key: str, target: Any, args: Section, place: str) -> dict[str, Any]:
        """`args` as `target` takes them, and the graph that they may name; misfits become problems."""
        if not inspect.isclass(target) and not inspect.isroutine(target):
            self.problems.append(f"{place}: {key}: {target!r} is no class and no function")
            return {}
        good, problems, idle = check_call(target, args, idle=WITHOUT_EFFECT)
        self._idle.update(dict.fromkeys(f"{key}.{name}" for name in idle))
        for name, text in problems:
            at = args.places.get(name, place)
            inherited = name in args and not at.startswith((self._file, COMMAND_LINE))
            self.problems.append(f"{at}: {key}.{name}: {text}{_how_to_drop(args.get(name, 0), inherited=inherited)}")
        if isinstance(path := good.get("graph"), str):
            good["graph"] = self._modern(path)
            graph = self._import(f"{key}.graph", good["graph"], args.places["graph"])
            graph_args = args.get("graph_args", Section())
            if graph is not None and not (inspect.isclass(graph) and issubclass(graph, SkeletonGraph)):
                self.problems.append(f"{args.places['graph']}: {key}.graph: {path} is not a graph.tools.SkeletonGraph")
            elif graph is not None and isinstance(graph_args, Section):
                checked = self._check(f"{key}.graph_args", graph, graph_args, args.places["graph"])
                good.update({"graph_args": checked} if graph_args else {})
        return good
