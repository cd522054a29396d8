"""Azure Kinect: the 32 joints of its body tracking SDK, with the parents that its documentation gives.

The SDK gives millimetres; other Kinects give metres.
"""

from graph.tools import Skeleton, SkeletonGraph

SKELETON = Skeleton(
    name="Azure Kinect",
    joints=(
        "pelvis", "spine navel", "spine chest", "neck",
        "left clavicle", "left shoulder", "left elbow", "left wrist", "left hand", "left hand tip", "left thumb",
        "right clavicle", "right shoulder", "right elbow", "right wrist", "right hand", "right hand tip", "right thumb",
        "left hip", "left knee", "left ankle", "left foot", "right hip", "right knee", "right ankle", "right foot",
        "head", "nose", "left eye", "left ear", "right eye", "right ear",
    ),
    parents=(
        0, 0, 1, 2, 2, 4, 5, 6, 7, 8, 7, 2, 11, 12, 13, 14, 15, 14, 0, 18, 19, 20, 0, 22, 23, 24, 3, 26, 26, 26, 26, 26,
    ),
)  # fmt: skip


class Graph(SkeletonGraph):
    skeleton = SKELETON
