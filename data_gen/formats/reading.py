"""One call for every file: `read(path)` gives its recordings, and tells the format by what the file holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from data_gen.formats import pose_json
from data_gen.formats.arrays import read_npy, read_npz
from data_gen.formats.counted_text import is_counted, read_counted
from data_gen.formats.files import Source
from data_gen.formats.kinetics_json import is_kinetics, read_kinetics
from data_gen.formats.matlab import is_matlab, read_matlab
from data_gen.formats.motion_capture import is_bvh, is_c3d, read_bvh, read_c3d
from data_gen.formats.nested import read_nested
from data_gen.formats.numbered_lines import is_numbered_lines, read_numbered_lines
from data_gen.formats.nw_ucla import is_nw_ucla, read_nw_ucla
from data_gen.formats.pose_json import read_poses
from data_gen.formats.pyskl import read_pyskl
from data_gen.formats.recording import Recording
from data_gen.formats.sbu import is_sbu, read_sbu
from data_gen.formats.table import is_records, is_table, read_records, read_table
from data_gen.formats.yolo_text import is_yolo_text, read_yolo_folder
from graph.common.words import did_you_mean
from graph.tools import Skeleton


class Format(NamedTuple):
    """How a format is recognised, and read."""

    recognise: Callable[[Source], bool]
    read: Callable[[Source], Iterator[Recording]]
    many: bool = False  # whether a file holds many recordings


_PICKLE = (b"\x80", b"(d", b"(l", b"}q\0", b"]q\0")  # protocols from 2, 0 and 1

FORMATS = {  # the first that recognises a file reads it
    "npy": Format(lambda source: source.head.startswith(b"\x93NUMPY"), read_npy),
    "npz": Format(lambda source: source.head.startswith(b"PK"), read_npz, many=True),
    "pyskl": Format(lambda source: source.head.startswith(_PICKLE), read_pyskl, many=True),
    "c3d": Format(is_c3d, read_c3d),
    "bvh": Format(is_bvh, read_bvh),
    "mat": Format(is_matlab, read_matlab),
    "records": Format(is_records, read_records),
    "openpose": Format(pose_json.is_openpose, read_poses),
    "yolo-txt": Format(is_yolo_text, read_yolo_folder),
    "kinetics": Format(is_kinetics, read_kinetics),
    "nw-ucla": Format(is_nw_ucla, read_nw_ucla),
    "mmskeleton": Format(pose_json.is_mmskeleton, read_poses),
    "mmpose": Format(pose_json.is_mmpose, read_poses),
    "alphapose": Format(pose_json.is_alphapose, read_poses),
    "yolo": Format(pose_json.is_yolo, read_poses),
    "mediapipe": Format(pose_json.is_mediapipe, read_poses),
    "json": Format(lambda source: source.is_json, read_nested),
    "ntu": Format(is_counted, read_counted),
    "sbu": Format(is_sbu, read_sbu),
    "florence": Format(is_numbered_lines, read_numbered_lines, many=True),
    "csv": Format(is_table, read_table),
}


def read(
    path: str | Path,
    format: str = "auto",
    *,
    skeleton: Skeleton | None = None,
    channel: int | None = None,
    problems: list[str] | None = None,
) -> Iterator[Recording]:
    """The recordings of a file, or of a folder with a file a frame.

    Args:
        path: the file or folder.
        format: a key of `FORMATS`; `auto` tells it by what the file holds, never by its name alone.
        skeleton: the joints, for formats that do not name them.
        channel: the number of channels, where a line of numbers does not tell it.
        problems: gets what is wrong with single recordings of a file that holds many; None: that is an error.

    Raises:
        ValueError: an unknown format, or the file has another form; the message is the rest of a sentence that names
            the file.
        OSError: the file cannot be read.
    """
    source = Source(Path(path), skeleton, channel, problems=problems)
    name = format if format != "auto" else format_of(source)
    if name not in FORMATS:
        known = ", ".join(("auto", *FORMATS))
        raise ValueError(f"format {format!r} is none of {known}{did_you_mean(format, FORMATS)}")
    try:
        for recording in FORMATS[name].read(source):
            yield replace(recording, format=name)
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged or forged file can raise anything
        raise ValueError(f"it is not of the format {name} ({type(error).__name__})") from error


def is_folder_of_frames(path: Path) -> bool:
    """Whether the files of a folder are the frames of one recording."""
    return any(FORMATS[name].recognise(Source(path)) for name in ("openpose", "yolo-txt", "mmpose"))


def format_of(source: Source) -> str:
    """The format of a file or folder.

    Raises:
        ValueError: none recognises it, or it is damaged.
        OSError: the file cannot be read.
    """
    if not source.path.exists():
        raise FileNotFoundError(2, "No such file or directory", str(source.path))
    try:
        form = next((name for name, known in FORMATS.items() if known.recognise(source)), None)
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged or forged file can raise anything
        raise ValueError(f"its format cannot be told ({type(error).__name__})") from error
    if form is None and source.path.is_file() and not source.head:
        raise ValueError("the file is empty")
    if form is None:
        what = "its files are frames of no known format" if source.path.is_dir() else "it is of no known format"
        raise ValueError(f"{what} ({', '.join(FORMATS)})")
    return form
