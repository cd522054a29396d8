"""NW-UCLA: the 20 joints of Kinect v1 (Wang et al., *Cross-view Action Modeling*, CVPR 2014)."""

from graph.tools import Skeleton, SkeletonGraph

SKELETON = Skeleton(
    name="NW-UCLA",
    joints=(
        "hip center", "spine", "shoulder center", "head",
        "left shoulder", "left elbow", "left wrist", "left hand",
        "right shoulder", "right elbow", "right wrist", "right hand",
        "left hip", "left knee", "left ankle", "left foot",
        "right hip", "right knee", "right ankle", "right foot",
    ),
    parents=(1, 2, 2, 2, 2, 4, 5, 6, 2, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18),
)  # fmt: skip


class Graph(SkeletonGraph):
    skeleton = SKELETON
