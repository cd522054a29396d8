"""Exported files give the logits of the model, for any number of clips and frames, and say how to use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import MODEL, make, say, write_data

from model.st_tr import Model
from model.zit_zot import Model as ZitZot
from processor.engine.setup import set_up_training
from processor.tools.export import trace

VARIANTS: dict[str, Any] = {
    "s-tr": {},
    "t-tr": {"attention": False, "tcn_attention": True},
    "one-stream": {"tcn_attention": True, "adjacency": True, "agcn": True},
    "relative": {"relative": True, "tcn_attention": True, "window_size": 12},
    "all-layers": {"all_layers": True, "attention": False, "tcn_attention": True, "more_channels": True, "n": 2},
    "zit-zot": {"group_relation": True},
    "zit-zot-gcn": {"spatial": False, "parallel": True, "person_order": True},
}


def model_of(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if name.startswith("zit-zot"):
        return ZitZot(num_class=5, **VARIANTS[name]).eval()
    return Model(**{"num_class": 5, "channels": [8, 8, 16], "Nh": 2, "window_size": 12, **VARIANTS[name]}).eval()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = make(write_data(tmp_path), tmp_path, class_names=["run", "sit", "walk"])
    training = set_up_training(config)
    training.checkpoints.save(training.state)
    return config.work_dir


@pytest.mark.slow  # tracing takes half a minute
def test_pt2(run: Path, capsys: Any, caplog: Any) -> None:
    status, said, error = say(
        ["--phase", "export", "--weights", str(run / "last.pt"), "--format", "pt2"], capsys, caplog
    )
    assert (status, error) == (0, "")
    assert f"wrote {run / 'last.pt2'}" in said
    extra = {"st_tr": ""}
    program = torch.export.load(run / "last.pt2", extra_files=extra)
    about = json.loads(extra["st_tr"])
    assert about["class_names"] == ["run", "sit", "walk"]
    assert (about["shape"], about["any_frames"]) == ([3, 8, 20, 1], True)
    assert about["joints"][:2] == ["hip center", "spine"]
    assert len(about["parents"]) == 20
    model = Model(**MODEL).eval()
    model.load_state_dict(torch.load(run / "last.pt", weights_only=True)["model"])
    for size, frames in ((1, 8), (5, 13)):
        x = torch.randn(size, 3, frames, 20, 1, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(program.module()(x), model(x), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_onnx_runtime_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (requirements-onnx.txt)")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (requirements-onnx.txt)")
    model = model_of(name)
    program, any_frames = trace(model, (3, 12, 25, 2))
    onnx = torch.onnx.export(program, dynamo=True, input_names=["x"], output_names=["logits"], verbose=False)
    assert onnx is not None
    onnx.save(str(tmp_path / "a.onnx"))
    session = runtime.InferenceSession(tmp_path / "a.onnx")
    for size, frames in ((1, 12), (3, 15 if any_frames else 12)):
        x = torch.randn(size, 3, frames, 25, 2, generator=torch.Generator().manual_seed(1))
        (logits,) = session.run(None, {"x": x.numpy()})
        np.testing.assert_allclose(logits, model(x).detach().numpy(), rtol=0, atol=1e-4)


def test_mistakes_are_named(run: Path, capsys: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--phase", "export", "--weights", str(run / "last.pt")]
    for further, problem in (
        ([], "export: the following arguments are required: --format"),
        (["--format", "tflite"], "export: argument --format: invalid choice: 'tflite'"),
        (["--format", "pt2", "--out", str(run)], f"out: {run} is a folder"),
        (["--format", "pt2", "--out", str(run / "last.pt")], f"out: {run / 'last.pt'} is the file of weights"),
        (["--format", "onnx"], "format: onnx needs onnx and onnxscript; pip install -r requirements-onnx.txt"),
    ):
        monkeypatch.setattr("processor.tools.export.find_spec", lambda _: None)
        status, _, error = say([*words, *further], capsys, caplog)
        assert status == 1
        assert error.startswith(f"error: {problem}")
    assert sorted(path.name for path in run.iterdir()) == ["config.yaml", "last.pt"]
