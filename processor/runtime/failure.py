"""One sentence for the user about the error that ends a run; the traceback goes to its log.

This project's code raises a `ValueError` or `OSError` for a mistake of the user, whose message is the sentence. All
other errors (in a user's model or feeder, a killed worker, full memory, a full disk) are unexpected.
"""

from __future__ import annotations

import errno
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from graph.common.files import ROOT

OURS = ("data_gen", "ensemble.py", "feeders", "graph", "main.py", "model", "processor")
LIBRARY = re.compile(r"[/\\](site-packages|dist-packages|lib[/\\]python3[^/\\]*)[/\\]|<")

GPU = "the device's memory ran out; take a smaller --batch_size and more --accumulation"
MEMORY = (
    "this machine's memory ran out; take a smaller --batch_size (and more --accumulation), a smaller --test_batch_size "
    "or fewer --num_worker"
)
SHARED_MEMORY = (
    "the shared memory through which workers hand over batches (/dev/shm) is full; take --num_worker 0 or a smaller "
    "--batch_size, or give it more room (docker run --shm-size=8g)"
)
DISK = "the disk is full; make room, then go on with --resume auto"
FILES = "too many files are open; raise the limit (ulimit -n 4096) or take fewer --num_worker"
WORKER = (
    "a process that loads data was ended from outside, often because this machine's memory ran out; take fewer "
    "--num_worker or a smaller --batch_size, then go on with --resume auto"
)
REQUIRED = ("einops", "jinja2", "matplotlib", "numpy", "tensorboard", "torch", "tqdm")  # what every run may load
OTHER = "another process of the run has ended, and its message says why"
# a pattern of messages, and the sentence for it; the first that fits counts
TEXTS = (
    (r"CUDA out of memory|MPS backend out of memory", GPU),
    (r"Bus error|/torch_\w+.*No space left|unable to \w+( to)? shared memory", SHARED_MEMORY),
    (r"DataLoader worker \(pid.*(signal: (Killed|Terminated)|exited unexpectedly)", WORKER),
    (r"can't allocate memory|Unable to allocate|bad_alloc|\[Errno 12\]", MEMORY),
    (r"\[Errno (27|28|122)\]|No space left on device|Disk quota exceeded|unexpected pos \d+", DISK),
    (r"\[Errno 2[34]\]|Too many open files", FILES),
    (r"Connection (closed|reset) by peer|Broken pipe.*gloo|gloo.*(peer|[Tt]imed out)|NCCL.*remote", OTHER),
)  # fmt: skip
NUMBERS = {
    errno.ENOSPC: DISK,
    errno.EDQUOT: DISK,
    errno.EFBIG: DISK,
    errno.EMFILE: FILES,
    errno.ENFILE: FILES,
    errno.ENOMEM: MEMORY,
}


def sentence(error: BaseException) -> str:
    """What is wrong and what to do about it."""
    if remedy := _remedy(error):
        return remedy
    if _is_not_installed(error):
        return (
            f"{error.name} is not installed in {sys.executable}; activate the environment that has it, or run pip "
            "install -r requirements.txt"
        )
    if is_expected(error):
        if isinstance(error, OSError) and error.filename:
            return f"{error.filename}: {error.strerror}"
        return str(error).rpartition(f"\n{type(error).__name__}: ")[2].strip()  # a worker's begins with its traceback
    message = [line.strip() for line in str(error).splitlines() if line.strip()]
    name = type(error).__name__
    text = message[-1] if message else "no message"
    return (text if text.startswith(f"{name}: ") else f"{name}: {text}") + _place(error)


def is_expected(error: BaseException) -> bool:
    """Whether the message is meant for the user: the error is raised by this project's code."""
    if _is_not_installed(error):
        return True
    if not isinstance(error, ValueError | OSError) or isinstance(error, UnicodeError):
        return False
    of_worker = re.findall(r'File "([^"]+)", line \d+, in ', str(error))
    files = of_worker or [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return bool(getattr(error, "filename", "")) or not files or _is_ours(Path(files[-1]))


def _is_not_installed(error: BaseException) -> TypeGuard[ModuleNotFoundError]:
    return isinstance(error, ModuleNotFoundError) and error.name in REQUIRED


def _is_ours(file: Path) -> bool:
    """Whether a file of code is this project's; a user's `model_of_mine.py` beside `model/` is not."""
    return file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] in OURS


def is_damage(error: BaseException) -> bool:
    """Whether an error in reading a file means that the file is damaged, not that the machine lacks something."""
    return not isinstance(error, OSError) and not _remedy(error)


def _remedy(error: BaseException) -> str:
    """The sentence for a machine that lacks something; "" for other errors."""
    torch = sys.modules.get("torch")  # what fails before it is loaded is no error of it
    for e in _chain(error):
        if torch and isinstance(e, torch.OutOfMemoryError):
            return GPU
        if isinstance(e, MemoryError):
            return MEMORY
        if isinstance(e, OSError) and e.errno in NUMBERS:
            return f"{e.filename}: {NUMBERS[e.errno]}" if e.filename else NUMBERS[e.errno]
        for pattern, remedy in TEXTS:
            if not isinstance(e, ValueError) and re.search(pattern, str(e), re.DOTALL):
                return remedy
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes: a library may raise another error when the disk is full."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _place(error: BaseException) -> str:
    """The last line of the traceback outside libraries, as " (file, line n)"; a worker's is in the message."""
    text = "".join(traceback.format_exception(error))
    places = re.findall(r'File "([^"]+)", line (\d+), in ', text)
    outside = [place for place in places if not LIBRARY.search(place[0])]
    return f" ({outside[-1][0]}, line {outside[-1][1]})" if outside else ""
