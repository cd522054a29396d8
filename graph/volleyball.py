"""COCO's 17 joints with the edges of Zoom Transformer (Zhang et al., IEEE TCSVT 2022), which contain cycles.

The graph is not normalised by degrees. For other models use `graph.coco`.
"""

from __future__ import annotations

import numpy as np

from graph.coco import SKELETON
from graph.tools import SkeletonGraph, directed

EDGES = (
    (10, 8), (8, 6), (9, 7), (7, 5), (15, 13), (13, 11), (16, 14), (14, 12), (11, 5), (12, 6), (11, 12), (5, 6),
    (5, 0), (6, 0), (1, 0), (2, 0), (3, 1), (4, 2),
)  # fmt: skip


class AdjMatrixGraph(SkeletonGraph):
    """`AdjMatrixGraph(labeling_mode="spatial")`: `A` (3, 17, 17), identity, inward, outward.

    Raises:
        ValueError: another `labeling_mode`.
    """

    skeleton = SKELETON

    def __init__(self, labeling_mode: str = "spatial") -> None:
        if labeling_mode != "spatial":
            raise ValueError(f"labeling_mode: {labeling_mode!r}; graph.volleyball.AdjMatrixGraph has spatial only")
        self.A = np.stack([np.eye(17), *directed(EDGES, 17)]).astype(np.float32)
