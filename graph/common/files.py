"""Where the project is, and files that appear complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the project: its packages and config/


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it becomes `path` when the block ends, and goes if it raises.

    The folder is made if it is missing. Content and name are on the disk when the block has ended.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # it might be a link
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        with suppress(OSError):  # a failing disk: the first error is the one to tell
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk; a renamed file may else have its old name after a crash."""
    with suppress(OSError):  # Windows and some network disks cannot open or sync folders
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def beginning(*paths: str | Path) -> str:
    """For messages about files that are missing: where relative paths begin, if one of these is relative."""
    return "" if all(Path(path).is_absolute() for path in paths) else f" (relative paths begin at {Path.cwd()})"
