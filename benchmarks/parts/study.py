"""NW-UCLA's trainings on arrays of its form: what an epoch takes, and so what the whole study takes."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.parts.arrays import write_part
from benchmarks.parts.setting import Setting
from processor.config.schema import load_config
from processor.engine.setup import set_up_training
from processor.engine.train import train

NAMES = ("s-tr", "t-tr", "one-stream", "zit-zot", "s-tr-agcn", "t-tr-agcn")
FORM = (3, 60, 20, 1)  # (C, T, V, M)


class Seconds(logging.Handler):
    """Keeps what the log says of the time of epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Reads a line."""
        if took := re.fullmatch(r"epoch \d+ of \d+ took ([\d.]+) s", record.getMessage()):
            self.epochs.append(float(took[1]))


def measure(setting: Setting) -> None:
    """A few epochs of each training, whose last accuracy is on data that it should learn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        training = write_part(folder, "train", 48 if setting.rehearse else 1018, FORM, 10)
        test = write_part(folder, "val", 24 if setting.rehearse else 464, FORM, 10)
        for name in NAMES[: 1 if setting.rehearse else None]:
            with setting.guarded(name):
                setting.need(4)
                usual = load_config(["--config", f"config/nw_ucla/{name}.yaml"])
                config = replace(
                    usual,
                    train_feeder_args={**usual.train_feeder_args, **training},
                    test_feeder_args={**usual.test_feeder_args, **test},
                    device=setting.device,
                    num_epoch=1 if setting.rehearse else 4,
                    warm_up_epoch=0,
                    num_worker=0 if setting.rehearse else min(8, os.cpu_count() or 1),
                    work_dir=folder / "runs" / name,
                )
                times = Seconds()
                log = logging.getLogger("processor.engine.train")
                log.setLevel(logging.INFO)
                log.addHandler(times)
                scores = train(set_up_training(config))
                log.removeHandler(times)
                study = {f"s of {usual.num_epoch} epochs": min(times.epochs) * usual.num_epoch}
                setting.record(name, {"s of epochs": times.epochs, **study, "top-1": scores.top_k(1)})
