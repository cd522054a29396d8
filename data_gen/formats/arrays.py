"""Arrays of numbers without names: what their channels are, `.npy` and `.npz`.

Axis legend: N recordings, T frames, M persons, V joints, C channels. A recording is (T, V, C), (T, M, V, C), or
(T, M*V*C) in the order of these axes; NaN is a missing number; a joint whose numbers are all zero is a joint
at the origin, but a person whose numbers are all zero is absent. `.npz` holds
- `x_train`, `y_train`, `x_test`, `y_test`, the form of CTR-GCN and its successors: x (N, T, M*V*C), y one-hot or
  classes; frames at the end without any number are padding;
- or one recording: `keypoints` (or `keypoint`, `joints`, `data`), and scores as `scores` or `keypoint_scores`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from data_gen.formats.files import Source, check_size
from data_gen.formats.headings import skeleton_named
from data_gen.formats.recording import Recording
from graph.channels import Channels, Unit
from graph.common.words import few_of, plural
from graph.ntu_rgb_d import SKELETON as KINECT_V2

MAX_SCORE = 1.1
_MAX_CHANNEL = 9  # of a joint, where the user tells none: position, rotation and velocity
_MAX_NPZ_MB = 16_384  # the joints of NTU RGB+D 120 take 10 GB
JOINTS, SCORES = ("keypoints", "keypoint", "joints", "data", "arr_0"), ("scores", "keypoint_scores", "keypoint_score")


def guess_channels(joints: np.ndarray) -> Channels:
    """What unnamed channels of `joints` (..., C) are, as far as the numbers tell.

    x and y are pixels where a coordinate is beyond 10; then a third channel between 0 and 1 is a score (a heat
    map's may be a little more). So is a fourth one.
    """
    C = joints.shape[-1]
    flat = joints.reshape(-1, C)
    low, high = np.nanmin(flat, axis=0, initial=0), np.nanmax(flat, axis=0, initial=0)
    unit: Unit = "pixels" if max(high[:2]) > 10 and min(low[:2]) > -0.5 * max(high[:2]) else "unknown"
    if C == 2:
        return Channels(("x", "y"), unit)
    if C == 3 and unit == "pixels" and low[2] >= 0 and high[2] <= MAX_SCORE:
        return Channels(("x", "y", "score"), unit)
    names = list(Channels.numbered(C).names)
    if C == 4 and low[3] >= 0 and high[3] <= MAX_SCORE:
        names[3] = "score"
    return Channels(tuple(names))


def named_channels(names: tuple[str, ...], joints: np.ndarray) -> Channels:
    """Channels with names, in pixels where x and y of `joints` (..., C) without depth are."""
    return Channels(names, "unknown" if "z" in names else guess_channels(joints[..., :2]).unit)


def person_shape(frames: np.ndarray, source: Source) -> tuple[int, int, int]:
    """(M, V, C) of the numbers (T, M*V*C) of frames that tell no shape.

    Raises:
        ValueError: they are not channels of each joint, or how many persons there are cannot be told.
    """
    if source.skeleton is None:
        raise ValueError("only a skeleton tells how many joints a frame of numbers has")
    V, width = source.skeleton.num_point, frames.shape[1]
    each, rest = divmod(width, V)
    channel = source.channel
    if channel is None and each == 6 and KINECT_V2.num_point == V and np.nanmax(np.abs(frames), initial=0) < 100:
        channel = 3  # PKU-MMD: two persons in metres
    told = plural(width, "number a frame is", "numbers a frame are")
    joints = plural(V, "joint")
    if rest or each < 2:
        raise ValueError(f"{told} not 2 or more for each of {joints}")
    if channel is None and each > 3:
        raise ValueError(
            f"{told} {each} for each of {joints}: give their channels with --channel, the rest are persons"
        )
    if each % (channel or each):
        raise ValueError(f"{told} {each} for each of {joints}, not --channel {channel}")
    return each // (channel or each), V, channel or each


def recording_of(name: str, joints: np.ndarray, source: Source, **fields: Any) -> Recording:
    """The recording of an array (T, V, C), (T, M, V, C) or (T, M*V*C) whose channels have no names.

    Raises:
        ValueError: it has another shape, or joints or channels that are not expected.
    """
    joints = _unrolled(joints, source)
    if joints.ndim not in (3, 4) or not joints.size:
        raise ValueError(f"shape (T, V, C), (T, M, V, C) or (T, M*V*C) expected, found {joints.shape}")
    V, C = joints.shape[-2:]
    skeleton = fields.get("skeleton") or source.skeleton
    if skeleton and skeleton.num_point != V:
        raise ValueError(f"{plural(V, 'joint')} in shape {joints.shape}, the skeleton has {skeleton.num_point}")
    if C < 2 or source.channel not in (None, C):
        raise ValueError(f"{plural(C, 'channel')} in shape {joints.shape}, {source.channel or 'at least 2'} expected")
    joints = joints if joints.ndim == 4 else joints[:, None]
    if C > _MAX_CHANNEL and source.channel is None:
        raise ValueError(f"(T, V, C) expected, found {joints.shape}: is it (C, T, V)? if not, give --channel {C}")
    T, M = joints.shape[:2]
    if max(T, 2 if T > 1 else 10) < M:
        told = f"{plural(T, 'frame')} of {M} persons"
        raise ValueError(f"(T, M, V, C) expected, found {joints.shape}: {told}; is it (C, T, V, M) or (M, T, V, C)?")
    return Recording.of(name, joints, fields.pop("channels", None) or guess_channels(joints), **fields)


def read_npy(source: Source) -> Iterator[Recording]:
    """An array of one recording."""
    check_size(source.path, source.max_mb)
    try:
        array = np.lib.format.open_memmap(source.path, mode="r")  # a map takes no pickles
    except OSError:
        raise
    except Exception as error:  # a damaged or forged file can raise anything
        raise ValueError("it is not a complete .npy array of numbers") from error
    yield recording_of(source.name, _numbers(array), source)


def read_npz(source: Source) -> Iterator[Recording]:
    """Arrays of many recordings with their classes, or of one."""
    check_size(source.path, _MAX_NPZ_MB)
    arrays = _Arrays(source)
    if not arrays.keys() & {"x_train", "x_test"}:
        yield one_of(arrays, source)
        return
    for part, split in (("train", "train"), ("val", "val"), ("test", "val")):
        if f"x_{part}" in arrays:
            yield from _many_of(arrays, part, split, source)


def one_of(arrays: Mapping[str, Any], source: Source, **fields: Any) -> Recording:
    only = next((name for name in arrays if len(arrays) == 1 and arrays[name].ndim > 1), None)
    key = next((key for key in JOINTS if key in arrays), only)
    if key is None:
        raise ValueError(f"it holds {few_of(sorted(arrays), 3)}: neither x_train and y_train, nor keypoints")
    if "skeleton" not in fields and (named := skeleton_named(arrays)):
        fields["skeleton"] = named
    joints, channels = _unrolled(_numbers(arrays[key]), source), fields.pop("channels", None)
    scores = next((_numbers(arrays[key]) for key in SCORES if key in arrays), None)
    if scores is not None and joints.shape[-1] in (2, 3) and (channels is None or channels.score is None):
        if scores.size != joints[..., 0].size or len(scores) != len(joints):
            raise ValueError(f"scores of shape {scores.shape} do not fit joints of shape {joints.shape}")
        channels = Channels((*"xyz"[: joints.shape[-1]], "score"), guess_channels(joints).unit)
        joints = np.concatenate([joints, scores.reshape(*joints.shape[:-1], 1)], axis=-1)
    return recording_of(source.name, joints, source, channels=channels, **fields)


def _unrolled(joints: np.ndarray, source: Source) -> np.ndarray:
    """Rows (T, M*V*C) as (T, M, V, C), anything else as it is; errors as `person_shape`."""
    is_rows = joints.ndim == 2 and joints.size
    return joints.reshape(len(joints), *person_shape(joints, source)) if is_rows else joints


def _many_of(arrays: _Arrays, part: str, split: str, source: Source) -> Iterator[Recording]:
    x, y = _numbers(arrays[f"x_{part}"], np.float32), arrays.get(f"y_{part}")
    if x.ndim != 3:
        raise ValueError(f"x_{part} has shape {x.shape}, (N, T, M*V*C) is expected")
    y = np.asarray(range(0)) if y is None else _numbers(y)
    if len(y) != len(x) or y.ndim not in (1, 2):
        raise ValueError(f"y_{part} has shape {y.shape}, classes of {plural(len(x), 'recording')} are expected")
    if not (y == np.round(y)).all():
        raise ValueError(f"y_{part} holds {y[y != np.round(y)][0]:g}, which is no class")
    labels = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.astype(np.int64).reshape(-1)
    shape = _npz_shape(x.shape[2], source)
    for number, (numbers, label) in enumerate(zip(x, labels.tolist(), strict=True)):
        length = len(numbers) - int(numbers.any(axis=1)[::-1].argmax())
        joints = numbers[:length].reshape(length, *shape)
        joints = joints if numbers.any() else numbers[:1].reshape(1, *shape)
        yield Recording.of(f"{part}_{number}", joints, guess_channels(joints), label=label, split=split)


def _npz_shape(width: int, source: Source) -> tuple[int, int, int]:
    """(M, V, C) of `width` numbers a frame, person by person, joint by joint."""
    V = source.skeleton.num_point if source.skeleton else 25
    each, rest = divmod(width, V)
    C = source.channel or (3 if each % 3 == 0 else each)
    if rest or C < 2 or each % C:
        raise ValueError(f"{width} numbers a frame are not channels of {plural(V, 'joint')} each; give --channel")
    return each // C, V, C


class _Arrays(dict[str, np.ndarray]):
    """The arrays of an .npz file, whose sizes are checked before memory is taken."""

    def __init__(self, source: Source) -> None:
        try:
            with zipfile.ZipFile(source.path) as file:
                size = sum(member.file_size for member in file.infolist())
            if size > _MAX_NPZ_MB << 20:
                raise ValueError("too large")
            with np.load(source.path, allow_pickle=False) as content:
                super().__init__(content)
        except Exception as error:  # a damaged or forged file can raise anything, OSError too
            raise ValueError(f"it is no complete .npz file of numbers of at most {_MAX_NPZ_MB} MB") from error


def _numbers(array: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise ValueError(f"it is an array of {array.dtype}, not of numbers")
    return np.array(array, dtype)
