"""The steps of training with the real feeder on an array of NTU RGB+D 60's X-Sub: an epoch, and waiting for data."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch

from benchmarks.parts.arrays import write_part
from benchmarks.parts.setting import Setting
from benchmarks.parts.speed import median_seconds
from processor.config.schema import Config, load_config
from processor.engine.data import Group
from processor.engine.models import build_model
from processor.engine.setup import loader_args, new_loss, new_state, open_feeder, replica_of
from processor.engine.train import Losses, step
from processor.runtime.device import choose_device, effective_precision
from processor.tools.benchmark import Timed, seconds_of, training_steps

SAMPLES = 40_091  # of X-Sub's training set
CTR_GCN = {"window_size": 64, "sampling": "resize", "p_interval": [0.5, 1.0], "random_rotation": [17, 17, 17]}


def measure(setting: Setting) -> None:
    """S-TR and T-TR by the published recipe (300 frames, joints) and by CTR-GCN's (64 frames, cut and turned)."""
    with tempfile.TemporaryDirectory() as folder:
        args = write_part(Path(folder), "train", 64 if setting.rehearse else SAMPLES, (3, 300, 25, 2), 60)
        few = {"window_size": 16, "sampling": "random"}
        recipes = (
            (("16 frames", few, 16),) if setting.rehearse else (("300 frames", {}, 300), ("64 frames", CTR_GCN, 64))
        )
        for recipe, feeder_args, T in recipes:
            for name in ("s-tr", "t-tr"):
                figure = f"{name}, {recipe}"
                with setting.guarded(figure):
                    setting.need(6)
                    setting.record(figure, epoch(name, {**args, **feeder_args}, T, setting))


def settled(name: str, feeder_args: dict[str, Any], T: int, setting: Setting) -> Config:
    """The configuration of NTU RGB+D 60 with this array, in batches as a GPU likes them."""
    config = load_config(["--config", f"config/ntu60_xsub/{name}.yaml"])
    small = {"channels": [16, 32, 64]} if setting.rehearse else {}
    return replace(
        config,
        train_feeder_args=feeder_args,
        model_args={**config.model_args, "window_size": T, **small},
        batch_size=4 if setting.rehearse else 64,
        accumulation=1,
        num_worker=1 if setting.rehearse else min(14, os.cpu_count() or 1),
        precision="bfloat16",
        cuda_graphs=True,
        device=setting.device,
    )


def epoch(name: str, feeder_args: dict[str, Any], T: int, setting: Setting) -> dict[str, Any]:
    """The steps of some seconds, and what an epoch would take; the same steps on batches that are on the GPU already.

    What a step takes longer with the feeder is the time that the GPU waited, for data or their copy.
    """
    config = settled(name, feeder_args, T, setting)
    device = choose_device(config.device)
    precision = effective_precision(device, config.precision)
    torch.manual_seed(0)
    model = build_model(config.model, config.model_args).to(device)
    settings: dict[str, Any] = {"device": device, "precision": precision, "criterion": new_loss(config, device)}
    state, losses, replica = new_state(config, model, **settings), Losses(device), replica_of(config, model, device)
    with closing(Timed(open_feeder(config, "train"), **loader_args(config, "train", device))) as loader:
        groups = (loader.steps(i, 0, 1) for i in count())
        steps = chain.from_iterable(training_steps(state, replica, some, **settings) for some in groups)
        for _ in range(3):
            next(steps)
        seconds, number = 0.0, 2 if setting.rehearse else 20
        given, waited = loader.given, loader.waited
        while seconds < (0.1 if setting.rehearse else 2):
            seconds += seconds_of(lambda: [next(steps) for _ in range(number)], device)
        samples, waited = loader.given - given, loader.waited - waited
    batch = torch.randn(config.batch_size, 3, T, 25, 2), torch.arange(config.batch_size) % 60
    if device.type == "cuda":
        batch = tuple(part.pin_memory() for part in batch)
    resident = tuple(part.to(device) for part in batch)

    def one(x: torch.Tensor, label: torch.Tensor) -> None:
        group = Group(iter([(x, label, None)]), [len(x)], 0, 1, 0)
        step(state, replica, group, losses, lr=0.0, **settings)

    short = 0.2 if setting.rehearse else 1.0
    of_resident = median_seconds(lambda: one(*resident), device, short)[0] / config.batch_size
    of_copied = median_seconds(lambda: one(*batch), device, short)[0] / config.batch_size
    of_copy = median_seconds(lambda: batch[0].to(device, non_blocking=True), device, 0.1)[0] / config.batch_size
    rate = samples / seconds
    return {
        "batch": config.batch_size, "workers": config.num_worker, "precision": precision, "samples/s": rate,
        f"s for {SAMPLES} samples": SAMPLES / rate, "share of the time the loop waited for a batch": waited / seconds,
        "samples/s of batches on the device": 1 / of_resident,
        "share of the time the device waited": max(0.0, 1 - of_resident * rate),
        "s of a sample's copy, alone": of_copy, "s that the copy adds to a step, of a sample": of_copied - of_resident,
    }  # fmt: skip
