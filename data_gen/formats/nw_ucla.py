"""Reader of NW-UCLA in the JSON form of CTR-GCN: {file_name, skeletons [T][20][3], label 1..10}, one person.

A joint at the origin, the camera's own place, is missing (12 joints of the data set are), as is one without numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data_gen.formats.files import Source
from data_gen.formats.recording import MAX_VALUE, Recording
from graph.channels import Channels
from graph.nw_ucla import SKELETON

NUM_CLASS = 10


def is_nw_ucla(source: Source) -> bool:
    content = source.json if source.is_json else None
    return isinstance(content, dict) and {"skeletons", "label"} <= content.keys()


def read_nw_ucla(source: Source) -> Iterator[Recording]:
    """A sequence and its label, from 0; errors: the file has another form."""
    content = source.json
    try:
        joints, label = np.asarray(content["skeletons"], dtype=np.float64), content["label"]
    except KeyError as error:
        raise ValueError(f"it has no {error}") from error
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError("not of the form {skeletons: [T][20][3], label: 1..10}") from error
    if joints.ndim != 3 or not len(joints) or joints.shape[1:] != (SKELETON.num_point, 3):
        raise ValueError(f"skeletons of shape [T][20][3] expected, found {list(joints.shape)}")
    if (np.abs(joints) >= MAX_VALUE).any():  # NaN compares false
        raise ValueError("a coordinate is no position in metres")
    if not np.nan_to_num(joints).astype(np.float32).any():
        raise ValueError("no body in any frame")
    joints[(joints == 0).all(axis=2)] = np.nan
    if type(label) is not int or not 1 <= label <= NUM_CLASS:
        raise ValueError(f"label {label!r} is none of 1 to {NUM_CLASS}")
    yield Recording.of(source.name, joints[:, None], Channels(unit="metres"), label=label - 1, skeleton=SKELETON)
