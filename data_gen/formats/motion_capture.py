"""Motion capture: BVH and C3D, through `bvhio` and `ezc3d`, which the extra `formats` of setup.py installs.

A BVH file gives the positions of its joints in its own unit; a C3D file gives its markers in metres or millimetres,
and a marker whose residual is negative is missing. Where a skeleton is given, its joints are found by their names.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from data_gen.formats.files import Source, check_size, load, missing
from data_gen.formats.headings import joint_key, ordered
from data_gen.formats.recording import Recording
from graph.channels import Channels, Unit
from graph.tools import Skeleton

_UNITS: dict[str, Unit] = {"m": "metres", "mm": "millimetres"}


def is_bvh(source: Source) -> bool:
    return source.head.lstrip().startswith(b"HIERARCHY")


def is_c3d(source: Source) -> bool:
    return source.head[1:2] == b"\x50" and source.path.suffix.lower() == ".c3d"


def read_bvh(source: Source) -> Iterator[Recording]:
    """The positions of all joints of a hierarchy, without the ends of its last bones."""
    bvhio = load("bvhio")
    frames = re.search(r"^MOTION\s+Frames:\s*(\d{1,9})\s+Frame Time:[^\n]*\n", source.text, re.MULTILINE)
    if frames is None or sum(map(bool, map(str.strip, source.text[frames.end() :].split("\n")))) != int(frames[1]):
        raise ValueError("it is no complete BVH file: Frames is not the number of its lines of motion")
    try:
        content = bvhio.readAsBvh(str(source.path))
        root = bvhio.readAsHierarchy(str(source.path))
        layout = list(_walk(root, None))
        T = int(content.FrameCount)
        positions = missing((T, 1, len(layout), 3))
        for frame in range(T):
            root.loadPose(frame)
            positions[frame, 0] = [list(joint.PositionWorld) for joint, _ in layout]
    except Exception as error:  # a damaged file can raise anything
        raise ValueError("it is no complete BVH file") from error
    names = [str(joint.Name) for joint, _ in layout]
    place = {id(joint): number for number, (joint, _) in enumerate(layout)}
    parents = tuple(place[id(parent)] if parent is not None else 0 for _, parent in layout)
    rate = 1 / content.FrameTime if content.FrameTime > 0 else None
    yield _named(source, positions, names, parents, frame_rate=rate)


def _walk(joint: Any, parent: Any) -> Iterator[tuple[Any, Any]]:
    yield joint, parent
    for child in joint.Children:
        yield from _walk(child, joint)


def read_c3d(source: Source) -> Iterator[Recording]:
    """The positions of all markers."""
    check_size(source.path, source.max_mb)
    ezc3d = load("ezc3d")
    try:
        content = ezc3d.c3d(str(source.path))
        points, residuals = content["data"]["points"], content["data"]["meta_points"]["residuals"]
        parameters = content["parameters"]["POINT"]
        labels = (parameters[key]["value"] for key in ("LABELS", "LABELS2") if key in parameters)  # 255 in the first
        names = [str(name) for name in chain.from_iterable(labels)][: points.shape[1]]
        units = parameters["UNITS"]["value"] if "UNITS" in parameters else []
        rate = float(parameters["RATE"]["value"][0])
        with source.path.open("rb") as file:
            needed = _bytes_of_c3d(file.read(1 << 17))
    except Exception as error:  # a damaged file can raise anything
        raise ValueError("it is no complete C3D file") from error
    if source.path.stat().st_size < needed:  # ezc3d reads what is there
        raise ValueError(f"it is no complete C3D file: its {points.shape[2]} frames are fewer than its header counts")
    positions = points[:3].transpose(2, 1, 0).astype(np.float64)
    positions[residuals[0].T < 0] = np.nan
    unit = _UNITS.get(units[0].strip().lower() if units else "", "unknown")
    yield _named(source, positions[:, None], names, (0,) * len(names), unit=unit, frame_rate=rate or None)


def _bytes_of_c3d(begin: bytes) -> int:
    """How long a file is at least by its header, in the byte order of its processor (85: DEC, 86: MIPS).

    Source: the C3D file format user guide, sections on the header and on the parameters.
    """
    processor = begin[512 * (begin[0] - 1) + 3]
    points, analogs, first, last, _, scale, start = struct.unpack(
        f"{'>' if processor == 86 else '<'}5H4sH", begin[2:18]
    )
    in_reals = scale[{84: 3, 85: 1, 86: 0}[processor]] & 0x80  # the sign of the scale
    return 512 * (start - 1) + (last - first + 1) * (4 * points + analogs) * (4 if in_reals else 2)


def _named(
    source: Source,
    positions: np.ndarray,
    names: list[str],
    parents: tuple[int, ...],
    unit: Unit = "unknown",
    **fields: Any,
) -> Recording:
    """The recording of joints with names, in the order of the source's skeleton where it has one."""
    skeleton = source.skeleton
    short = [name.rpartition(":")[2] for name in names]  # mixamorig:Hips, Subject:LFHD
    names = short if len(set(short)) == len(short) else names
    if skeleton:
        place = {joint_key(name): number for number, name in enumerate(names)}
        if all(joint_key(name) in place for name in skeleton.joints):  # others, such as further markers, are left out
            positions = positions[:, :, [place[joint_key(name)] for name in skeleton.joints]]
        else:
            order, skeleton = ordered(names, skeleton)
            positions = positions[:, :, [names.index(name) for name in order]]
    if skeleton is None and len(set(names)) == positions.shape[2]:
        skeleton = Skeleton(source.path.stem, tuple(names), parents)
    return Recording.of(source.name, positions, Channels(unit=unit), skeleton=skeleton, **fields)
