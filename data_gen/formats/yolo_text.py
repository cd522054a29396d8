"""The text of YOLO-pose, `save_txt`: a folder with a file a frame, a line a person: class, box, joints, track."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data_gen.formats.files import Source, check_size, is_number
from data_gen.formats.people import Person, recording_of_people
from data_gen.formats.recording import Recording

_MAX_FRAME_MB = 4  # of a file; a person has less than a kilobyte


def is_yolo_text(source: Source) -> bool:
    """Whether the first text of a folder that is not empty is lines of class, box and joints, as fractions."""
    path = next((path for path in _frames_in(source) if path.stat().st_size), None)
    if path is None:
        return False
    with path.open("rb") as file:
        words = file.readline(1 << 16).split()
    if len(words) < 5 + 2 * 5 or not words[0].isdigit() or not all(map(is_number, words)):
        return False
    return all(-0.5 <= float(word) <= 1.5 for word in words[1:-1])  # the last may be the tracker's number


def read_yolo_folder(source: Source) -> Iterator[Recording]:
    """The recording of a folder of text: a file a frame, a line a person; frames without persons have no file."""
    frames: list[tuple[Any, list[Person]]] = []
    for path in _frames_in(source):
        check_size(path, _MAX_FRAME_MB)
        lines = filter(bytes.strip, path.read_bytes().splitlines())
        frames.append((path.stem, [_yolo_person(line, path, source) for line in lines]))
    yield recording_of_people(source, frames)


def _frames_in(source: Source) -> list[Path]:
    """The files of frames; `classes.txt`, which programs for labels write beside them, is none."""
    texts = (path for path in source.members if path.suffix.lower() == ".txt")
    return [path for path in texts if path.stem.lower() != "classes"]


def _yolo_person(line: bytes, path: Path, source: Source) -> Person:
    try:
        numbers = np.array(line.split(), np.float64)[5:]
    except ValueError as error:
        raise ValueError(f"{path.name}: a line is not class, box and joints as numbers") from error
    num_point = source.skeleton.num_point if source.skeleton else 17
    forms = [(V, C) for C in (3, 2) for V in (17, num_point)]
    V, C = next(((V, C) for V, C in forms if 0 <= len(numbers) - V * C <= 2), (num_point, 0))
    if not C:
        raise ValueError(f"{path.name}: {len(numbers)} numbers after class and box are not x y score of {V} joints")
    rest = numbers[V * C :]
    identity = int(rest[-1]) if len(rest) and rest[-1] == np.round(rest[-1]) and rest[-1] >= 1 else -1
    return Person(numbers[: V * C].reshape(V, C), ("x", "y", "score")[:C], identity, "normalised")
