"""Kinetics-skeleton: the 18 joints of OpenPose's COCO model (Yan et al., AAAI 2018, section 4.1)."""

from graph.tools import Skeleton, SkeletonGraph

SKELETON = Skeleton(
    name="Kinetics-skeleton",
    joints=(
        "nose", "neck",
        "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
        "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
        "right eye", "left eye", "right ear", "left ear",
    ),
    parents=(0, 0, 1, 2, 3, 1, 5, 6, 2, 8, 9, 5, 11, 12, 0, 0, 14, 15),
    # the root is the nose for bones, the neck for edges
    graph_parents=(1, 1, 1, 2, 3, 1, 5, 6, 2, 8, 9, 5, 11, 12, 0, 0, 14, 15),
)  # fmt: skip


class Graph(SkeletonGraph):
    skeleton = SKELETON
