"""Skeletons and their graphs: one module a skeleton, `graph.tools` for what they share."""

from __future__ import annotations

from typing import Any

from graph import coco, kinetics, ntu_rgb_d, nw_ucla, sbu
from graph.tools import Skeleton

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


def _module(num_point: int) -> Any:
    if num_point not in MODULES:
        known = ", ".join(f"{V} ({module.SKELETON.name})" for V, module in MODULES.items())
        raise ValueError(f"{num_point} joints are those of no known skeleton; known are {known}")
    return MODULES[num_point]
