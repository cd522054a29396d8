"""Arrays made of joint arrays, one beside each: found, written in chunks, reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_gen.common.command_line import Parser, Report
from data_gen.common.storage import PARTS, Staging, require_space

JOINT, BONE, JOINT_BONES = "data_joint.npy", "data_bone.npy", "data_joint_bones.npy"


class Rows(NamedTuple):
    """An array to come: its shape, and its rows in chunks (n, ...)."""

    shape: tuple[int, ...]
    chunks: Iterator[np.ndarray]


def derive(data_folder: Path, name: str, rows: Callable[[Path], Rows], *, strict: bool = False) -> Report:
    """Write `{part}_{name}` beside every `{part}_data_joint.npy` in `data_folder` and its subfolders.

    Args:
        data_folder: the folder that joints were written to.
        name: the new files' name after `train_` or `val_`.
        rows: from the path of joints to the new array; a ValueError of its skips the file.
        strict: stop at the first file that cannot be used, instead of skipping it.

    Raises:
        FileNotFoundError: there are no joints.
        ValueError: none of the files can be used, or no space for what is made of them.
        OSError: the disk is full all the same.
    """
    report, planned = Report(), dict[Path, Rows]()
    for source in _joint_files(data_folder):
        try:
            planned[beside(source, name)] = rows(source)
        except ValueError as error:
            report.skip(str(error), strict=strict)
    if not planned:
        raise ValueError(report.skipped[0])
    replaced = [target.stat().st_size if target.exists() else 0 for target in planned]
    # one after the other takes the place of an earlier one, so that no two of those are ever there twice
    needed = sum(4 * math.prod(shape) for shape, _ in planned.values()) - sum(replaced) + max(replaced)
    require_space(data_folder, needed)
    for target, (shape, chunks) in planned.items():
        with Staging() as staging, tqdm(desc=str(target), total=shape[0], disable=None) as bar:
            writer = staging.array(target, shape[0], shape[1:])
            for chunk in chunks:
                writer.extend(chunk)
                bar.update(len(chunk))
        report.written[target] = shape
    return report


def beside(joints: Path, name: str) -> Path:
    """The path of `{part}_{name}` beside `{part}_data_joint.npy`."""
    return joints.with_name(joints.name.removesuffix(JOINT) + name)


def outdated(joints: Path) -> list[str]:
    """A note for each array that was derived from the joints that have just been replaced."""
    if not joints.name.endswith(JOINT):
        return []
    stale = [path for name in (BONE, JOINT_BONES) if (path := beside(joints, name)).exists()]
    return [f"{path} is of the earlier joints: build it again" for path in stale]


def _joint_files(data_folder: Path) -> list[Path]:
    """The joint arrays in a folder and its subfolders, ordered by path."""
    names = [f"{part}_{JOINT}" for part in PARTS]
    found = [path for name in names for pattern in (name, f"*/{name}") for path in data_folder.glob(pattern)]
    if not found:
        raise FileNotFoundError(
            f"{data_folder}: no {' or '.join(names)} there or in its subfolders; "
            "write them first (NTU RGB+D: data_gen/preprocess.py), or name their folder with --data_folder"
        )
    return sorted(found)


def derive_parser(description: str | None) -> Parser:
    """The command line of the scripts that derive."""
    parser = Parser(description=description)
    parser.option("data_folder", type=Path, default=Path("data/ntu"), help="folder of the joints")
    parser.strict()
    return parser
