"""The folder of a run: refused if it holds another run, then filled with the configuration, the log and the events."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from logging.handlers import MemoryHandler
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from tqdm.contrib.logging import logging_redirect_tqdm

from graph.common.files import ROOT, delete_leftovers, write_text
from processor.config.schema import CONFIG
from processor.results.ledger import RESULT
from processor.results.provenance import Made
from processor.results.scores import REPORT, SCORE, Scores, save_scores
from processor.runtime import distributed
from processor.runtime.failure import is_expected, sentence
from processor.state.checkpoint import BEST, DAMAGED, LAST, PREVIOUS

LOG, NOT_FINITE = "log.txt", "not_finite.txt"
FOLDS, BENCHMARK = "folds.csv", "benchmark.json"
RESULTS = (
    SCORE,
    REPORT,
    RESULT,
    *(f"{name}.{kind}" for name in ("per_class_accuracy", "confusion_matrix") for kind in ("csv", "png")),
)
FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
LOGGED = "log_file"  # attribute of an error: the log that holds its traceback
CHECKPOINTS = (LAST, PREVIOUS, BEST)
RUN = (*CHECKPOINTS, DAMAGED, CONFIG, LOG, NOT_FINITE, "events.out.tfevents.*")

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)


class Record:
    """Writes scalars and pictures to TensorBoard's event file; only the process of rank 0 has a writer."""

    def __init__(self, writer: SummaryWriter | None = None) -> None:
        self.writer = writer

    def __call__(self, name: str, value: float, step: int) -> None:
        """Writes a scalar."""
        if self.writer:
            self.writer.add_scalar(name, value, step)

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        """Writes a picture (height, width, 3), a byte a colour."""
        if self.writer:
            self.writer.add_image(name, pixels, step, dataformats="HWC")

    def flush(self) -> None:
        """Writes to the file what is still in memory."""
        if self.writer:
            self.writer.flush()


def check_place(folder: Path) -> None:
    """Checks that a run which writes into `folder` changes no other file or folder.

    Raises:
        ValueError: it is a link or a file, holds a link or a folder by the name of a file of ours, or is the folder of
            this program, one around it or the user's home.
    """
    target = folder.resolve()
    if target in (ROOT, *ROOT.parents, Path(os.path.expanduser("~")).resolve()):  # `Path.home()` fails without a home
        raise ValueError(f"work_dir: {folder} is no folder for a run alone; name a new one, such as work_dir/run")
    if folder.is_symlink():
        raise ValueError(f"work_dir: {folder} is a symbolic link; name what it stands for, {target}")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"work_dir: {folder} is a file; name another folder")
    for path in (path for pattern in (*RUN, *RESULTS, FOLDS, BENCHMARK) for path in folder.glob(pattern)):
        if path.is_symlink() or not path.is_file():
            kind = "a symbolic link" if path.is_symlink() else "no plain file"
            raise ValueError(f"work_dir: {path} is {kind}, where a run writes; remove it, or choose another --work_dir")


@distributed.on_rank_0
def prepare(
    folder: Path,
    config_text: str,
    *,
    training: bool,
    overwrite: bool = False,
    resume: str | None = None,
    resumed: Path | None = None,
) -> None:
    """Makes the folder of a run, or checks that the run may use it, and writes the configuration into it.

    Args:
        training: with `overwrite` training replaces an earlier run, a test nothing but earlier test results.
        resume: what the run was asked to go on from: a checkpoint, `auto` or nothing.
        resumed: the checkpoint that it goes on from; the folder of that may be used.

    Raises:
        ValueError: the folder holds an earlier run, which is neither resumed nor to be overwritten, or which another
            process trains now.
    """
    if training and (folder / LOG).is_file():
        with locked(folder):
            pass
    files = [path for pattern in (*RUN, *RESULTS) for path in folder.glob(pattern)]
    used = files if any(path.name != LOG for path in files) else []  # a run that failed at once left a log alone
    goes_on = resumed is not None and resumed.parent.resolve() == folder.resolve()
    if resume == "auto" and not any(path.name in (*CHECKPOINTS, *RESULTS) for path in used):
        goes_on = True  # the run was stopped before its first checkpoint
    if used and not overwrite and not goes_on:
        raise ValueError(
            f"work_dir: {folder} holds an earlier run ({used[0].name}); "
            "go on with --resume auto, replace it with --overwrite, or choose another --work_dir"
        )
    if overwrite and training:
        for path in used:
            path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*CHECKPOINTS, *RESULTS):
        delete_leftovers(folder / name)
    if training or not used:
        write_text(folder / CONFIG, config_text)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes from training in a folder until the block ends; only the process of rank 0 does.

    The lock is not that of its workers, which may outlive it. Windows and some network disks have none.

    Raises:
        ValueError: another process trains in the folder.
    """
    if distributed.rank() or sys.platform == "win32":
        yield
        return
    with (folder / LOG).open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            text = f"work_dir: another process trains in {folder}; wait for its end, or choose another --work_dir"
            raise ValueError(text) from error
        except OSError:  # no locks on this disk
            pass
        yield


@distributed.on_rank_0
def write_not_finite(folder: Path, names: Iterable[str]) -> None:
    """Writes the names of the samples whose loss was not finite, a line each."""
    write_text(folder / NOT_FINITE, "".join(f"{name}\n" for name in names))


@distributed.on_rank_0
def write_results(folder: Path, scores: Scores, class_names: Sequence[str] | None, made: Made, record: Record) -> None:
    """Writes the scores and, as far as they do not fail, the reports."""
    write_scores(folder / SCORE, scores, class_names)
    record.flush()  # the report reads its curves
    # what they import (matplotlib, jinja2, TensorBoard) takes a second, and may be missing
    with _may_fail(folder, "pictures"):
        from processor.results.report import write_report

        write_report(folder, scores, class_names)
    with _may_fail(folder, REPORT):
        from processor.results.page import write_page

        write_page(folder, scores, class_names, made)
    with _may_fail(folder, "the pictures of TensorBoard"):
        from processor.results.figures import write_figures

        path = made.data.get("test", {}).get("data_path")
        write_figures(record, made.step, folder / "confusion_matrix.png", scores, class_names, path)


def write_scores(path: Path, scores: Scores, class_names: Sequence[str] | None) -> None:
    """Writes scores, with the names of the classes where these fit."""
    if class_names is not None and len(class_names) == scores.scores.shape[1]:
        scores = replace(scores, class_names=tuple(class_names))
    distributed.on_rank_0(save_scores)(path, scores)


@contextmanager
def _may_fail(folder: Path, what: str) -> Iterator[None]:
    """An error in the block is a warning, with its traceback in the log; the scores are written, and worth more."""
    try:
        yield
    except Exception as error:
        log.warning("%s could not be written, the scores are: %s", what, sentence(error))
        log_failure(folder, error, expected=False)


@contextmanager
def journal(folder: Path, step: int = 0) -> Iterator[Record]:
    """Writes log lines of the block to `log.txt`, and the scalars given to it to TensorBoard's event file.

    The process of rank 0 alone writes them; each process logs the traceback of an error that ends the block.

    Args:
        step: the optimiser's step that a resumed run goes on from; scalars of later steps are dropped.
    """
    try:
        if distributed.rank():
            yield Record()
            return
        writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)
        try:
            with _log_file(folder), logging_redirect_tqdm():
                yield Record(writer)
        finally:
            with suppress(OSError):  # a full disk fails the block itself, too
                writer.close()
    except Exception as error:
        log_failure(folder, error)
        raise


@contextmanager
def _log_file(folder: Path) -> Iterator[None]:
    """Writes log lines of the block to `log.txt`, and those before it that a `MemoryHandler` has kept."""
    handler = logging.FileHandler(folder / LOG, encoding="utf-8")
    handler.handleError = lambda _: None  # type: ignore  # on a full disk a line is lost; the next checkpoint says why
    handler.setFormatter(FORMAT)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    for early in [other for other in root.handlers if isinstance(other, MemoryHandler)]:
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


def log_failure(folder: Path, error: Exception, *, expected: bool | None = None) -> Path | None:
    """Appends an error to `log.txt` in `folder`, once; with its traceback, unless it is an `expected` one.

    Args:
        expected: None: a user's mistake is.

    Returns:
        The file, or None where it cannot be written.
    """
    if path := getattr(error, LOGGED, None):
        return Path(path)
    path = folder / LOG
    fields = {"levelno": logging.ERROR, "levelname": "ERROR", "msg": sentence(error)}
    if not (is_expected(error) if expected is None else expected):
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
