"""MediaPipe Pose (BlazePose): 33 landmarks (Bazarevsky et al., *BlazePose*, CVPR Workshops 2020, figure 3).

Its drawing connects the shoulders with each other and the hips, too; our bones are a tree with the nose as root, in
which shoulders hang on the nose, and each hip on the shoulder of its side.
"""

from graph.tools import Skeleton, SkeletonGraph

SKELETON = Skeleton(
    name="MediaPipe",
    joints=(
        "nose", "left eye inner", "left eye", "left eye outer", "right eye inner", "right eye", "right eye outer",
        "left ear", "right ear", "left mouth", "right mouth",
        "left shoulder", "right shoulder", "left elbow", "right elbow", "left wrist", "right wrist",
        "left pinky", "right pinky", "left index", "right index", "left thumb", "right thumb",
        "left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle",
        "left heel", "right heel", "left foot index", "right foot index",
    ),
    parents=(
        0, 0, 1, 2, 0, 4, 5, 3, 6, 0, 0, 0, 0, 11, 12, 13, 14, 15, 16, 15, 16, 15, 16, 11, 12, 23, 24, 25, 26, 27, 28,
        27, 28,
    ),
)  # fmt: skip


class Graph(SkeletonGraph):
    skeleton = SKELETON
