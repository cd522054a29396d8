"""Arrays larger than memory: written row by row under a temporary name, published whole or not at all."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

if sys.platform != "win32":
    import fcntl

PARTS = ("train", "val")  # the files' names begin with these


class ArrayWriter:
    """A `.npy` file of float32 rows, written one after the other.

    Plain writes, not a memory map: a full disk is an error of theirs, where it would kill a process with a map.

    Args:
        path: where the file is written; locked until `close`, so that it is known to be nobody's once this
            process has died.
        capacity: the most rows that will come.
        row_shape: shape of one row.
    """

    def __init__(self, path: Path, capacity: int, row_shape: tuple[int, ...]) -> None:
        self._path, self._capacity, self._row_shape, self._num_row = path, capacity, row_shape, 0
        self._file = path.open("wb")
        with suppress(OSError):  # some network disks know no locks
            _lock(self._file)
        self._write_header(capacity)
        self._offset = self._file.tell()

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape so far."""
        return (self._num_row, *self._row_shape)

    def extend(self, rows: np.ndarray) -> None:
        """Append `rows` (n, *row_shape).

        Raises:
            OSError: the disk is full.
        """
        if self._num_row + len(rows) > self._capacity or rows.shape[1:] != self._row_shape:
            raise RuntimeError(f"at most {self._capacity} rows of {self._row_shape} were announced, {rows.shape} came")
        with _writing(self._path):
            self._file.write(np.ascontiguousarray(rows, "<f4").data)
        self._num_row += len(rows)

    def append(self, row: np.ndarray) -> None:
        """Append one row (*row_shape)."""
        self.extend(row[None])

    def finish(self) -> None:
        """Say in the header how many rows came, and see the file to the disk; errors as `extend`."""
        with _writing(self._path):
            self._file.seek(0)
            self._write_header(self._num_row)
            if self._file.tell() != self._offset:
                raise RuntimeError("the header outgrew its place")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file, as it is."""
        with suppress(OSError):  # what a full disk did not take is of no use any more
            self._file.close()

    def _write_header(self, num_row: int) -> None:
        header = {"descr": "<f4", "fortran_order": False, "shape": (num_row, *self._row_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


class Staging:
    """Output files that appear together: `with Staging() as staging:` collects them under temporary names.

    Leaving the block normally renames them all; leaving it by any exception deletes them, so that finished
    files of an earlier run stay as they were. What a killed run left is deleted by the next one.
    """

    def __init__(self) -> None:
        self._writers: dict[Path, ArrayWriter] = {}
        self._contents: dict[Path, Callable[[], bytes]] = {}

    def array(self, path: Path, capacity: int, row_shape: tuple[int, ...]) -> ArrayWriter:
        """A writer of the array that becomes `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        self._writers[path] = writer = ArrayWriter(_temporary(path), capacity, row_shape)
        return writer

    def labels(self, path: Path, names: Sequence[str], labels: Sequence[int]) -> None:
        """The pickle of `(names, labels)` that becomes `path`; both may still grow until the block ends."""
        self._contents[path] = lambda: pickle.dumps((names, labels), protocol=2)

    def text(self, path: Path, content: str) -> None:
        """The text file that becomes `path`."""
        self._contents[path] = content.encode

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            for writer in self._writers.values():
                writer.close()
            for path in (*self._writers, *self._contents):
                _temporary(path).unlink(missing_ok=True)  # those that were renamed are no longer there

    def _publish(self) -> None:
        for writer in self._writers.values():
            writer.finish()
        for path, content in self._contents.items():
            _sweep(path)
            with _writing(path):
                _temporary(path).write_bytes(content())
        for writer in self._writers.values():
            writer.close()  # Windows renames no open file
        for path in (*self._writers, *self._contents):
            os.replace(_temporary(path), path)


def _temporary(path: Path) -> Path:
    """Where this process writes `path` until it is complete."""
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")


def _sweep(path: Path) -> None:
    """Delete what killed runs left of `path`."""
    for left in path.parent.glob(f"{escape(path.name)}.*.tmp"):
        with suppress(OSError):  # a process that lives still writes it
            with left.open("r+b") as file:
                _lock(file)
            left.unlink()


def _lock(file: BinaryIO) -> None:
    """Mark a file as in use, until it is closed; an OSError where it is so already.

    Windows needs no mark: it deletes no open file.
    """
    if sys.platform != "win32":
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Name the folder and the remedy, where the system says no more than that there is no space."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{path.parent}: writing failed ({error.strerror}); make room there or choose another folder"
        ) from error


def require_space(folder: Path, num_bytes: int) -> None:
    """Check that the disk holds the outcome, before hours are spent on it.

    Raises:
        ValueError: the disk of `folder` has less than `num_bytes` free.
    """
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise ValueError(
            f"{folder}: {num_bytes / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; "
            "make room or choose another folder"
        )


def open_array(path: Path) -> np.ndarray:
    """Map a `.npy` array (N, C, T, V, M) for reading.

    Raises:
        ValueError: the file is none.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # a damaged or forged file can raise anything
        raise ValueError(f"{path}: no readable .npy array ({error}); build it again") from error
    if not isinstance(array, np.ndarray) or array.ndim != 5 or array.dtype.kind != "f":
        raise ValueError(f"{path}: an array of numbers (N, C, T, V, M) is expected")
    return array


def read_chunks(path: Path, size: int = 64) -> Iterator[np.ndarray]:
    """The array's rows in chunks of `size`; each is a copy, so that memory holds one chunk only."""
    for start in range(0, len(open_array(path)), size):
        yield np.array(open_array(path)[start : start + size])
