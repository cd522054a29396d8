"""Arrays that are computed from joint arrays, such as bones: each is written beside its joints, in chunks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_gen.common.command_line import Report
from data_gen.common.storage import require_space, staged
from feeders.arrays import BONE, JOINT, JOINT_BONES, PARTS, beside


class Rows(NamedTuple):
    """An array to be written: its shape, and its rows in chunks (n, ...)."""

    shape: tuple[int, ...]
    chunks: Iterator[np.ndarray]


def derive(
    data_folder: str | Path = "data/ntu", *, name: str, rows: Callable[[Path], Rows], strict: bool = False
) -> Report:
    """Write `{part}_{name}` beside every `{part}_data_joint.npy` in `data_folder` and its subfolders.

    Args:
        data_folder: the folder of the joints.
        name: the new files' name after `train_` or `val_`.
        rows: from the path of joints to the new array; if it raises a ValueError, these joints are skipped.
        strict: stop at the first file that cannot be used, instead of skipping it.

    Raises:
        FileNotFoundError: the folder holds no joints.
        ValueError: none of the joints can be used, or the disk has no room.
        OSError: the disk became full while writing.
    """
    report, planned = Report(strict=strict), dict[Path, Rows]()
    for source in _joint_files(Path(data_folder)):
        try:
            planned[beside(source, name)] = rows(source)
        except ValueError as error:
            report.skip(str(error))
    if not planned:
        raise ValueError(report.skipped[0])
    # files are replaced one after the other, so at most one of the earlier ones takes room beside its replacement
    replaced = [target.stat().st_size if target.exists() else 0 for target in planned]
    needed = sum(4 * math.prod(shape) for shape, _ in planned.values()) - sum(replaced) + max(replaced)
    require_space(Path(data_folder), needed)
    for target, (shape, chunks) in planned.items():
        with staged() as staging, tqdm(desc=str(target), total=shape[0], disable=None) as bar:
            writer = staging.array(target, shape[0], shape[1:])
            for chunk in chunks:
                writer.extend(chunk)
                bar.update(len(chunk))
        report.written[target] = shape
    return report


def outdated(joints: Path) -> list[str]:
    """A note for each array that was derived from joints which have just been replaced."""
    if not joints.name.endswith(JOINT):
        return []
    paths = [path for name in (BONE, JOINT_BONES) if (path := beside(joints, name)).exists()]
    return [f"{path} is of the earlier joints: build it again" for path in paths]


def _joint_files(data_folder: Path) -> list[Path]:
    """The joint arrays in a folder and its subfolders, ordered by path."""
    names = [f"{part}_{JOINT}" for part in PARTS]
    paths = [path for name in names for pattern in (name, f"*/{name}") for path in data_folder.glob(pattern)]
    if not paths:
        raise FileNotFoundError(
            f"{data_folder}: no {' or '.join(names)} there or in its subfolders; "
            "write them first (NTU RGB+D: data_gen/preprocess.py), or name their folder with --data_folder"
        )
    return sorted(paths)
