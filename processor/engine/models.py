"""The model that a run names, built only if this machine can hold it, with the weights of a file."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from feeders.arrays import SKELETON
from graph import MODULES, fitting_graph
from graph.common.imports import import_object
from graph.custom import skeleton_text
from model import fast
from model.base import SkeletonModel
from model.options import OF_DATA, ModelOptions
from processor.state.data import graph_skeleton
from processor.state.weights import AUTO, Weights, check_prefixes, load_weights

log = logging.getLogger(__name__)

SHARE = 0.5  # of the machine's memory that a model may take; training takes it several times
ROOM = (4, 1 << 26)  # a model takes at most so many times the bytes of its weights, and so many more
CUSTOM = "graph.custom.Graph"  # of a skeleton in a file


def model_of_weights(
    name: str, args: Mapping[str, Any], weights: Weights, ignored: Sequence[str] = (), *, new_classes: bool = False
) -> tuple[nn.Module, dict[str, Any]]:
    """The model with the weights of a file, and the complete `model_args`: those given and those that weights settle.

    Weights that begin with one of `ignored` are not taken from the file; with `auto` among these, `tuned_model` says
    which are.

    Raises:
        ValueError: weights and options disagree, or the model is too large, or the weights are of another.
    """
    if AUTO in ignored:
        return tuned_model(name, args, weights, [x for x in ignored if x != AUTO], new_classes=new_classes)
    complete = weights.complete(name, _with_graph(args, weights), ignored)
    with _skeleton_at_hand(complete, weights) as given:
        model = build_model(name, given, None if ignored else weights)
    load_weights(model, weights, ignored)
    return model, complete


def _with_graph(args: Mapping[str, Any], weights: Weights) -> Mapping[str, Any]:
    """`model_args` with the graph of weights that hold their own skeleton, if they name none."""
    learnt = weights.trained[1] if weights.trained and weights.data and weights.data.skeleton else {}
    if "graph" in args or learnt.get("graph") != CUSTOM:
        return args
    return {**{key: learnt[key] for key in ("graph", "graph_args") if key in learnt}, **args}


@contextmanager
def _skeleton_at_hand(args: Mapping[str, Any], weights: Weights) -> Iterator[Mapping[str, Any]]:
    """`model_args` whose skeleton has a file: that of the weights, unless a user names another one that exists."""
    skeleton = weights.data.skeleton if weights.data else None
    graph_args, learnt = args.get("graph_args", {}), weights.trained[1].get("graph_args", {}) if weights.trained else {}
    path = graph_args.get("path")
    is_other = path != learnt.get("path") and Path(str(path)).is_file()
    if args.get("graph") != CUSTOM or skeleton is None or is_other:
        yield args
        return
    with TemporaryDirectory(prefix="st-tr-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / SKELETON
        file.write_text(skeleton_text(skeleton), encoding="utf-8")
        yield {**args, "graph_args": {**graph_args, "path": str(file)}}


def tuned_model(
    name: str, args: Mapping[str, Any], weights: Weights, ignored: Sequence[str] = (), *, new_classes: bool = False
) -> tuple[nn.Module, dict[str, Any]]:
    """The model of other data than those that a file's was trained on, with what fits of its weights.

    Not taken are tensors of another shape, those that begin with one of `ignored`, those that depend on the joints
    where the skeleton is another one, and the classifier of `new_classes`; they are logged. Options that are not
    `OF_DATA` must be those of the file.

    Raises:
        ValueError: other options disagree, or nothing fits.
    """
    of_file = weights.complete(name, {key: value for key, value in args.items() if key not in OF_DATA})
    of_data = {key: args[key] for key in OF_DATA if key in args}
    complete = {**of_file, **of_data}
    if any(complete.get(key) != of_file.get(key) for key in ("num_point", "graph")) and "graph_args" not in of_data:
        complete["graph_args"] = {k: x for k, x in of_file.get("graph_args", {}).items() if k != "path"}
    if complete.get("num_point") != of_file.get("num_point") and "graph" not in of_data:
        complete.pop("graph", None)
    model = build_model(name, complete)
    initial = model.state_dict()
    check_prefixes(ignored, initial)
    with torch.random.fork_rng(devices=[]):  # what is not taken begins as in any run of this seed
        state: Mapping[str, Tensor] = weights.state
        if weights.published:
            source = build_model(name, of_file, weights)
            load_weights(source, weights)
            state = source.state_dict()
        joints = _of_joints(name, complete, initial) if _has_other_joints(model, complete, of_file, weights) else set()
    left = _left_out(initial, state, joints, ignored, new_classes=new_classes)
    not_taken = {key for keys in left.values() for key in keys}
    taken = {key: state[key] for key in initial if key in state and key not in not_taken}
    if not taken:
        raise ValueError(f"weights: nothing in {weights.path} fits the model; leave weights out to train a new one")
    model.load_state_dict({**initial, **taken})
    log.info("weights of %s: %d of the model's %d tensors are taken", weights.path, len(taken), len(initial))
    for why, keys in left.items():
        counts = Counter(re.sub(r"\.\d+(?=\.)", ".*", key) for key in keys)
        shown = ", ".join(key if number == 1 else f"{key} ({number})" for key, number in counts.items())
        log.info("not taken, %s: %s", why, shown)
    return model, complete


def _left_out(
    initial: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    joints: set[str],
    ignored: Sequence[str],
    *,
    new_classes: bool,
) -> dict[str, list[str]]:
    """The names of the tensors of either state dict that are not taken, by the reason."""
    classifier = tuple(prefix for prefix, option in SkeletonModel.SETTLED_BY.items() if option == "num_class")
    left: dict[str, list[str]] = {}
    for key, x in initial.items():
        fits = key in state and state[key].shape == x.shape
        if key in joints:
            left.setdefault("of other joints", []).append(key)
        elif key.startswith(classifier) and (new_classes or not fits):
            left.setdefault("of other classes", []).append(key)
        elif key.startswith(tuple(ignored)):
            left.setdefault("ignored", []).append(key)
        elif key in state and not fits:
            left.setdefault("of another shape", []).append(key)
        elif not fits and not key.endswith("num_batches_tracked"):
            left.setdefault("not in the file", []).append(key)
    unused = [key for key in state if key not in initial]
    return {**left, "not in the model": unused} if unused else left


def _has_other_joints(model: nn.Module, args: Mapping[str, Any], of_file: Mapping[str, Any], weights: Weights) -> bool:
    """Whether the model has another skeleton than that of a file with the options `of_file`."""
    if not isinstance(model, SkeletonModel):
        return False
    V, graph = model.options.num_point, model.options.graph
    if of_file.get("num_point", V) != V or fitting_graph(of_file.get("graph"), V) != graph:
        return True
    paths = [options.get("graph_args", {}).get("path") for options in (args, of_file)]
    if paths == [None, None]:
        return False
    theirs, ours = weights.data and weights.data.skeleton, graph_skeleton(args, V)
    if theirs and ours:  # a skeleton's file may have moved
        return (theirs.joints, theirs.parents) != (ours.joints, ours.parents)
    return paths[0] != paths[1]


def _of_joints(name: str, args: Mapping[str, Any], state: Mapping[str, Tensor]) -> set[str]:
    """The tensors of a state dict whose shape depends on the number of joints.

    A model with another number of joints shows them: odd if this one's is odd, for temporal attention joins frames
    by that.
    """
    V = args.get("num_point", ModelOptions.num_point)
    number, module = next((v, module) for v, module in MODULES.items() if v != V and (v - V) % 2 == 0)
    graph_args = {key: value for key, value in args.get("graph_args", {}).items() if key == "labeling_mode"}
    other = {**args, "num_point": number, "graph": f"{module.__name__}.Graph", "graph_args": graph_args}
    return {key for key, x in build_model(name, other).state_dict().items() if x.shape != state[key].shape}


def build_model(name: str, args: Mapping[str, Any], weights: Weights | None = None) -> nn.Module:
    """The model of the class at an import path, with random weights; `weights` that it gets later bound its size.

    Raises:
        ValueError: the options are wrong, or ask for more memory than there is or than the weights can fill.
    """
    kind = import_object(name)
    size, memory = _size(kind, args), _memory()
    if memory and size > SHARE * memory:
        raise ValueError(
            f"model_args: the model would take {size / 1e9:.1f} GB of this machine's {memory / 1e9:.1f} GB of memory; "
            "num_class, channels, window_size and num_point decide its size"
        )
    if weights and size > ROOM[0] * weights.size + ROOM[1]:
        raise ValueError(
            f"weights: {weights.path} holds {weights.size / 1e6:.1f} MB, and the model that it names would take "
            f"{size / 1e6:.1f} MB; it is damaged, or not the model's"
        )
    model: nn.Module = kind(**args)
    return model


def count_flops(model: nn.Module, shape: tuple[int, ...]) -> int:
    """FLOPs of the forward pass of one sample of zeros (C, T, V, M), two a multiply-add."""
    with torch.no_grad(), fast.reference(), FlopCounterMode(display=False) as counter:  # it knows the plain functions
        model.eval()(torch.zeros(1, *shape))
    return int(counter.get_total_flops())


def _size(kind: Any, args: Mapping[str, Any]) -> int:
    """Bytes of parameters and buffers, without taking memory; 0: a user's model cannot be built like that."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), _Undrawn(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come again when the model is built
            model = kind(**args)
        return sum(x.numel() * x.element_size() for x in (*model.parameters(), *model.buffers()))
    except ValueError:
        raise
    except Exception:
        return 0


class _Undrawn(TorchFunctionMode):
    """Leaves weights empty: to fill them on the meta device, torch would first import its compiler, for two seconds."""

    INSTEAD: ClassVar = {
        nn.init.normal_: lambda tensor, **_: tensor,
        torch.ones_like: lambda tensor: torch.empty(tensor.shape),
    }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.INSTEAD.get(func, func)(*args, **(kwargs or {}))


def _memory() -> int:
    """Bytes of this machine's memory; 0: unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0
