"""The folder of a run: refused when used, then the resolved config, the log file and TensorBoard's events."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm.contrib.logging import logging_redirect_tqdm

from processor.config import Config, resolved

LAST, BEST, CONFIG, LOG, SCORE = "last.pt", "best.pt", "config.yaml", "log.txt", "test_score.npz"
REPORTS = ("per_class_accuracy.csv", "per_class_accuracy.png", "confusion_matrix.csv", "confusion_matrix.png")
OURS = (LAST, BEST, CONFIG, LOG, SCORE, *REPORTS, "events.out.tfevents.*")


def prepare(config: Config) -> None:
    """Makes `work_dir`, or sees that it may be used, and writes the resolved config into it.

    Raises:
        ValueError: an earlier run is in it, and neither `resume` nor `overwrite` is set.
    """
    folder = config.work_dir
    used = [path for pattern in OURS for path in folder.glob(pattern)]
    if used and config.overwrite:
        for path in used:
            path.unlink()
    elif used and not config.resume:
        raise ValueError(
            f"work_dir: {folder} holds an earlier run ({used[0].name}); "
            "go on with --resume auto, replace it with --overwrite, or choose another --work_dir"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(resolved(config), encoding="utf-8")


@contextmanager
def journal(folder: Path) -> Iterator[SummaryWriter]:
    """Log lines also go to `log.txt`, scalars to TensorBoard's event file, both in `folder`."""
    handler = logging.FileHandler(folder / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logging.getLogger().addHandler(handler)
    writer = SummaryWriter(str(folder))
    try:
        with logging_redirect_tqdm():
            yield writer
    finally:
        writer.close()
        logging.getLogger().removeHandler(handler)
        handler.close()
