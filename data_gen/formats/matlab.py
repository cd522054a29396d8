"""Reader of MATLAB's `.mat` files with one array of joints, as UTD-MHAD has them (`d_skel`: 20 joints, x y z, frames).

The axes may be in another order: that of the joints has as many entries as the skeleton, that of the coordinates three.
Files are read by scipy, which the extra `formats` of setup.py installs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.formats.arrays import recording_of
from data_gen.formats.files import MAX_NUMBERS, Source, check_size, load
from data_gen.formats.recording import Recording
from graph.common.words import few_of, plural

HEADS = (b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file")
_NUMBERS = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def is_matlab(source: Source) -> bool:
    return source.head.startswith(HEADS)


def read_matlab(source: Source) -> Iterator[Recording]:
    """The recording of a file.

    Raises:
        ValueError: there is no skeleton, or the file holds no array, or several, of its joints.
    """
    io = load("scipy.io")
    check_size(source.path, source.max_mb)
    if source.head.startswith(HEADS[1]):
        raise ValueError("it is of MATLAB 7.3; save it with the option -v7")
    if source.skeleton is None:
        raise ValueError("only a skeleton tells which axis of its arrays is that of the joints")
    contents = _sound(io.whosmat, source.path)
    shapes = {name: shape for name, shape, kind in contents if kind in _NUMBERS and len(shape) == 3}
    fitting = {name: order for name, shape in shapes.items() if (order := _order(shape, source))}
    if len(fitting) != 1:
        held = few_of([f"{name} {shape}" for name, shape in shapes.items()] or ["no array of three axes"], 3)
        of = plural(source.skeleton.num_point, "joint")
        raise ValueError(f"one array ({of}, {source.channel or 3} coordinates, frames) expected, found {held}")
    ((name, order),) = fitting.items()
    if math.prod(shapes[name]) > MAX_NUMBERS:
        raise ValueError(f"{name} {shapes[name]} is too large for one recording")
    joints = np.asarray(_sound(io.loadmat, source.path, variable_names=[name])[name])
    yield recording_of(source.name, joints.transpose(order).astype(np.float64), source)


def _sound(function: Callable[..., Any], path: Path, **options: Any) -> Any:
    """What scipy reads of a file."""
    try:
        return function(path, **options)
    except Exception as error:  # a damaged or forged file can raise anything; scipy's OSError has no number
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueError("it is no complete .mat file") from error


def _order(shape: tuple[int, ...], source: Source) -> tuple[int, ...] | None:
    """The axes of frames, joints and coordinates, UTD-MHAD's order first; None: they are not these."""
    V, C = source.skeleton.num_point if source.skeleton else 0, source.channel or 3
    orders = sorted(permutations(range(3)), key=lambda order: order != (2, 0, 1))
    return next((order for order in orders if (shape[order[1]], shape[order[2]]) == (V, C)), None)
