"""SBU Kinect Interaction: the 15 joints of OpenNI (Yun et al., CVPR Workshops 2012, section 3).

The data set defines no bones. Ours are those of a body: the torso is the root, arms begin at the neck, legs at the
torso.
"""

from graph.tools import Skeleton, SkeletonGraph

SKELETON = Skeleton(
    name="SBU",
    joints=(
        "head", "neck", "torso",
        "left shoulder", "left elbow", "left hand", "right shoulder", "right elbow", "right hand",
        "left hip", "left knee", "left foot", "right hip", "right knee", "right foot",
    ),
    parents=(1, 2, 2, 1, 3, 4, 1, 6, 7, 2, 9, 10, 2, 12, 13),
)  # fmt: skip


class Graph(SkeletonGraph):
    skeleton = SKELETON
