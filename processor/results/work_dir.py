"""The folder of a run: refused when used, then the resolved config, the log file and TensorBoard's events."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from logging.handlers import MemoryHandler
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm.contrib.logging import logging_redirect_tqdm

from graph.common.files import written_whole
from processor.config.schema import Config, resolved
from processor.results.scores import SCORE
from processor.runtime import distributed
from processor.runtime.failure import is_expected, sentence
from processor.state.checkpoint import BEST, DAMAGED, LAST, PREVIOUS

CONFIG, LOG, NOT_FINITE = "config.yaml", "log.txt", "not_finite.txt"
FOLDS, BENCHMARK = "folds.csv", "benchmark.json"
RESULTS = (SCORE, *(f"{name}.{kind}" for name in ("per_class_accuracy", "confusion_matrix") for kind in ("csv", "png")))
FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
LOGGED = "log_file"  # attribute of an error whose traceback is in a log: which
Record = Callable[[str, float, int], None]  # of a scalar: name, value, step
CHECKPOINTS = (LAST, PREVIOUS, BEST)
RUN = (*CHECKPOINTS, DAMAGED, CONFIG, LOG, NOT_FINITE, "events.out.tfevents.*")
ROOT = Path(__file__).resolve().parents[2]


def check_place(folder: Path) -> None:
    """Sees that a run which writes into `folder` writes there, and nowhere else.

    Raises:
        ValueError: it is a link or a file, holds one in the place of a file of ours, or belongs to something else.
    """
    place = folder.resolve()
    if place in (ROOT, *ROOT.parents, Path(os.path.expanduser("~")).resolve()):  # `Path.home()` fails without one
        raise ValueError(f"work_dir: {folder} is no folder for a run alone; name a new one, such as work_dir/run")
    if folder.is_symlink():
        raise ValueError(f"work_dir: {folder} is a symbolic link; name what it stands for, {place}")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"work_dir: {folder} is a file; name another folder")
    for path in (path for pattern in (*RUN, *RESULTS, FOLDS, BENCHMARK) for path in folder.glob(pattern)):
        if path.is_symlink() or not path.is_file():
            kind = "a symbolic link" if path.is_symlink() else "no plain file"
            raise ValueError(f"work_dir: {path} is {kind}, where a run writes; remove it, or choose another --work_dir")


def prepare(config: Config, resumed: Path | None = None) -> None:
    """Makes `work_dir`, or sees that it may be used, and writes the resolved config into it.

    With `overwrite` training replaces an earlier run, and test nothing but earlier test results.

    Args:
        resumed: the checkpoint that the run goes on from; its folder is its own.

    Raises:
        ValueError: an earlier run is in it, which is neither resumed nor to be overwritten.
    """
    if distributed.rank():
        return
    folder = config.work_dir
    found = [path for pattern in (*RUN, *RESULTS) for path in folder.glob(pattern)]
    used = found if any(path.name != LOG for path in found) else []  # what failed before it began left a log alone
    if config.overwrite and config.resume:
        raise ValueError("overwrite, resume: one replaces a run, the other goes on with it; leave one out")
    own = resumed is not None and resumed.parent.resolve() == folder.resolve()
    begun = config.resume == "auto" and not any(path.name in (*CHECKPOINTS, *RESULTS) for path in used)
    if used and not config.overwrite and not own and not begun:  # begun: stopped before its first checkpoint
        raise ValueError(
            f"work_dir: {folder} holds an earlier run ({used[0].name}); "
            "go on with --resume auto, replace it with --overwrite, or choose another --work_dir"
        )
    if config.overwrite and config.phase == "train":
        for path in used:
            path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for path in (path for name in (*CHECKPOINTS, *RESULTS) for path in folder.glob(f"{name}.*.tmp")):
        path.unlink()  # it was being written when an earlier run was killed
    if config.phase == "train" or not used:
        with written_whole(folder / CONFIG) as temporary:
            temporary.write_text(resolved(replace(config, overwrite=False)), encoding="utf-8")


class LogFile(logging.FileHandler):
    """A log file that a full disk cuts short: the next checkpoint tells of the disk."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leaves the line out."""


@contextmanager
def journal(folder: Path, step: int = 0) -> Iterator[Record]:
    """Log lines also go to `log.txt`, scalars that it takes to TensorBoard's event file, both in `folder`.

    Of several processes only the first writes; a traceback that ends the block is logged by any.

    Args:
        step: the optimiser's step that a resumed run goes on from: scalars beyond it are of no run.
    """
    try:
        if distributed.rank():
            yield lambda *_: None
            return
        writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)
        try:
            with _log_file(folder), logging_redirect_tqdm():
                yield writer.add_scalar
        finally:
            with suppress(OSError):  # of a full disk the block itself tells
                writer.close()
    except Exception as error:
        log_failure(folder, error)
        raise


@contextmanager
def _log_file(folder: Path) -> Iterator[None]:
    """Log lines also go to `log.txt`, those too that were kept for it until now."""
    handler = LogFile(folder / LOG, encoding="utf-8")
    handler.setFormatter(FORMAT)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    for early in [other for other in root.handlers if isinstance(other, MemoryHandler)]:  # lines that came before
        early.setTarget(handler)
        early.close()
        root.removeHandler(early)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def log_failure(folder: Path, error: Exception) -> Path | None:
    """Appends an error with its traceback to `log.txt` in `folder`, once.

    Returns:
        The file, or None where it cannot be written.
    """
    if path := getattr(error, LOGGED, None):
        return Path(path)
    path = folder / LOG
    fields = {"levelno": logging.ERROR, "levelname": "ERROR", "msg": sentence(error)}
    if not is_expected(error):
        fields["exc_info"] = (type(error), error, error.__traceback__)
    try:
        check_place(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{FORMAT.format(logging.makeLogRecord(fields))}\n")
    except (ValueError, OSError):
        return None
    setattr(error, LOGGED, path)
    return path
