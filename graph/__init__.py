"""Skeletons and their graphs: one module a skeleton, `graph.tools` for what they share."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from graph import coco, kinetics, ntu_rgb_d, nw_ucla, sbu
from graph.tools import Skeleton, SkeletonGraph

MODULES = {module.SKELETON.num_point: module for module in (ntu_rgb_d, nw_ucla, kinetics, coco, sbu)}


def skeleton_of(num_point: int) -> Skeleton:
    """The skeleton with this number of joints.

    Raises:
        ValueError: no skeleton here has so many.
    """
    return _module(num_point).SKELETON


def graph_of(num_point: int) -> str:
    """The import path of the graph with this number of joints, as `model_args.graph` takes it.

    Raises:
        ValueError: no skeleton here has so many.
    """
    return f"{_module(num_point).__name__}.Graph"


def adjacency(path: str, args: Mapping[str, Any], num_point: int) -> np.ndarray:
    """The partitions (K, V, V) of the graph at an import path such as `graph.ntu_rgb_d.Graph`.

    Raises:
        ValueError: there is no such graph, or it has another number of joints than `num_point`.
    """
    module, _, name = path.rpartition(".")
    try:
        graph = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"model_args: graph: {path} is no graph.tools.SkeletonGraph") from error
    if not (isinstance(graph, type) and issubclass(graph, SkeletonGraph)):  # before it is called
        raise ValueError(f"model_args: graph: {path} is no graph.tools.SkeletonGraph")
    A: np.ndarray = graph(**args).A
    if A.shape[-1] != num_point:
        fitting = f"graph: {graph_of(num_point)}, or " if num_point in MODULES else ""
        raise ValueError(
            f"model_args: graph {path} has {A.shape[-1]} joints, num_point is {num_point}; "
            f"take {fitting}num_point: {A.shape[-1]}"
        )
    return A


def _module(num_point: int) -> Any:
    if num_point not in MODULES:
        known = ", ".join(f"{V} ({module.SKELETON.name})" for V, module in MODULES.items())
        raise ValueError(f"{num_point} joints are those of no known skeleton; known are {known}")
    return MODULES[num_point]
