"""Arrays larger than memory: written row by row, and published together with their other files, or not at all."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from graph.common.files import atomic_write, delete


class ArrayWriter:
    """Writes a `.npy` file of rows, at most `capacity`, one after the other.

    It writes to a file, not to a memory map: a full disk raises an error here, but kills a process that writes to a
    map.
    """

    def __init__(self, path: Path, capacity: int, row_shape: tuple[int, ...], dtype: DTypeLike = "<f4") -> None:
        self._path, self._capacity, self._row_shape, self._num_row = path, capacity, row_shape, 0
        self._dtype = np.dtype(dtype)
        self._file = path.open("wb")
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
            self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self._num_row += len(rows)

    def finish(self) -> None:
        """Write the number of rows into the header, and wait until all is on the disk; errors as `extend`."""
        with _writing(self._path):
            self._file.seek(0)
            self._write_header(self._num_row)
            if self._file.tell() != self._offset:
                raise RuntimeError("the header outgrew its place")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file as it is."""
        with suppress(OSError):  # what a full disk did not take is deleted anyway
            self._file.close()

    def _write_header(self, num_row: int) -> None:
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (num_row, *self._row_shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


class Staging:
    """Output files that appear together; see `staged`."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._writers: list[ArrayWriter] = []
        self._contents: dict[Path, Callable[[], bytes]] = {}
        self._outdated: list[Path] = []

    def array(self, path: Path, capacity: int, row_shape: tuple[int, ...], dtype: DTypeLike = "<f4") -> ArrayWriter:
        """A writer of the array that becomes `path`."""
        self._writers.append(ArrayWriter(self._temporary(path), capacity, row_shape, dtype))
        return self._writers[-1]

    def labels(self, path: Path, names: Sequence[str], labels: Sequence[int]) -> None:
        """The pickle of `(names, labels)` that becomes `path`; both may still grow until the block ends."""
        self._contents[path] = lambda: pickle.dumps((names, labels), protocol=2)

    def npy(self, path: Path, array: np.ndarray) -> None:
        """The small array that becomes `path`."""
        content = BytesIO()
        np.save(content, array)
        self._contents[path] = content.getvalue

    def text(self, path: Path, content: str) -> None:
        """The text file that becomes `path`."""
        self._contents[path] = content.encode

    def remove(self, path: Path) -> None:
        """The earlier file at `path` is deleted when the new files are in place, because they have none."""
        self._outdated.append(path)

    def finish(self) -> None:
        """Complete all files under their temporary names."""
        for writer in self._writers:
            writer.finish()
        for path, content in self._contents.items():
            with _writing(path):
                self._temporary(path).write_bytes(content())

    def delete_outdated(self) -> None:
        """Delete the earlier files that the new ones do not replace."""
        for path in self._outdated:
            delete(path)

    def close(self) -> None:
        """Close all files as they are."""
        for writer in self._writers:
            writer.close()

    def _temporary(self, path: Path) -> Path:
        return self._stack.enter_context(atomic_write(path))


@contextmanager
def staged() -> Iterator[Staging]:
    """Output files that appear together: `with staged() as staging:` writes them under temporary names.

    When the block ends, all are completed, then all are renamed, then the files named to `remove` are deleted. If it
    raises, all temporary files are deleted, and finished files of an earlier run stay.
    """
    with ExitStack() as stack:
        staging = Staging(stack)
        try:
            yield staging
            staging.finish()
        finally:
            staging.close()
    staging.delete_outdated()  # not before: if a renaming fails, an earlier array still needs its mask


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Adds the folder and the remedy to errors of the system, which say no more than that there is no space."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{path.parent}: writing failed ({error.strerror}); make room there or choose another folder"
        ) from error


def require_space(folder: Path, num_bytes: int) -> None:
    """Check that the disk has room for the output, before hours are spent on it.

    Raises:
        ValueError: the disk of `folder` has less than `num_bytes` free, or the folder cannot be made because of a file.
    """
    place = next(place for place in (folder, *folder.parents) if place.exists())
    if not place.is_dir():
        raise ValueError(f"{place} is a file, no folder for arrays")
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise ValueError(
            f"{folder}: {num_bytes / 1e9:.3g} GB are needed and {free / 1e9:.3g} GB are free; "
            "make room or choose another folder"
        )
