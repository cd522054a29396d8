"""Skeletons as data, and the adjacency partitions of their graphs.

Source: Yan et al., *Spatial Temporal Graph Convolutional Networks*, AAAI 2018, section 3.3 (partition
strategies). The matrices equal those of the published ST-TR code; `spatial*` equals that of Zoom Transformer.
Axis legend: K partitions, V joints.

Features are multiplied from the left, `(x·A)_w = sum_v x_v A_vw`. For an edge (child, parent), the inward matrix has
`A[parent, child] = 1`; the outward matrix is its transpose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

LABELING_MODES = ("uniform", "distance*", "distance", "spatial", "spatial*", "DAD", "DLD")


@dataclass(frozen=True)
class Skeleton:
    """A skeleton: the names of its joints, and the bones between them."""

    name: str  # its name in messages
    joints: tuple[str, ...]  # the joints' names, in the order of the V axis
    parents: tuple[int, ...]  # the bone parent of every joint, from 0; the root is its own parent and has no bone
    # the parents in the graph, for data sets whose graph differs from their bones
    graph_parents: tuple[int, ...] | None = None

    @property
    def num_point(self) -> int:
        return len(self.joints)

    @property
    def root(self) -> int:
        """The joint that is its own parent."""
        return next(joint for joint, parent in enumerate(self.parents) if joint == parent)

    @property
    def partners(self) -> tuple[int, ...]:
        """The joint on the other side of every joint; a joint of the middle is its own partner."""
        other = {"left": "right", "Left": "Right", "LEFT": "RIGHT"}
        other |= {right: left for left, right in other.items()}
        names = [re.sub("|".join(other), lambda side: other[side[0]], joint) for joint in self.joints]
        return tuple(self.joints.index(name) if name in self.joints else joint for joint, name in enumerate(names))

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) pairs of the graph, from 0, without the root."""
        parents = self.graph_parents or self.parents
        return tuple((child, parent) for child, parent in enumerate(parents) if child != parent)


def directed(edges: Iterable[tuple[int, int]], num_point: int) -> tuple[np.ndarray, np.ndarray]:
    """The inward and the outward matrix (V, V) of (child, parent) edges."""
    inward = np.zeros((num_point, num_point))
    for child, parent in edges:
        inward[parent, child] = 1
    return inward, inward.T


def normalize_columns(A: np.ndarray) -> np.ndarray:
    """Divide every column of `A` (V, V) by its sum; columns of zeros stay zero."""
    total = A.sum(axis=0)
    return A / np.where(total > 0, total, 1)


def normalize_symmetric(A: np.ndarray) -> np.ndarray:
    """D^-1/2 A D^-1/2 with D the column sums of `A` (V, V); joints without edges stay zero."""
    total = A.sum(axis=0)
    scale = np.where(total > 0, 1 / np.sqrt(np.where(total > 0, total, 1)), 0)
    return scale[:, None] * A * scale[None, :]


def partitions(skeleton: Skeleton, labeling_mode: str = "spatial") -> np.ndarray:
    """The adjacency matrices (K, V, V) float32 of a skeleton's graph.

    K is 3 for `spatial` and `spatial*` (not normalised), 2 for `distance`, 1 for the others.

    Raises:
        ValueError: `labeling_mode` is not one of `LABELING_MODES`.
    """
    identity = np.eye(skeleton.num_point)
    inward, outward = directed(skeleton.edges, skeleton.num_point)
    neighbours = inward + outward
    modes: dict[str, Callable[[], list[np.ndarray]]] = {
        "uniform": lambda: [normalize_columns(neighbours + identity)],
        "distance*": lambda: [identity - normalize_columns(neighbours)],
        "distance": lambda: [identity, normalize_columns(neighbours)],
        "spatial": lambda: [identity, normalize_columns(inward), normalize_columns(outward)],
        "spatial*": lambda: [identity, inward, outward],
        "DAD": lambda: [normalize_symmetric(neighbours + identity)],
        "DLD": lambda: [identity - normalize_symmetric(neighbours)],
    }
    if labeling_mode not in modes:
        raise ValueError(f"labeling_mode: {labeling_mode!r} is none of {', '.join(LABELING_MODES)}")
    return np.stack(modes[labeling_mode]()).astype(np.float32)


class SkeletonGraph:
    """The base class of `Graph` in each skeleton's module: `Graph(labeling_mode="spatial").A` (K, V, V)."""

    skeleton: Skeleton
    A: np.ndarray  # (K, V, V) float32 adjacency partitions

    def __init__(self, labeling_mode: str = "spatial") -> None:
        self.A = partitions(self.skeleton, labeling_mode)
