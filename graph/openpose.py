"""OpenPose's BODY_25 model: 25 joints of a picture (Cao et al., *OpenPose*, IEEE TPAMI 2021, section 5).

`graph.kinetics` has the 18 joints of its older model. 25 joints are also those of NTU RGB+D, which is what arrays of 25
joints are taken for; name this graph as `graph.openpose.Graph`.
"""

from graph.tools import Skeleton, SkeletonGraph

SKELETON = Skeleton(
    name="OpenPose",
    joints=(
        "nose", "neck",
        "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist", "hip center",
        "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
        "right eye", "left eye", "right ear", "left ear",
        "left big toe", "left small toe", "left heel", "right big toe", "right small toe", "right heel",
    ),
    parents=(1, 1, 1, 2, 3, 1, 5, 6, 1, 8, 9, 10, 8, 12, 13, 0, 0, 15, 16, 14, 19, 14, 11, 22, 11),
)  # fmt: skip


class Graph(SkeletonGraph):
    skeleton = SKELETON
