"""How one recording becomes a row of arrays that exist: by the script, and with the options, that made them.

`row_of(recording, made, ...)` calls what the scripts themselves call; `fitted_to` gives a recording the joints, the
channels and the unit that these arrays were made of, as far as that can be done. Axis legend: C channels, T frames,
V joints, M persons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from data_gen import kinetics_gendata, pyskl_gendata
from data_gen.common.convert import Row, to_row
from data_gen.formats import rows
from data_gen.formats.recording import Recording, fitted
from data_gen.ntu import convert as ntu
from data_gen.ntu.steps import plain, preprocessed
from graph.channels import COORDINATES, SCORES, Channels, Unit
from graph.mapping import in_metres
from graph.tools import Skeleton

PICTURE = Channels(("x", "y", "score"), "normalised", (1, 1))
PUBLISHED = {  # what arrays hold that do not say how they were made: those of the published code, by their joints
    (25, 3): {"script": "preprocess.py", "options": {}},
    (18, 3): {"script": "kinetics_gendata.py", "options": {}},
}
SIZED = 1000  # frames whose bodies are measured
AS_RECORDED = {"script": "custom_gendata.py", "options": {}}


class Script(NamedTuple):
    """What a script makes of a recording."""

    row: Callable[..., Row]  # (recording, num_frame, num_person, options) -> the row
    reads: Channels | None = None  # the channels that it takes; None: those of its arrays


def _ntu(steps: ntu.Steps, recording: Recording, T: int, M: int, options: Mapping[str, Any]) -> Row:
    return ntu.row_of(recording, steps=steps, persons=options.get("persons", "file"))


_PREPROCESSED = Script(partial(_ntu, preprocessed), ntu.CHANNELS)


def _placed(recording: Recording, script_format: str) -> Recording:
    """A recording of another format than the script's, with its persons in one place each."""
    return recording if recording.format == script_format else rows.in_places(recording, "auto")[0]


def _as_recorded(script_format: str) -> Script:
    def row(recording: Recording, T: int, M: int, _: Mapping[str, Any]) -> Row:
        placed = _placed(recording, script_format)
        return to_row(placed.joints, T, M, placed.present)

    return Script(row)


SCRIPTS = {
    "preprocess.py": _PREPROCESSED,
    "demo_gendata.py": _PREPROCESSED,
    "ntu_gendata.py": Script(partial(_ntu, plain), ntu.CHANNELS),
    "custom_gendata.py": Script(
        lambda recording, T, M, options: rows.row_of(recording, T, M, persons=options.get("persons", "auto"))
    ),
    "kinetics_gendata.py": Script(lambda recording, *_: kinetics_gendata.row_of(recording), PICTURE),
    "pyskl_gendata.py": Script(
        lambda recording, T, M, _: pyskl_gendata.to_sample(_placed(recording, "pyskl"), max_frame=T, num_person=M)
    ),
    "sbu_gendata.py": _as_recorded("sbu"),
    "ucla_gendata.py": _as_recorded("nw-ucla"),
}


def script_of(made: Mapping[str, Any]) -> Script:
    """The script that `made` of `prepared.yaml` names.

    Raises:
        ValueError: this version knows no such script.
    """
    name = made.get("script")
    if name not in SCRIPTS:
        raise ValueError(f"the data were made by {name!r}, which is none of {', '.join(SCRIPTS)}")
    return SCRIPTS[name]


def row_of(recording: Recording, made: Mapping[str, Any], num_frame: int, num_person: int) -> Row:
    """The row (C, T, V, M) of a recording, with its numbers as the script writes them into an array.

    Args:
        recording: with the joints and channels that the script takes (`fitted_to`).
        made: `script` and `options`, as `prepared.yaml` has them.
        num_frame: T of the row, where the script takes any.
        num_person: M of the row, where the script takes any.

    Raises:
        ValueError: nobody is in it; the message is the rest of a sentence that names the recording.
    """
    return script_of(made).row(recording, num_frame, num_person, made.get("options") or {})


def fitted_to(
    recording: Recording, skeleton: Skeleton | None, channels: Channels, made: Mapping[str, Any]
) -> Recording:
    """The recording with the joints of `skeleton`, and the channels that arrays with these `channels` are made of.

    What was changed is in its notes.

    Raises:
        ValueError: that cannot be done; the message is the rest of a sentence that names the recording.
    """
    if skeleton is not None:
        recording = fitted(recording, skeleton)
    wanted = script_of(made).reads or channels
    if made.get("script") == "pyskl_gendata.py" and channels.unit == "normalised":
        return _in_picture(_with_names(recording, channels), of_pyskl=True)
    if made.get("script") == "pyskl_gendata.py":  # which divides by a picture's size where there is one
        recording = replace(recording, channels=replace(recording.channels, picture=None))
    return _in_unit(_with_names(recording, wanted), wanted)


def _with_names(recording: Recording, wanted: Channels) -> Recording:
    """The recording with the channels that `wanted` names, in its order."""
    names, notes = recording.channels.names, list(recording.notes)
    if names == wanted.names:
        return recording
    lacking = [name for name in wanted.names if name in COORDINATES and name not in names]
    further = [name for name in names if name in COORDINATES and name not in wanted.names]
    if lacking or further:
        raise ValueError(f"its channels are {', '.join(names)}, the model takes {', '.join(wanted.names)}")
    columns = []
    for name in wanted.names:
        if name in names:
            columns.append(recording.joints[..., names.index(name)])
        elif name in SCORES and recording.channels.score is not None:
            columns.append(recording.joints[..., recording.channels.score])
        elif name in SCORES:
            columns.append(recording.present.astype(np.float32))
            notes.append(f"it has no {name}; each joint that is there counts as sure")
        else:
            raise ValueError(f"it has no channel {name!r}, which the model takes")
    joints = np.stack(columns, axis=-1)
    if lost := [name for name in names if name not in (*wanted.names, *SCORES)]:
        notes.append(f"its channels {', '.join(lost)} are not looked at")
    given = replace(recording.channels, names=wanted.names)
    return replace(recording, joints=joints, channels=given, notes=tuple(notes))


def _in_unit(recording: Recording, wanted: Channels) -> Recording:
    """The recording in the unit of `wanted`; of an unknown unit as it is, but for metres and millimetres."""
    if wanted.unit in ("metres", "millimetres"):
        return _in_space(recording, wanted.unit)
    if "unknown" in (wanted.unit, recording.channels.unit):
        return recording
    if recording.channels.unit == wanted.unit:
        a, b = recording.channels.picture, wanted.picture
        if a and b and a != b:
            note = f"its picture has {a[0]} x {a[1]} pixels, those that the model learnt from {b[0]} x {b[1]}"
            return replace(recording, notes=(*recording.notes, note))
        return recording
    if wanted.unit == "normalised" and recording.channels.unit == "pixels":
        return _in_picture(recording)
    raise ValueError(f"its coordinates are {_unit(recording.channels)}, the model takes {_unit(wanted)}")


def _in_space(recording: Recording, unit: Unit) -> Recording:
    """The recording in metres or in millimetres; where it tells no unit, the size of bodies in space does."""
    joints, channels, notes = recording.joints, recording.channels, recording.notes
    if channels.unit in ("pixels", "normalised"):
        raise ValueError(f"its coordinates are {_unit(channels)}, the model takes {unit}")
    some = slice(None, None, max(len(joints) // SIZED, 1))  # a body keeps its size
    by_size = in_metres(joints[some], recording.present[some], channels)[1] is not channels
    in_millimetres = channels.unit == "millimetres" or by_size
    is_told = channels.unit != "unknown" or len(channels.position) == 3
    if in_millimetres and unit == "metres":
        joints = joints.copy()
        joints[..., channels.position] /= 1000
        notes = (*notes, "its coordinates were taken as millimetres")
    if unit == "millimetres" and is_told and not in_millimetres:
        joints = joints.copy()
        joints[..., channels.position] *= 1000
        notes = (*notes, "its metres became mm")
    return replace(recording, joints=joints, channels=replace(channels, unit=unit), notes=notes)


def _in_picture(recording: Recording, *, of_pyskl: bool = False) -> Recording:
    """The recording in shares of its picture; with `of_pyskl` in pixels, with the size by which that script divides."""
    channels = recording.channels
    if channels.unit == "normalised" and of_pyskl:
        return replace(recording, channels=replace(channels, unit="pixels", picture=(1, 1)))
    if channels.unit != "pixels" or channels.picture is None:
        unit = "pixels of a picture of unknown size" if channels.unit == "pixels" else _unit(channels)
        raise ValueError(f"its coordinates are {unit}, the model takes shares of a picture")
    if of_pyskl:
        return recording
    joints = recording.joints.copy()
    for name, side in zip(("x", "y"), channels.picture, strict=True):
        joints[..., channels.names.index(name)] /= side
    note = "its pixels became shares of the picture"
    shares = Channels(channels.names, "normalised", (1, 1))
    return replace(recording, joints=joints, channels=shares, notes=(*recording.notes, note))


def _unit(channels: Channels) -> str:
    return "shares of a picture" if channels.unit == "normalised" else f"in {channels.unit}"
