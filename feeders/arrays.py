"""The prepared data set: how its files lie on disk, how they are read and checked, and what their zeros mean.

A folder holds, for each part (`train`, `val`):
- `{part}_data_joint.npy` (N, C, T, V, M) floats; bones and merged arrays beside it have other names;
- `{part}_label.pkl`, a pickle of (sample names, labels), in the order of the array's N samples;
- `{part}_length.npy` (N,) whole numbers: how many frames were recorded, before any repetition that fills the rest;
- `{part}_missing.npy` (N, bytes), a bit for each frame, joint and person (`pack_missing`): which joints are missing of
  a person who is present; the file exists only where something is missing;
and, for both parts:
- `prepared.yaml`: what a channel is, the frame rate, and how the arrays were made;
- `classes.txt`, where the classes have names: one name a line, in the order of the labels;
- `skeleton.yaml`, where the skeleton is a user's own (`graph.custom`).

All but the first two may be missing, as they are beside published arrays.

Axis legend: N samples, C channels, T frames, V joints, M persons. Samples are padded with zeros: a person whose
numbers in a frame are all zero is absent from this frame. A joint that is missing is zero, too; only its bit tells it
from a joint at the origin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from feeders.untrusted import load_pickle
from graph import skeleton_of
from graph.channels import Channels
from graph.common.bounded_yaml import BoundedLoader, YamlError, read_text, yaml_errors
from graph.common.words import plural
from graph.custom import load_skeleton
from graph.tools import Skeleton

PARTS = ("train", "val")
JOINT, BONE, JOINT_BONES = "data_joint.npy", "data_bone.npy", "data_joint_bones.npy"  # after `train_` or `val_`
_STREAMS = {BONE: "bone", JOINT_BONES: "joint+bone"}
LABEL, LENGTH, MISSING = "label.pkl", "length.npy", "missing.npy"
PREPARED = "prepared.yaml"
CLASSES = "classes.txt"
SKELETON = "skeleton.yaml"
_MAX_CLASSES_BYTES = 1 << 20  # 400 names have 0.01 MB


def beside(array: str | Path, name: str) -> Path:
    """The path of `{part}_{name}` beside the array `{part}_data*.npy`; `prepared.yaml` has no part.

    Where NTU's plain arrays (`{part}_data.npy`) differ from the preprocessed joints of the same folder, `plain_` stands
    before the name; they share their labels.
    """
    part, _, stream = Path(array).name.partition("_data")
    plain = "plain_" if stream == ".npy" and name in (LENGTH, MISSING, PREPARED) else ""
    return Path(array).with_name(f"{plain}{name}" if name == PREPARED else f"{part}_{plain}{name}")


def stream_in(path: str | Path) -> str:
    """What an array holds, by its name: `joint`, `bone` or `joint+bone`."""
    return next((stream for name, stream in _STREAMS.items() if str(path).endswith(f"_{name}")), "joint")


def load_array(path: str | Path, *, mmap: bool = True) -> np.ndarray:
    """The array (N, C, T, V, M) of a `.npy` file, mapped for reading or (`mmap=False`) read into memory.

    Raises:
        ValueError: the file holds anything else, or samples without any number.
        OSError: the file cannot be read.
    """
    array = _load(path, mmap=mmap)
    if not isinstance(array, np.ndarray) or array.ndim != 5 or array.dtype.kind != "f":
        raise ValueError(f"{path} {_what_it_is(array)}")
    if 0 in array.shape[1:]:
        raise ValueError(f"{path} has the shape {array.shape}: its samples are empty; make it again")
    return array


def _what_it_is(array: Any) -> str:
    """What a file holds that is no array (N, C, T, V, M) of floats, and how it becomes one."""
    if not isinstance(array, np.ndarray):
        with array:
            names = ", ".join(array.files)
        return (
            f"holds the arrays {names:.80}; data_gen/custom_gendata.py --data_path makes arrays (N, C, T, V, M) of it"
        )
    held = f"holds an array {array.shape} of {array.dtype}, where (N, C, T, V, M) of floats is expected"
    if array.ndim == 5 and array.dtype.kind in "iu":
        return f'{held}; save it again as x.astype("float32")'
    if array.ndim == 4 and array.shape[1] in (2, 3, 4) and array.shape[3] not in (2, 3, 4):
        return f"{held}: it looks like (N, C, T, V), without persons; save it again as x[..., None]"
    if array.ndim == 4 and array.shape[3] in (2, 3, 4):
        return f"{held}: it looks like (N, T, V, C); save it again as x.transpose(0, 3, 1, 2)[..., None]"
    return f"{held}; data_gen/custom_gendata.py makes arrays of recordings"


def read_chunks(path: str | Path, size: int = 64) -> Iterator[np.ndarray]:
    """The samples of an array in chunks of `size`; each is a copy, so that memory holds one chunk only."""
    for start in range(0, len(load_array(path)), size):
        yield np.array(load_array(path)[start : start + size])


def load_labels(path: str | Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Sample names and labels (N,) int64 of a label file, a pickle of (names, labels) that need not be trusted.

    Raises:
        ValueError: the file holds anything else.
        OSError: the file cannot be read.
    """
    content = load_pickle(path)
    try:
        if not isinstance(content, list | tuple) or len(content) != 2:
            raise ValueError("a pair of names and labels is expected")
        names = checked_names(content[0])
        return names, checked_labels(content[1], names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def labels_of(array: np.ndarray, path: str | Path, label_path: str | Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Sample names and labels (N,) of the array at `path`; errors as `load_labels`, or another number of samples."""
    names, labels = load_labels(label_path)
    if len(array) != len(labels):
        raise ValueError(
            f"{path} holds {plural(len(array), 'sample')}, {label_path} {plural(len(labels), 'label')}; "
            "make both again with the same command"
        )
    return names, labels


def checked_names(names: Any) -> tuple[str, ...]:
    """`names` as a tuple of text.

    Raises:
        ValueError: it is no list of text, it is empty, or a name occurs twice.
    """
    if not isinstance(names, list | tuple | np.ndarray) or not all(isinstance(name, str) for name in names):
        raise ValueError("sample names must be a list of text")
    names = tuple(map(str, names))  # numpy's text too
    if not names:
        raise ValueError("there are no samples")
    (name, count), *_ = Counter(names).most_common(1)
    if count > 1:
        raise ValueError(f"the sample {name!r} occurs {count} times ({len(names)} names, {len(set(names))} different)")
    return names


def checked_labels(labels: Any, names: Sequence[str]) -> np.ndarray:
    """`labels` as an array (N,) int64, one a name.

    Raises:
        ValueError: they are no whole numbers, or their number is another one.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iu" or array.shape != (len(names),):
        raise ValueError(f"labels must be {plural(len(names), 'whole number')}, one a sample name")
    return array.astype(np.int64)


def load_lengths(array: str | Path) -> NDArray[np.int64] | None:
    """How many frames of each sample of an array were recorded (N,), from `{part}_length.npy`; None without the file.

    Raises:
        ValueError: the file holds anything else, or belongs to another array.
    """
    path = beside(array, LENGTH)
    if not path.is_file():
        return None
    lengths, (N, _, T, *_) = _load_beside(path), load_array(array).shape
    if lengths.dtype.kind not in "iu" or lengths.shape != (N,) or not ((lengths >= 0) & (lengths <= T)).all():
        raise ValueError(
            f"{path} does not hold {plural(N, 'length')} from 0 to {T}, one for each sample of {array}; "
            "make both again with the same command"
        )
    return lengths.astype(np.int64)


@dataclass(frozen=True)
class Missing:
    """Which joints are missing in each sample of an array; the bits stay on disk. Copies to other processes map it."""

    array: str | Path
    rows: NDArray[np.uint8] = field(repr=False)  # (N, bytes)
    shape: tuple[int, int, int]  # T, V, M

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> NDArray[np.bool_]:
        """(T, V, M): True where a joint is missing of a person who is present."""
        bits = np.unpackbits(self.rows[index], count=int(np.prod(self.shape)))
        return bits.view(bool).reshape(self.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return load_missing, (self.array,)


def load_missing(array: str | Path) -> Missing | None:
    """Which joints of an array are missing, from `{part}_missing.npy`; None without the file: nothing is missing.

    Raises:
        ValueError: the file holds anything else, or belongs to another array.
    """
    path = beside(array, MISSING)
    if not path.is_file():
        return None
    rows, (N, _, *shape) = _load_beside(path), load_array(array).shape
    size = -(-int(np.prod(shape)) // 8)
    if rows.dtype != np.uint8 or rows.shape != (N, size):
        raise ValueError(
            f"{path} does not hold {plural(size, 'byte')} for each of the {plural(N, 'sample')} of {array}; "
            "make both again with the same command"
        )
    return Missing(array, rows, tuple(shape))


def pack_missing(missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The rows of `{part}_missing.npy` from (N, T, V, M) bool, True where a joint of a present person is missing."""
    return np.packbits(missing.reshape(len(missing), -1), axis=1)


def _load(path: str | Path, *, mmap: bool = True) -> Any:
    """What a `.npy` file holds, or `.npz`, as it is."""
    try:
        return np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # a damaged or forged file can raise anything
        raise ValueError(f"{path} is not a complete .npy array of numbers; make it again") from error


def _load_beside(path: Path) -> np.ndarray:
    array = _load(path)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} is not a .npy array of numbers; make it again")
    return array


@dataclass(frozen=True)
class Prepared:
    """The content of `prepared.yaml`."""

    channels: Channels
    frame_rate: float | None = None  # frames a second
    made: dict[str, Any] = field(default_factory=dict)  # by which script, with which options and version


def load_prepared(array: str | Path) -> Prepared | None:
    """What `prepared.yaml` beside an array says of it; None without the file.

    Raises:
        ValueError: the file does not describe an array, or one with another number of channels.
    """
    path = beside(array, PREPARED)
    if not path.exists():
        return None
    try:
        with yaml_errors():
            content = yaml.load(read_text(path), Loader=BoundedLoader)
        if not isinstance(content, dict) or "channels" not in content:
            raise ValueError("the key channels is missing; make the arrays again")
        channels, rate, made = Channels.of_mapping(content["channels"]), content.get("frame_rate"), content.get("made")
        if rate is not None and not (isinstance(rate, int | float) and 0 < rate < 1e6):
            raise ValueError(f"frame_rate: {rate!r} is no number of frames a second")
    except YamlError as error:
        raise ValueError(f"{path}{error.where}: {error.problem}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if Path(array).is_file() and (C := load_array(array).shape[1]) % len(channels.names):
        raise ValueError(
            f"{path} names {plural(len(channels.names), 'channel')}, {array} has {C}; make both again with the same "
            "command"
        )
    return Prepared(channels, rate, dict(made) if isinstance(made, dict) else {})


def load_classes(array: str | Path) -> tuple[str, ...] | None:
    """The names of the classes in `classes.txt` beside an array; None if it is missing or holds only numbers.

    Raises:
        ValueError: the file is not text in UTF-8.
    """
    path = Path(array).with_name(CLASSES) if Path(array).name else None
    if path is None or not path.is_file() or path.stat().st_size > _MAX_CLASSES_BYTES:
        return None
    try:
        names = tuple(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"))  # a name may hold U+2028
    except UnicodeError as error:
        raise ValueError(f"{path} is no text in UTF-8; make the arrays again, or remove it") from error
    return None if all(name.isdigit() for name in names) else names


def class_names_in(path: str | Path) -> tuple[str, ...]:
    """The names of classes in a text file that a user names, one a line; blank lines do not count.

    Raises:
        ValueError: there is no such file, or it holds no text.
    """
    try:
        names = tuple(line.strip() for line in Path(path).read_text(encoding="utf-8-sig").split("\n") if line.strip())
    except FileNotFoundError as error:
        raise ValueError(f"class_names: {path} does not exist; name a text file with a name a line") from error
    except (OSError, UnicodeError) as error:
        raise ValueError(f"class_names: {path} is no text file in UTF-8 with a name a line") from error
    if not names:
        raise ValueError(f"class_names: {path} holds no names; a line is a name")
    return names


def skeleton_of_array(array: str | Path, num_point: int) -> Skeleton:
    """The skeleton of an array: that of `skeleton.yaml` beside it, or else the known one with `num_point` joints.

    Raises:
        ValueError: no skeleton is known, or the one beside the array is wrong or has another number of joints.
    """
    path = Path(array).with_name(SKELETON)
    if not path.exists():
        return skeleton_of(num_point)
    skeleton = load_skeleton(path)
    if skeleton.num_point != num_point:
        raise ValueError(f"{path} has {skeleton.num_point} joints, {array} {num_point}; make them agree")
    return skeleton
