"""What a user names, as recordings: files, folders, `Recording`s and arrays.

Axis legend: C channels, T frames, V joints, M persons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

import numpy as np

from data_gen.common.names import walk
from data_gen.formats.files import Source as File
from data_gen.formats.reading import format_of, read
from data_gen.formats.recording import Recording
from graph.channels import Channels
from graph.tools import Skeleton

Source = str | Path | Recording | np.ndarray


def check_paths(paths: Iterable[str | Path]) -> None:
    """Refuses paths that do not exist, all of them in one message."""
    if missing := [str(path) for path in paths if not Path(path).exists()]:
        verb = "does" if len(missing) == 1 else "do"
        raise ValueError(
            f"input: {' and '.join(missing)} {verb} not exist; --input takes files and folders of recordings"
        )


class Reader:
    """Reads sources one after the other, and gives recordings of the same name different names.

    Args:
        channels: those of arrays.
        skeleton: the joints of files that do not name theirs.
        skipped: gets what cannot be read, each with the reason.
    """

    def __init__(self, channels: Channels, skeleton: Skeleton | None, skipped: list[str]) -> None:
        self.channels = channels if channels.position else Channels(channels.names)
        self.skeleton, self.skipped = skeleton, skipped
        self._names: set[str] = set()

    def __call__(self, sources: Sequence[Source]) -> Iterator[Recording]:
        """The recordings of sources.

        Raises:
            ValueError: an array has another shape.
        """
        for source in sources:
            if isinstance(source, Recording):
                yield source
            elif isinstance(source, np.ndarray):
                yield self._array(source)
            else:
                yield from self._read(Path(source))

    def _array(self, joints: np.ndarray) -> Recording:
        names = self.channels.names
        if joints.ndim not in (3, 4) or joints.shape[-1] != len(names):
            raise ValueError(
                f"an array (T, M, V, C) or (T, V, C) with C {', '.join(names)} expected, found {joints.shape}"
            )
        return Recording.of(self._new_name("array"), joints if joints.ndim == 4 else joints[:, None], self.channels)

    def _read(self, path: Path) -> Iterator[Recording]:
        is_empty = True
        for name, file in files_in(path):
            is_empty = False
            try:
                for recording in _read_any(file, self.skeleton):
                    short = name if recording.name == file.name else recording.name
                    yield replace(recording, name=self._new_name(short, file.as_posix()))
            except OSError as error:
                self.skipped.append(f"{name}: cannot be read ({error.strerror})")
            except ValueError as error:
                self.skipped.append(f"{name}: {error}")
        if is_empty:
            self.skipped.append(f"{path}: the folder holds no file")

    def _new_name(self, name: str, *others: str) -> str:
        """The first of a recording's possible names that no recording before has, or the last one with a number."""
        numbered = (f"{[name, *others][-1]} ({number})" for number in count(2))
        new = next(each for each in chain([name, *others], numbered) if each not in self._names)
        self._names.add(new)
        return new


def _read_any(file: Path, skeleton: Skeleton | None) -> Iterator[Recording]:
    """The recordings of a file that has the joints of a skeleton, or names those that it has."""
    recordings = read(file, skeleton=skeleton)
    try:
        first = next(recordings, None)
    except ValueError:
        try:
            recordings = read(file)
            first = next(recordings, None)
        except ValueError:
            first = None
        if first is None or first.skeleton is None:
            raise
    if first is None:
        raise ValueError("it holds no recording")
    yield first
    yield from recordings


def files_in(path: Path) -> Iterator[tuple[str, Path]]:
    """The recordings at a path by name: a file, a folder with a file a frame, or all of these below a folder."""

    def is_recording(folder: Path) -> bool:
        try:
            return bool(format_of(File(folder)))
        except ValueError:
            return False

    if not path.is_dir() or is_recording(path):
        yield path.name, path
        return
    taken: list[Path] = []
    for folder in walk(path):
        if any(outer in folder.parents for outer in taken):
            continue
        if folder != path and is_recording(folder):
            taken.append(folder)
            yield folder.relative_to(path).as_posix(), folder
            continue
        for file in sorted(folder.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                yield file.relative_to(path).as_posix(), file
