"""Weights from a file: ours, with the options that they were trained with, or those of the published code."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graph.common.imports import import_object
from graph.common.schema import schema_of
from model.base import SkeletonModel
from model.names import plain_key
from model.options import OPTIONS
from model.published import agree, family, infer_model_args, load_published
from processor.config.check import Check
from processor.config.schema import CONFIG, model_of
from processor.state.checkpoint import misfit, read_checkpoint
from processor.state.data import TestData

log = logging.getLogger(__name__)

# what a file may name that its user has not named; anything else would be imported and called
MODELS = tuple(OPTIONS)
GRAPHS = tuple(
    f"graph.{name}" for name in (
        "azure_kinect.Graph", "coco.Graph", "custom.Graph", "kinetics.Graph", "mediapipe.Graph", "ntu_rgb_d.Graph",
        "nw_ucla.Graph", "openpose.Graph", "sbu.Graph", "volleyball.Graph", "volleyball.AdjMatrixGraph",
    )
)  # fmt: skip
NESTED = 8  # state dicts inside one another
AUTO = "auto"  # in the place of prefixes that are not taken: what does not fit the model
WRAPPERS = ("model", "state_dict", "model_state_dict")  # keys under which checkpoints hold a state dict


@dataclass(frozen=True)
class Weights:
    """What a file holds."""

    path: Path
    # the state dict, without the `module.` of data parallel training and the `_orig_mod.` of compilation
    state: dict[str, Tensor]
    # the import path of the model and its `model_args`, where the file is a checkpoint of ours
    trained: tuple[str, dict[str, Any]] | None
    about: dict[str, Any]  # `epoch` and the other plain values of a checkpoint
    # the names of the model's classes, by their number, where the file tells
    class_names: tuple[str, ...] | None = None
    stream: str | None = None  # what the model was trained on, such as `joint` or `bone`, where the file tells
    config: str = ""  # the configuration of the run, as YAML, where the file is a checkpoint of ours
    data: TestData | None = None  # of the run's test, where the file tells

    @property
    def size(self) -> int:
        """Bytes of the tensors."""
        return sum(x.numel() * x.element_size() for x in self.state.values())

    def known_classes(
        self,
        ignored: Sequence[str] = (),
        *,
        num_class: int | None = None,
        said: Sequence[str] | None = None,
        of_data: Sequence[str] | None = None,
    ) -> tuple[str, ...] | None:
        """`class_names`, unless the weights that tell classes apart are not taken from the file.

        `AUTO` among the `ignored` does not take them for another number of classes, for names of other classes that the
        configuration `said`, nor for such that the training data have.
        """
        names = self.class_names
        new = any(SkeletonModel.SETTLED_BY.get(f"{prefix.rstrip('.')}.") == "num_class" for prefix in ignored)
        if new or names is None or AUTO not in ignored:
            return None if new else names
        fits = sorted(said) == sorted(names) if said else {*(of_data or ())} <= {*names}
        return names if fits and num_class in (None, len(names)) else None

    @property
    def published(self) -> str | None:
        """The import path of the model whose published code they are of."""
        model = family(self.state)
        return f"{model.__module__}.{model.__name__}" if model else None

    @property
    def model(self) -> str | None:
        """The import path of the model that they are of, where the file tells."""
        return self.trained[0] if self.trained else self.published

    def stranger(self, model: str | None = None, graph: Any = None) -> tuple[str, Any] | None:
        """`model` or `graph`, and its import path, where the file names one that is neither ours nor given."""
        if self.model and self.model not in (model, *MODELS):
            return "model", self.model
        named = self.trained[1].get("graph") if self.trained else None
        return ("graph", named) if named and named not in (graph, *GRAPHS) else None

    def settled(self, given: Mapping[str, Any], model: str) -> dict[str, Any]:
        """`model_args` that the file settles; those in `given` decide where its tensors leave a choice.

        Raises:
            ValueError: the file is of another model than the one at the import path `model`.
        """
        if named := self.stranger(model, given.get("graph")):
            kind, path = named
            option = {"model": "--model", "graph": "--model_args.graph"}[kind]
            raise ValueError(
                f"these weights name a {kind} from elsewhere; if it is to be trusted, give it: {option} {path}"
            )
        if self.model and self.model != model:
            raise ValueError(f"these weights are of {self.model}, not of {model}; set `model: {self.model}`")
        if self.trained is None:
            return infer_model_args(self.state, given) if self.published else {}
        saved = self.trained[1]
        kind = import_object(model)
        options = schema_of(kind) or kind  # a user's model need not have a schema
        defaults = {name: p.default for name, p in inspect.signature(options).parameters.items()}
        plain = {name: value for name, value in defaults.items() if isinstance(value, bool | int | float | str)}
        free = {name for name in getattr(options, "FREE", ()) if name in given} | {*getattr(options, "FORMER", ())}
        return {name: value for name, value in {**plain, **saved}.items() if name not in free}

    def complete(self, model: str, given: Mapping[str, Any], ignored: Sequence[str] = ()) -> dict[str, Any]:
        """All `model_args` of the model at the import path `model`: those `given`, and those that the weights settle.

        Args:
            ignored: prefixes of the weights that are not used, and settle nothing.

        Raises:
            ValueError: weights and `given` disagree; each option is named with what the weights hold.
        """
        try:
            settled = self.settled(given, model)
            saved, graph_args = settled.get("graph_args", {}), given.get("graph_args", {})
            if "path" in saved and "path" in graph_args:  # a skeleton's file may have moved; the weights hold its graph
                settled["graph_args"] = {**saved, "path": graph_args["path"]}
                given = {**given, "graph_args": {**saved, **graph_args}}
            for name, option in SkeletonModel.SETTLED_BY.items():
                if any(name.startswith(prefix) for prefix in ignored):
                    settled.pop(option, None)
            check = Check()
            args = check.arguments(import_object(model), agree(settled, given), model, together=False)
            if check.problems:
                raise ValueError("; ".join(check.problems))
            return args
        except ValueError as error:
            written = self.path.with_name(CONFIG)
            told = f" (their run has its configuration in {written})" if written.is_file() else ""
            raise ValueError(f"weights: {self.path}: {error}{told}") from error


def read_weights(path: Path) -> Weights:
    """Reads a checkpoint of ours, a published one, or a plain state dict.

    Raises:
        ValueError: the file is missing, damaged, holds code, or holds no state dict.
    """
    content = state = read_checkpoint(path)
    for _ in range(NESTED):  # a file may hold itself
        wrapper = next((w for w in WRAPPERS if isinstance(state, dict) and isinstance(state.get(w), dict)), None)
        state = state[wrapper] if wrapper else state
    if not isinstance(state, dict) or not state or not all(_is_entry(*entry) for entry in state.items()):
        raise ValueError(f"weights: {path} holds no state dict of plain tensors; name a checkpoint")
    about = {key: value for key, value in content.items() if isinstance(value, bool | int | float | str)}
    text = str(about.pop("config", ""))
    try:
        trained = model_of(text) if text else None
    except ValueError as error:
        raise ValueError(f"weights: {path}: {error}") from error
    names = content.get("class_names")
    class_names = tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
    stream = str(about.pop("stream", "")) or None
    bare = {plain_key(key): value for key, value in state.items()}
    if len(bare) < len(state):
        raise ValueError(f"weights: {path} holds tensors twice, with and without `module.`; keep one of each")
    try:
        data = TestData.of_plain(content["data"]) if content.get("data") and trained else None
    except ValueError as error:
        raise ValueError(f"weights: {path}: {error}") from error
    return Weights(path, bare, trained, about, class_names, stream, text if trained else "", data)


def _is_entry(name: Any, value: Any) -> bool:
    """Whether this is a name and a tensor with numbers in it: real, not quantised, in memory as large as its shape."""
    plain = isinstance(value, Tensor) and value.layout is torch.strided and value.is_cpu
    if not isinstance(name, str) or not plain or value.is_quantized or value.is_complex():
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def check_prefixes(ignore: Sequence[str], names: Collection[str]) -> None:
    """Refuses a prefix that none of the names begins with."""
    for prefix in ignore:
        if not prefix or not any(name.startswith(prefix) for name in names):
            parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise ValueError(f"ignore_weights: no weights of the model begin with {prefix!r}; they begin with {parts}")


def load_weights(model: nn.Module, weights: Weights, ignore: Sequence[str] = ()) -> None:
    """Loads weights into `model`.

    Args:
        ignore: prefixes of our keys that keep the model's initial values.

    Raises:
        ValueError: weights of another model, or a prefix that no key begins with.
    """
    initial = model.state_dict()
    check_prefixes(ignore, initial)
    kept = {name: value for name, value in initial.items() if name.startswith(tuple(ignore))}
    if family(weights.state) is type(model):
        try:
            load_published(model, weights.state, kept)
        except ValueError as error:
            raise ValueError(f"weights: {weights.path}: {error}") from error
    else:
        count = {name: x for name, x in initial.items() if name.endswith(".num_batches_tracked")}  # may be absent
        state = {**count, **weights.state, **kept}
        if problem := misfit(initial, state):
            raise ValueError(
                f"weights: {weights.path} is of another model: {problem}; take the configuration it was made with, or "
                "fine-tune what fits with --ignore_weights auto"
            )
        model.load_state_dict(state)
    log.info("weights of %s%s", weights.path, f", without {', '.join(ignore)}" if ignore else "")
