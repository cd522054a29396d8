"""Arrays larger than memory: written row by row under a temporary name, published whole or not at all."""

from __future__ import annotations

import math
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

PARTS = ("train", "val")  # the files' names begin with these
_WINDOW_BYTES = 16 << 20  # how much of a mapped file may lie in this process's memory


class ArrayWriter:
    """A `.npy` file of float32 rows on disk; rows are appended through a memory map.

    Args:
        path: where the file is written.
        capacity: the most rows that will come; `finish` cuts the file to those that came.
        row_shape: shape of one row.
    """

    def __init__(self, path: Path, capacity: int, row_shape: tuple[int, ...]) -> None:
        self._path, self._row_shape, self._num_row, self._mapped_since = path, row_shape, 0, 0
        self._rows: np.memmap | None = np.lib.format.open_memmap(
            path, mode="w+", dtype=np.dtype("<f4"), shape=(capacity, *row_shape)
        )
        self._offset = self._rows.offset

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape so far."""
        return (self._num_row, *self._row_shape)

    def extend(self, rows: np.ndarray) -> None:
        """Append `rows` (n, *row_shape)."""
        assert self._rows is not None, "the file is finished"
        end = self._num_row + len(rows)
        assert end <= len(self._rows), "more rows came than were announced"
        assert rows.shape[1:] == self._row_shape, f"rows of {self._row_shape} expected, found {rows.shape[1:]}"
        self._rows[self._num_row : end] = rows
        self._num_row = end
        # every page written counts as this process's memory until it is unmapped, so map anew now and then
        if (end - self._mapped_since) * self._rows.strides[0] > _WINDOW_BYTES:
            self.close()
            self._rows = np.lib.format.open_memmap(self._path, mode="r+")
            self._mapped_since = end

    def append(self, row: np.ndarray) -> None:
        """Append one row (*row_shape)."""
        self.extend(row[None])

    def finish(self) -> None:
        """Cut the file to the rows that came, and see it to the disk."""
        self.close()
        header = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
        with self._path.open("r+b") as file:
            np.lib.format.write_array_header_1_0(file, header)
            assert file.tell() == self._offset, "the header outgrew its place"
            file.truncate(self._offset + 4 * math.prod(self.shape))
            os.fsync(file.fileno())

    def close(self) -> None:
        """Let go of the file, as it is."""
        self._rows = None


class Staging:
    """Output files that appear together: `with Staging() as staging:` collects them under temporary names.

    Leaving the block normally renames them all; leaving it by any exception deletes them, so that finished
    files of an earlier run stay as they were.
    """

    def __init__(self) -> None:
        self._paths: list[Path] = []
        self._writers: list[ArrayWriter] = []
        self._contents: dict[Path, Callable[[], bytes]] = {}

    def array(self, path: Path, capacity: int, row_shape: tuple[int, ...]) -> ArrayWriter:
        """A writer of the array that becomes `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._paths.append(path)
        writer = ArrayWriter(_temporary(path), capacity, row_shape)
        self._writers.append(writer)
        return writer

    def labels(self, path: Path, names: Sequence[str], labels: Sequence[int]) -> None:
        """The pickle of `(names, labels)` that becomes `path`; both may still grow until the block ends."""
        self._paths.append(path)
        self._contents[path] = lambda: pickle.dumps((names, labels), protocol=2)

    def text(self, path: Path, content: str) -> None:
        """The text file that becomes `path`."""
        self._paths.append(path)
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
            for writer in self._writers:
                writer.close()  # Windows deletes no file that is mapped
            for path in self._paths:
                _temporary(path).unlink(missing_ok=True)  # those that were renamed are no longer there

    def _publish(self) -> None:
        for writer in self._writers:
            writer.finish()
        for path, content in self._contents.items():
            _temporary(path).write_bytes(content())
        for path in self._paths:
            os.replace(_temporary(path), path)


def _temporary(path: Path) -> Path:
    """Where this process writes `path` until it is complete."""
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")


def require_space(folder: Path, num_bytes: int) -> None:
    """Check that the disk holds the outcome, for a process that writes to a map dies when the disk is full.

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
