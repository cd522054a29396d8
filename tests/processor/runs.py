"""Small runs: three classes that differ in the axis along which the body jumps, and their configuration."""

from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import main as program
from processor.config.schema import Config
from processor.engine import train as engine
from processor.engine.setup import set_up_test, set_up_training
from processor.results.scores import Scores

FOLDERS = (Path(program.__file__).parent, *Path(__file__).parents[:2])
PYTHONPATH = os.pathsep.join(map(str, FOLDERS))  # for processes whose configurations name modules of the tests

Data = dict[str, dict[str, str]]  # feeder arguments of each part

MODEL = {
    "num_class": 3, "num_point": 20, "num_person": 1, "window_size": 8, "graph": "graph.nw_ucla.Graph",
    "channels": [16, 16, 32], "Nh": 2, "dropout": 0.1,
}  # fmt: skip


def write_data(folder: Path) -> Data:
    rng = np.random.default_rng(0)
    args = {}
    for part, size in (("train", 25), ("val", 10)):
        label = [i % 3 for i in range(size)]
        x = rng.standard_normal((size, 3, 8, 20, 1)).astype(np.float32)
        for i, c in enumerate(label):
            x[i, c, ::2] += 3
        np.save(folder / f"{part}.npy", x)
        names = [f"{part}{i}" for i in range(size)]
        (folder / f"{part}.pkl").write_bytes(pickle.dumps((names, label), protocol=2))
        args[part] = {"data_path": str(folder / f"{part}.npy"), "label_path": str(folder / f"{part}.pkl")}
    return args


def make(data: Data, tmp_path: Path, **changes: Any) -> Config:
    settings: dict[str, Any] = {
        "model": "short.Model",
        "train_feeder_args": {**data["train"], "random_choose": True, "window_size": 8, "random_move": True},
        "test_feeder_args": data["val"], "model_args": MODEL, "optimizer": "AdamW", "base_lr": 5e-3, "batch_size": 6,
        "accumulation": 2, "num_epoch": 4, "num_worker": 0, "device": "cpu", "work_dir": tmp_path / "run",
        "show_topk": [1, 2], "warm_up_epoch": 1, "lr_schedule": "cosine", "log_interval": 1,
    }  # fmt: skip
    return Config(**{**settings, **changes})


def train(config: Config) -> Scores:
    return engine.train(set_up_training(config))


def run_test(config: Config) -> Scores:
    return engine.test(set_up_test(config))


def say(argv: list[str], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> tuple[int, str, str]:
    """Exit status of the program, what it says in order, and its error."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        status = program.main(argv)
    return status, "\n".join(caplog.messages), capsys.readouterr().err
