"""Skeletons and their graphs: one module a skeleton, `graph.tools` for what they share."""

from __future__ import annotations

from graph import kinetics, ntu_rgb_d, nw_ucla
from graph.tools import Skeleton

SKELETONS = {module.SKELETON.num_point: module.SKELETON for module in (ntu_rgb_d, kinetics, nw_ucla)}


def skeleton_of(num_point: int) -> Skeleton:
    """The skeleton with this number of joints.

    Raises:
        ValueError: no skeleton here has so many.
    """
    if num_point not in SKELETONS:
        known = ", ".join(f"{V} ({skeleton.name})" for V, skeleton in SKELETONS.items())
        raise ValueError(f"{num_point} joints are those of no known skeleton; known are {known}")
    return SKELETONS[num_point]
