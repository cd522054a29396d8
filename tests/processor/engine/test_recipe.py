"""Training recipes: repeated samples, mixup, and the average of the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import Data, make, run_test, train, write_data

from feeders.feeder import Feeder
from processor.config.schema import Config, ConfigError, load_config
from processor.engine.data import Group, Loader
from processor.engine.mixup import Mixup
from processor.engine.train import Losses, step
from processor.results.scores import load_scores
from processor.state.average import Average
from processor.state.checkpoint import State, read_checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return write_data(tmp_path)


def weights(folder: Path, key: str = "model") -> dict[str, torch.Tensor]:
    content: dict[str, torch.Tensor] = read_checkpoint(folder / "last.pt")[key]
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


def test_mistakes_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_config(
            [
                "--config",
                "config/demo/train.yaml",
                "--repeat",
                "0",
                "--model_args.drop_path",
                "1",
                "--mixup",
                "-1",
                "--ema",
                "1",
                "--mixup_pairs",
                "camera",
            ]
        )
    text = str(caught.value)
    assert "repeat: 0 must be from 1 to 1000" in text
    assert "model_args.drop_path: 1.0 must be from 0 to 0.95" in text
    assert "mixup: -1.0 must be from 0 to 100" in text
    assert "ema: 1.0 must be from 0 to 0.999999" in text
    with pytest.raises(ConfigError, match=r"mixup: 0\.001 mixes next to nothing"):
        load_config(["--config", "config/demo/train.yaml", "--mixup", "0.001"])
    with pytest.raises(ConfigError, match=r"mixup_pairs: is for mixup, which is off; give its alpha, too"):
        load_config(["--config", "config/demo/train.yaml", "--mixup_pairs", "camera"])


def test_pairs_of_mixup_are_of_one_camera_and_stay_a_permutation() -> None:
    names = ["a01_s01_e00_v01.json", "S001C001P001R001A001", "a01_s01_e00_v02", "S001C002P001R001A001"] * 6
    mixup = Mixup.of(0.4, "camera", names)
    assert mixup is not None
    drawn = set()
    for seed in range(40):
        torch.manual_seed(seed)
        index = torch.randperm(24)[:13]
        partner = mixup.partners(index)
        assert sorted(partner.tolist()) == list(range(13))
        for i, j in enumerate(partner.tolist()):
            one, other = names[int(index[i])], names[int(index[j])]
            assert _camera(one) == _camera(other)
        drawn.add(tuple(index[partner].tolist()))
    assert len(drawn) > 30
    anyone = Mixup.of(0.4, "any", ["sit", "stand"])
    assert anyone is not None
    assert {tuple(anyone.partners(torch.arange(2)).tolist()) for _ in range(40)} == {(0, 1), (1, 0)}


def _camera(name: str) -> str:
    return name.split("_v")[1][1] if "_v" in name else name[7]


def test_mixed_samples_equal_the_loop() -> None:
    torch.manual_seed(0)
    mixup = Mixup.of(0.4, "any", ["a", "b", "c"])
    assert mixup is not None
    x = torch.randn(3, 2, 4, 5, 2)
    x[0, :, 1, 2] = x[1, :, :, :, 1] = x[2, :, 2, :, 0] = 0  # a missing joint, an absent person, an empty frame
    given, label = x.clone(), torch.tensor([4, 5, 6])
    shares = set()
    for seed in range(30):
        torch.manual_seed(seed)
        mixed, ((share, first), (rest, second)) = mixup(x, label, torch.arange(3))
        shares.add(round(share, 4))
        assert 0.5 <= share <= 1
        assert share + rest == pytest.approx(1)
        assert torch.equal(first, label)
        for n, t, v, m in np.ndindex(3, 4, 5, 2):
            one, other = given[n, :, t, v, m], given[int(second[n]) - 4, :, t, v, m]
            expected = share * one + rest * other
            if not one.any() or not other.any():  # nothing is mixed with the origin
                expected = one + other
            assert torch.allclose(mixed[n, :, t, v, m], expected, atol=1e-6)
    assert len(shares) == 30
    assert torch.equal(x, given)


def test_the_loss_of_mixup_is_the_weighted_mean_of_both_labels() -> None:
    logits = {"x": torch.randn(6, 3)}

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = torch.nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a * logits["x"]

    def loss_of(mixup: Mixup | None) -> float:
        torch.manual_seed(5)
        model, losses = Model(), Losses(CPU)
        state = State(model, torch.optim.SGD(model.parameters(), lr=0.1))
        batch = (torch.ones(6, 1, 1, 1, 1), torch.arange(6) % 3, torch.arange(6))
        step(
            state,
            model,
            Group(iter([batch]), [6], 0, 1, 6),
            losses,
            lr=0.0,
            device=CPU,
            precision="float32",
            mixup=mixup,
        )
        return float(losses.loss) / losses.samples

    mixup = Mixup.of(1.0, "any", list("abcdef"))
    assert mixup is not None
    torch.manual_seed(5)
    _, ((share, label), (rest, other)) = mixup(torch.ones(6, 1, 1, 1, 1), torch.arange(6) % 3, torch.arange(6))
    chances = logits["x"].double().softmax(dim=1)
    expected = -sum(float(share * chances[i, label[i]].log() + rest * chances[i, other[i]].log()) / 6 for i in range(6))
    assert loss_of(mixup) == pytest.approx(expected, rel=1e-5)
    plain = float(torch.nn.functional.cross_entropy(logits["x"], torch.arange(6) % 3))
    assert loss_of(None) == pytest.approx(plain, rel=1e-6)


def test_a_sample_without_camera_is_named(data: Data, tmp_path: Path) -> None:
    config = make(data, tmp_path, mixup=0.4, mixup_pairs="camera")
    with pytest.raises(ValueError, match=r"mixup_pairs: camera; the name of the sample 'train0' tells no camera"):
        train(config)
    assert not config.work_dir.exists()


def test_the_average_is_that_of_the_loop_with_batch_statistics() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    average, expected = Average(model, 0.9), {}
    for name, x in model.state_dict().items():
        expected[name] = x.double().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for number in range(1, 200):
        model(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(number)
        decay = min(0.9, (1 + number) / (10 + number))
        for name, x in model.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * x.double()
    kept = average.model.state_dict()
    for name, x in kept.items():
        if name != "1.num_batches_tracked":
            np.testing.assert_allclose(x.double(), expected[name], rtol=1e-4, atol=1e-6)
    assert kept["1.num_batches_tracked"] == 199
    assert not torch.allclose(kept["1.running_var"], model.state_dict()["1.running_var"])
    assert not average.model.training
    assert not any(p.requires_grad for p in average.model.parameters())


def test_averaged_weights_are_tested_saved_and_resumed_to_the_bit(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With mixup, whose draws go on, and repeated samples, which a run counts. Naming `ema.pt` tests the average."""
    options: dict[str, Any] = {
        "ema": 0.8,
        "mixup": 0.4,
        "repeat": 2,
        "num_epoch": 1,
        "batch_size": 20,
        "accumulation": 1,
    }
    whole, cut = make(data, tmp_path, work_dir=tmp_path / "whole", **options), tmp_path / "cut"
    scores = train(whole)
    assert read_checkpoint(tmp_path / "whole" / "last.pt")["step"] == 3  # 50 samples
    assert (
        "25 training and 10 test samples; each training sample is drawn 2 times an epoch"
        in (tmp_path / "whole" / "log.txt").read_text()
    )
    cut_and_resumed(make(data, tmp_path, work_dir=cut, **options), monkeypatch, 0, 20)
    averaged = read_checkpoint(tmp_path / "whole" / "ema.pt")["model"]
    for folder in (tmp_path / "whole", cut):
        assert same(weights(tmp_path / "whole"), weights(folder))
        assert same(averaged, weights(folder, "ema"))
        assert same(averaged, read_checkpoint(folder / "ema.pt")["model"])
    assert not same(averaged, weights(cut))
    of_average = load_scores(cut / "ema_score.npz")
    assert of_average.names == scores.names
    assert not np.allclose(of_average.scores, scores.scores)
    tested = make(data, tmp_path, phase="test", weights=cut / "ema.pt", work_dir=tmp_path / "tested")
    np.testing.assert_allclose(run_test(tested).scores, of_average.scores, atol=1e-5)
    assert "epoch 1, test_ema: top-1" in (cut / "log.txt").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"ema.pt holds weights, not a run; start a new run with --weights"):
        train(make(data, tmp_path, resume=str(cut / "ema.pt"), work_dir=tmp_path / "other", **options))
    train(make(data, tmp_path, work_dir=cut, overwrite=True, num_epoch=1))
    assert not {"ema.pt", "ema_score.npz"} & {path.name for path in cut.iterdir()}
    assert "ema" not in read_checkpoint(cut / "last.pt")


def test_without_the_options_a_run_draws_and_writes_what_it_did(data: Data, tmp_path: Path) -> None:
    for name, options in (("plain", {}), ("off", {"mixup": 0.0, "ema": None, "repeat": 1}), ("ema", {"ema": 0.9})):
        train(make(data, tmp_path, num_epoch=1, work_dir=tmp_path / name, **options))
    assert same(weights(tmp_path / "plain"), weights(tmp_path / "off"))
    assert same(weights(tmp_path / "plain"), weights(tmp_path / "ema"))  # the average changes nothing
