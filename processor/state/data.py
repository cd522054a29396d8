"""What a checkpoint keeps of the data that its model was tested on, so that one recording can be prepared like them."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from feeders.arrays import SKELETON, load_array, load_missing, load_prepared, skeleton_of_array, stream_in
from feeders.presence import present_joints
from graph import skeleton_of
from graph.channels import Channels
from graph.common.files import VERSION
from graph.common.imports import import_object
from graph.custom import load_skeleton
from graph.mapping import body_size
from graph.tools import Skeleton

SIZED = 64  # samples whose bodies are measured


@dataclass(frozen=True)
class TestData:
    """The array of a test and what stood beside it.

    Attributes:
        array: the name of its file, which tells bones from joints.
        shape: (C, T, V, M) of a sample.
        channels: what the channels of joints are.
        frame_rate: frames a second, where known.
        made: by which script and with which options, as in `prepared.yaml`; empty: not told.
        skeleton: the joints and bones, where known.
        has_file: whether `skeleton.yaml` stood beside the array.
        size: the median of the longest side of bodies, in the arrays' unit; 0: not measured.
        statistics: mean and standard deviation by which the feeder normalises, (C, 1, V, 1) each.
    """

    array: str
    shape: tuple[int, int, int, int]
    channels: Channels
    frame_rate: float | None = None
    made: dict[str, Any] = field(default_factory=dict)
    skeleton: Skeleton | None = None
    has_file: bool = False
    size: float = 0.0
    statistics: tuple[Tensor, Tensor] | None = None

    def as_plain(self) -> dict[str, Any]:
        """Plain values and tensors, as a checkpoint holds them."""
        bones = self.skeleton
        return {
            "array": self.array,
            "shape": list(self.shape),
            "channels": self.channels.as_mapping(),
            "frame_rate": self.frame_rate,
            "made": self.made,
            "skeleton": bones and {"name": bones.name, "joints": list(bones.joints), "parents": list(bones.parents)},
            "has_file": self.has_file,
            "size": self.size,
            "statistics": self.statistics and list(self.statistics),
        }

    @classmethod
    def of_plain(cls, content: Any) -> TestData:
        """The inverse of `as_plain`.

        Raises:
            ValueError: it is none.
        """
        try:
            bones, shape, statistics = content["skeleton"], content["shape"], content["statistics"]
            C, T, V, M = (int(size) for size in shape)
            skeleton = bones and Skeleton(
                str(bones["name"]), tuple(map(str, bones["joints"])), tuple(map(int, bones["parents"]))
            )
            if skeleton and (skeleton.num_point != V or not {*skeleton.parents} <= {*range(V)}):
                raise ValueError
            if min(C, T, V, M) < 1 or max(C, T, V, M) > 100_000 or len(skeleton.parents if skeleton else [0] * V) != V:
                raise ValueError
            return cls(
                Path(str(content["array"])).name,
                (C, T, V, M),
                Channels.of_mapping(content["channels"]),
                content["frame_rate"] and float(content["frame_rate"]),
                dict(content["made"]),
                skeleton,
                bool(content["has_file"]),
                float(content["size"]),
                statistics and (statistics[0].float(), statistics[1].float()),
            )
        except Exception as error:  # a forged file can hold anything
            raise ValueError("what it holds of its data is damaged; train again, or add --config") from error


def versions() -> dict[str, str]:
    """The versions that a checkpoint was written with."""
    return {
        "st_tr": VERSION,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def data_of(args: Mapping[str, Any], model_args: Mapping[str, Any], feeder: Any = None) -> TestData | None:
    """What the array of feeder arguments tells of itself; None: they name no array that exists.

    Args:
        args: `test_feeder_args`.
        model_args: those of the model, for its graph.
        feeder: the feeder of these arguments, for its statistics.

    Raises:
        ValueError: the files beside the array do not fit it.
    """
    path = args.get("data_path")
    if not isinstance(path, str) or not path.endswith(".npy") or not Path(path).is_file():
        return None
    array, prepared = load_array(path), load_prepared(path)
    C, T, V, M = array.shape[1:]
    kinds = stream_in(path).count("+") + 1
    channels = prepared.channels if prepared else Channels.numbered(C // kinds if C % kinds == 0 else C)
    statistics = getattr(feeder, "statistics", None)
    has_file = Path(path).with_name(SKELETON).exists()
    return TestData(
        Path(path).name,
        (C, T, V, M),
        channels,
        prepared.frame_rate if prepared else None,
        json.loads(json.dumps(prepared.made, default=str)) if prepared else {},  # YAML knows dates
        skeleton_of_array(path, V) if has_file else graph_skeleton(model_args, V),
        has_file,
        _size(path, array, channels),
        statistics and (torch.from_numpy(statistics[0]), torch.from_numpy(statistics[1])),
    )


def graph_skeleton(model_args: Mapping[str, Any], V: int) -> Skeleton | None:
    """The skeleton of the model's graph with V joints, or None."""
    try:
        graph = import_object(str(model_args["graph"])) if model_args.get("graph") else None
        path = model_args.get("graph_args", {}).get("path")
        skeleton = load_skeleton(path) if path else graph.skeleton if graph else skeleton_of(V)
        return skeleton if isinstance(skeleton, Skeleton) and skeleton.num_point == V else None
    except (ValueError, OSError, AttributeError):
        return None


def _size(path: str, array: np.ndarray, channels: Channels) -> float:
    """The size of bodies in the first samples of an array of joints; 0 for arrays of bones."""
    if stream_in(path) == "bone" or not channels.position:
        return 0.0
    missing = load_missing(path)
    sizes = []
    for index in range(min(SIZED, len(array))):
        x = np.asarray(array[index, : len(channels.names)], np.float32)  # (C, T, V, M)
        is_present = present_joints(x, None if missing is None else missing[index])  # (T, V, M)
        joints = x[list(channels.position)].transpose(1, 3, 2, 0)  # (T, M, V, C)
        if size := body_size(joints, is_present.transpose(0, 2, 1)):
            sizes.append(size)
    return float(np.median(sizes)) if sizes else 0.0
