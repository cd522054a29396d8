"""Recordings as rows of an array: read, cut, persons followed, joints made those of a skeleton."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from data_gen.common.convert import Row, to_row
from data_gen.formats.labels import Told
from data_gen.formats.persons import follow
from data_gen.formats.reading import read
from data_gen.formats.recording import Recording, fitted
from graph.channels import Channels
from graph.common.words import plural
from graph.tools import Skeleton

Persons = Literal["auto", "file", "track"]
_PUBLISHED = ("ntu", "kinetics")  # formats whose published preparation keeps the file's order of persons


class Listed(NamedTuple):
    """What a line of labels names: a file, a folder or a recording in memory, whole or from one frame to another."""

    source: Path | Recording
    span: tuple[int, int] | None = None


class Facts(NamedTuple):
    """What is known of a recording without its numbers."""

    num_frame: int
    num_person: int
    num_missing: int  # joints of those kept that are missing of a person who is present
    channels: Channels
    frame_rate: float | None
    format: str
    changes: bool  # whether persons change places in the file
    is_tracked: bool  # whether they were given one place each
    outside: tuple[int, bool]  # `Recording.outside`
    notes: tuple[str, ...]


@lru_cache(1)  # the parts of a recording are read one after the other
def _read_one(path: Path, format: str, skeleton: Skeleton, channel: int | None) -> Recording:
    recordings = list(read(path, format, skeleton=skeleton, channel=channel))
    if len(recordings) != 1:
        raise ValueError(f"it holds {plural(len(recordings), 'recording')}; name this file as --data_path")
    return recordings[0]


def forget() -> None:
    """Forget the file that was read last; it may have changed since."""
    _read_one.cache_clear()


def load(listed: Listed, *, skeleton: Skeleton, format: str, channel: int | None) -> Recording:
    """The recording of a line of labels, with the joints of the skeleton.

    Raises:
        ValueError: the file has another form; the message is the rest of a sentence that names it.
        OSError: the file cannot be read.
    """
    recording = listed.source
    if not isinstance(recording, Recording):
        recording = _read_one(recording, format, skeleton, channel)
    recording = recording.between(*listed.span) if listed.span else recording
    return fitted(recording, skeleton)


def read_told(path: Path, **options: Any) -> Told:
    """The label and the split that a file holds; errors as `load`."""
    recording = _read_one(path, **options)
    return Told(recording.label, recording.split)


def in_places(recording: Recording, persons: Persons) -> tuple[Recording, bool, bool]:
    """The recording with its persons where `persons` says; whether they change places in the file, and were tracked."""
    followed, changes = follow(recording)
    tracked = recording.identity is not None and recording.format not in _PUBLISHED
    tracked = persons == "track" or (persons == "auto" and tracked)
    return followed if tracked else recording, changes, tracked


def row_of(recording: Recording, num_frame: int, num_person: int, *, persons: Persons = "auto") -> Row:
    """A recording as a row of `num_frame` frames and `num_person` persons.

    Raises:
        ValueError: no joint is left; the message is the rest of a sentence that names the recording.
    """
    recording, _, _ = in_places(recording, persons)
    return to_row(recording.joints, num_frame, num_person, recording.present)


def read_facts(
    listed: Listed, *, persons: Persons, max_frame: int | None, num_person: int | None, **options: Any
) -> Facts:
    """What is known of a recording, of which `max_frame` frames and `num_person` persons are kept (None: all).

    Raises:
        ValueError: the file has another form, or no joint is left; the message is the rest of a sentence that names it.
        OSError: the file cannot be read.
    """
    recording, changes, tracked = in_places(load(listed, **options), persons)
    T, M = recording.joints.shape[:2]
    kept = min(max_frame or T, T), min(num_person or M, M)
    missing = to_row(recording.joints, *kept, recording.present).missing
    return Facts(
        num_frame=T,
        num_person=M,
        num_missing=0 if missing is None else int(missing.sum()),
        channels=recording.channels,
        frame_rate=recording.frame_rate,
        format=recording.format,
        changes=changes,
        is_tracked=tracked,
        outside=recording.outside(),
        notes=recording.notes,
    )


def read_row(listed: Listed, *, persons: Persons, max_frame: int, num_person: int, **options: Any) -> Row:
    """A recording as a row; arguments and errors as `read_facts`."""
    return row_of(load(listed, **options), max_frame, num_person, persons=persons)
