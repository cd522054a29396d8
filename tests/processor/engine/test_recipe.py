"""Epochs in which each sample is drawn several times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import Data, make, train, write_data

from feeders.feeder import Feeder
from processor.config.schema import Config
from processor.engine.data import Loader
from processor.engine.train import Losses
from processor.state.checkpoint import State, read_checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return write_data(tmp_path)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    content: dict[str, torch.Tensor] = read_checkpoint(folder / "last.pt")["model"]
    return content


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class PowerCutError(Exception):
    """A run that ends at once."""


def cut_after(epoch: int, samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends a run when it has saved so many epochs and samples."""
    save = State.save

    def save_and_stop(self: State, path: Path, *args: Any, **options: Any) -> None:
        save(self, path, *args, **options)
        if path.name == "last.pt" and (self.epoch, self.samples) >= (epoch, samples):
            raise PowerCutError

    monkeypatch.setattr(State, "save", save_and_stop)


def cut_and_resumed(config: Config, monkeypatch: pytest.MonkeyPatch, epoch: int, samples: int = 0) -> None:
    """Trains with a power cut after so many epochs and samples; a checkpoint is saved after each step."""
    with monkeypatch.context() as patch:
        cut_after(epoch, samples, patch)
        with pytest.raises(PowerCutError):
            train(replace(config, checkpoint_minutes=1e-9))
    torch.manual_seed(12345)  # another process has another state
    train(replace(config, resume="auto"))


@pytest.mark.parametrize("workers", [0, 2])
def test_each_repetition_draws_its_own_augmentation(data: Data, workers: int) -> None:
    feeder = Feeder(**data["train"], random_scaling=(0.5, 2.0))
    once, five = (Loader(feeder, batch_size=4, workers=workers, device=CPU, seed=3, repeat=repeat) for repeat in (1, 5))
    epochs = []
    for loader in (once, five, five):
        parts = list(loader.epoch(1))
        loader.close()
        epochs.append([torch.cat(part).numpy() for part in zip(*parts, strict=True)])
    (x, _, index), (xs, labels, indices), (again, _, _) = epochs
    assert sorted(indices) == sorted(list(range(25)) * 5)
    assert (labels == indices % 3).all()
    np.testing.assert_array_equal(xs, again)
    assert sum(five.sizes) == 125
    array = np.load(data["train"]["data_path"])
    for i in range(25):
        factors = {round(float(sample.flat[0] / array[i].flat[0]), 5) for sample in xs[indices == i]}
        assert len(factors) == 5
        assert round(float(x[index == i][0].flat[0] / array[i].flat[0]), 5) in factors  # the first is that of no repeat


def test_names_of_a_repeated_batch(data: Data) -> None:
    loader = Loader(Feeder(**data["train"]), batch_size=4, workers=0, device=CPU, seed=3, repeat=3)
    losses = Losses(CPU)
    for number, (_, label, index) in enumerate(loader.epoch(0)):
        bad = torch.tensor(float("nan") if number == 15 else 1.0)
        losses.add(number, bad, torch.zeros(len(label), 3), label)
        if number == 15:
            expected = [f"train{i}" for i in index.tolist()]
    assert losses.read(loader)[2] == expected


def test_a_repeated_run_counts_its_samples_and_is_resumed_to_the_bit(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"repeat": 2, "num_epoch": 1, "batch_size": 20, "accumulation": 1}
    whole, cut = make(data, tmp_path, work_dir=tmp_path / "whole", **options), tmp_path / "cut"
    train(whole)
    assert read_checkpoint(tmp_path / "whole" / "last.pt")["step"] == 3  # 50 samples
    assert (
        "25 training and 10 test samples; each training sample is drawn 2 times an epoch"
        in (tmp_path / "whole" / "log.txt").read_text()
    )
    cut_and_resumed(make(data, tmp_path, work_dir=cut, **options), monkeypatch, 0, 20)
    assert same(weights(tmp_path / "whole"), weights(cut))
