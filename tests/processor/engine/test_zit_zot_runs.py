"""ZiT-ZoT through the whole program: trained, described, and loaded from the original's weights."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden.golden import golden_input
from golden_weights import golden_weights
from runs import Data, make, say, train, write_data

from processor.config.schema import resolved
from processor.results.scores import load_scores

ZOOM = json.loads((Path(__file__).resolve().parents[2] / "golden" / "zoom.json").read_text())["variants"]
ZOOM = ZOOM["zoom-volleyball"]
MODEL: dict[str, Any] = {
    "num_class": 3, "num_point": 20, "num_person": 1, "graph": "graph.nw_ucla.Graph", "max_T": 8, "num_head": 2,
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return write_data(tmp_path)


@pytest.fixture
def zoom(tmp_path: Path) -> Path:
    path = tmp_path / "zoom.pt"
    torch.save({key: torch.as_tensor(x) for key, x in golden_weights(ZOOM["state"]).items()}, path)
    return path


def test_it_trains_and_tests_and_tells_what_it_is(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    changes: dict[str, Any] = {"model": "model.zit_zot.Model", "model_args": MODEL, "num_epoch": 1}
    whole = train(make(data, tmp_path, **changes, work_dir=tmp_path / "whole"))
    config = make(data, tmp_path, **changes)
    file = tmp_path / "config.yaml"
    file.write_text(resolved(config), encoding="utf-8")
    assert say(["--config", str(file)], capsys, caplog)[0] == 0
    assert say(["--phase", "test", "--config", str(file)], capsys, caplog)[0] == 0
    status, said, error = say(["--phase", "info", "--weights", str(config.work_dir / "last.pt")], capsys, caplog)
    assert status == 0, error
    for line in (
        "kind        checkpoint\ntraining    1 epoch, ",
        "model       model.zit_zot.Model",
        "stream      ZiT-ZoT: spatial transf",
    ):
        assert line in said
    np.testing.assert_array_equal(load_scores(config.work_dir / "test_score.npz").scores, whole.scores)


def test_the_original_s_weights_test_as_they_are(
    zoom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    status, said, _ = say(["--phase", "info", "--weights", str(zoom)], capsys, caplog)
    assert status == 0
    for line in (
        "kind        published Zoom Transformer, 2,790,281 parameters",
        "stream      ZiT-ZoT: spatial transformer, then multi-scale temporal convolution",
        "joints      17 (graph.volleyball.AdjMatrixGraph)",
        "input       3 channels, 64 frames, 12 persons",
    ):
        assert line in said
    x = golden_input(ZOOM["input"])
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps((["a", "b"], [0, 1])))
    config = tmp_path / "test.yaml"
    config.write_text(
        f"model: model.zit_zot.Model\nphase: test\nwork_dir: {tmp_path / 'run'}\nnum_worker: 0\ndevice: cpu\n"
        f"test_feeder_args: {{data_path: {tmp_path / 'x.npy'}, label_path: {tmp_path / 'x.pkl'}}}\n"
        "model_args: {graph: graph.volleyball.AdjMatrixGraph, num_head: 6}\n",
        encoding="utf-8",
    )
    status, _, error = say(["--config", str(config), "--weights", str(zoom)], capsys, caplog)
    assert status == 0, error
    scores = load_scores(tmp_path / "run" / "test_score.npz").scores
    np.testing.assert_allclose(scores, ZOOM["logits"], rtol=1e-4, atol=1e-3)
    argv = ["--config", "config/nturgbd/test.yaml", "--weights", str(zoom), "--device", "cpu"]
    status, _, error = say(argv, capsys, caplog)
    assert status == 1
    assert "these weights are of model.zit_zot.Model, not of model.st_tr.Model; set `model:" in error


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ({"max_T": 7}, "frames 8 in the data, max_T 7 in model_args"),
        ({"in_channels": 6}, "channels 3 in the data, in_channels 6 in model_args (`stream: joint+bone`"),
    ],
)
def test_data_that_do_not_fit_are_told_before_training(
    data: Data, tmp_path: Path, args: dict[str, int], complaint: str
) -> None:
    config = make(data, tmp_path, model="model.zit_zot.Model", model_args={**MODEL, **args})
    with pytest.raises(ValueError, match="train data and model do not fit") as refusal:
        train(config)
    assert complaint in str(refusal.value)
    assert not config.work_dir.exists()


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        ("gcn", 3_331_143),
        ("spatial", 3_599_135),
        ("temporal", 5_043_117),
        ("heads-1", 4_733_589),
        ("heads-12", 4_265_264),
    ],
)
def test_info_gives_the_cost_of_each_step_of_the_ablation(
    variant: str, parameters: int, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    status, said, _ = say(["--phase", "info", "--config", f"config/ntu60_xsub/zit-zot-{variant}.yaml"], capsys, caplog)
    assert status == 0
    assert f"parameters  {parameters:,}" in said
