"""Where the project is, and atomic writes: a file appears complete or not at all."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

if sys.platform != "win32":
    import fcntl

ROOT = Path(__file__).resolve().parents[2]  # the project: its packages and config/
VERSION = "0.1.0"  # of the project, as in setup.py


@contextmanager
def atomic_write(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """A temporary path beside `path` to write to; it is renamed to `path` when the block ends, deleted if it raises.

    The folder is made if it is missing, and removed again if nothing comes into it. When the block has ended, content
    and name are on the disk. The temporary file is locked meanwhile, so that another process which writes `path` knows
    that it is in use. Its name ends with `suffix`, for libraries that tell a format by the name.
    """
    new_folders = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    delete_leftovers(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp{suffix}")
    temporary.unlink(missing_ok=True)  # it might be a link
    try:
        with temporary.open("wb") as file:
            with suppress(OSError):  # some network disks have no locks
                _lock(file)
            yield temporary
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
            if sys.platform == "win32":
                file.close()  # Windows renames no open file
            os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(OSError):  # a failing disk: the first error is the one to tell
            temporary.unlink(missing_ok=True)
            for folder in new_folders:
                folder.rmdir()  # an error, if it holds a file
        raise


def check_folder(folder: Path, option: str) -> None:
    """Refuses a folder, which need not exist yet, in which no file can be made: before the work, not after it.

    Raises:
        ValueError: of the `option` that names it.
    """
    nearest = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if not nearest.is_dir():
        raise ValueError(f"{option}: {nearest} is no folder; name another place")
    try:
        with TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise ValueError(f"{option}: {nearest} is not writable ({error.strerror}); name another place") from error


def delete_leftovers(path: Path) -> None:
    """Deletes the temporary files of `path` that killed processes left."""
    for left in path.parent.glob(f"{escape(path.name)}.*.tmp*"):
        with suppress(OSError):  # a running process still writes it
            with left.open("r+b") as file:
                _lock(file)
            left.unlink()


def delete(path: Path) -> None:
    """Deletes a file, if it is there, and what killed processes left of it."""
    path.unlink(missing_ok=True)
    delete_leftovers(path)


def _lock(file: BinaryIO) -> None:
    """Locks a file until it is closed; Windows needs no lock, for it deletes no open file.

    Raises:
        OSError: another process has locked it.
    """
    if sys.platform != "win32":
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, complete or not at all; half a surrogate pair, which is no letter, as its number."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table as `write_text`."""
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        csv.writer(file).writerows(rows)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk; else a renamed file may have its old name after a crash."""
    with suppress(OSError):  # Windows and some network disks cannot open or sync folders
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def beginning(*paths: str | Path) -> str:
    """For messages about missing files: the folder that relative paths begin at, if one of these is relative."""
    return "" if all(Path(path).is_absolute() for path in paths) else f" (relative paths begin at {Path.cwd()})"
