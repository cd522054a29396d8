"""COCO: the 17 joints of 2-D pose estimators such as HRNet (Lin et al., ECCV 2014).

Bones and edges are those of PYSKL (Duan et al., ACM MM 2022): a tree with the nose as root, because COCO has no neck
and no spine. The bone of a hip begins at the nose, its edge goes to the shoulder of its side.
"""

from graph.tools import Skeleton, SkeletonGraph

SKELETON = Skeleton(
    name="COCO",
    joints=(
        "nose", "left eye", "right eye", "left ear", "right ear",
        "left shoulder", "right shoulder", "left elbow", "right elbow", "left wrist", "right wrist",
        "left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle",
    ),
    parents=(0, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 0, 0, 11, 12, 13, 14),
    graph_parents=(0, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
)  # fmt: skip


class Graph(SkeletonGraph):
    skeleton = SKELETON
