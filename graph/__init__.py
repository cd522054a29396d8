"""Skeletons and their graphs: one module a skeleton; `graph.tools` holds what they share."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from graph import azure_kinect, coco, kinetics, mediapipe, ntu_rgb_d, nw_ucla, sbu
from graph.common.imports import import_object
from graph.tools import Skeleton, SkeletonGraph

MODULES = {
    module.SKELETON.num_point: module for module in (ntu_rgb_d, nw_ucla, kinetics, coco, sbu, mediapipe, azure_kinect)
}


def skeleton_of(num_point: int) -> Skeleton:
    """The skeleton with this number of joints.

    Raises:
        ValueError: no known skeleton has as many.
    """
    return _module(num_point).SKELETON


def graph_of(num_point: int) -> str:
    """The import path of the graph with this number of joints, as `model_args.graph` takes it.

    Raises:
        ValueError: no known skeleton has as many.
    """
    return f"{_module(num_point).__name__}.Graph"


def fitting_graph(path: str | None, num_point: int) -> str:
    """The import path of a graph with `num_point` joints: `path`, or `graph_of(num_point)` if `path` is None.

    If `path` is a known graph with another number of joints, it warns and takes `graph_of(num_point)`.

    Raises:
        ValueError: `path` is None, and no known skeleton has as many joints.
    """
    if path is None:
        try:
            return graph_of(num_point)
        except ValueError as error:
            raise ValueError(f"model_args: num_point: {error}; name the graph of your skeleton as `graph`") from None
    named = next((V for V, module in MODULES.items() if path == f"{module.__name__}.Graph"), num_point)
    if named == num_point or num_point not in MODULES:
        return path
    warnings.warn(
        f"graph: {path} has {named} joints, num_point is {num_point}: {graph_of(num_point)} is taken instead",
        stacklevel=6,  # the line that makes the model, behind its own constructor, its base's and its options'
    )
    return graph_of(num_point)


def adjacency(path: str | None, args: Mapping[str, Any], num_point: int) -> np.ndarray:
    """The partitions (K, V, V) of the graph at an import path such as `graph.ntu_rgb_d.Graph`, or of `graph_of`.

    Raises:
        ValueError: there is no such graph, it takes no such arguments, or it has other joints than `num_point`.
    """
    path = path or graph_of(num_point)
    refusal = ValueError(f"model_args: graph: {path} is no graph.tools.SkeletonGraph")
    try:
        graph = import_object(path)
    except ValueError as error:
        raise refusal from error
    if not (isinstance(graph, type) and issubclass(graph, SkeletonGraph)):
        raise refusal
    try:
        A: np.ndarray = graph(**args).A
    except TypeError as error:
        raise ValueError(f"model_args: graph_args: {dict(args)} are not what {path} takes ({error})") from error
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
