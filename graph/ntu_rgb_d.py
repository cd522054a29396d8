"""NTU RGB+D 60 and 120: the 25 joints of Kinect v2 (Shahroudy et al., CVPR 2016, figure 2)."""

from graph.tools import Skeleton, SkeletonGraph

SKELETON = Skeleton(
    name="NTU RGB+D",
    joints=(
        "spine base", "spine mid", "neck", "head",
        "left shoulder", "left elbow", "left wrist", "left hand",
        "right shoulder", "right elbow", "right wrist", "right hand",
        "left hip", "left knee", "left ankle", "left foot",
        "right hip", "right knee", "right ankle", "right foot",
        "spine shoulder", "left hand tip", "left thumb", "right hand tip", "right thumb",
    ),
    parents=(1, 20, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 20, 22, 7, 24, 11),
)  # fmt: skip


class Graph(SkeletonGraph):
    skeleton = SKELETON
