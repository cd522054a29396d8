"""Exported files give the logits of the model, for any number of clips and frames, and say how to use them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from golden_weights import golden_weights
from runs import MODEL, make, say, write_data

from model.published import from_published
from model.st_tr import Model
from model.streaming import Stream
from model.zit_zot import Model as ZitZot
from processor.engine.setup import set_up_training
from processor.tools.export import export, export_stream, trace, write
from processor.tools.trained import load_trained

PUBLISHED: dict[str, Any] = json.loads((ROOT / "tests" / "golden" / "st_tr.json").read_text())

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
    config = make(write_data(tmp_path), tmp_path, model="model.st_tr.Model", class_names=["run", "sit", "walk"])
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
    assert (about["shape"], about["frames"][1]) == ([3, 8, 20, 1], None)
    assert about["joints"][:2] == ["hip center", "spine"]
    assert len(about["parents"]) == 20
    model = Model(**MODEL).eval()
    model.load_state_dict(torch.load(run / "last.pt", weights_only=True)["model"])
    for size, frames in ((1, 8), (5, 13), (2, about["frames"][0])):
        x = torch.randn(size, 3, frames, 20, 1, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(program.module()(x), model(x), rtol=0, atol=1e-4)


def check_onnx(model: torch.nn.Module, shape: tuple[int, int, int, int], path: Path) -> tuple[int, int | None]:
    """ONNX Runtime gives the model's logits of other numbers of clips and frames; the frames that the file takes."""
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (requirements-onnx.txt)")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (requirements-onnx.txt)")
    (C, T, V, M), (program, (least, most)) = shape, trace(model, shape, "onnx")
    write(program, path, "onnx", {}, ["x"], ["logits"])
    session = runtime.InferenceSession(path)
    assert least <= T
    for size, frames in ((1, T), (3, T + 3 if most is None else most), (2, max(T - 3, least)), (1, least)):
        x = torch.randn(size, C, frames, V, M, generator=torch.Generator().manual_seed(1))
        (logits,) = session.run(None, {"x": x.numpy()})
        np.testing.assert_allclose(logits, model(x).detach().numpy(), rtol=0, atol=1e-4)
    return least, most


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_onnx_runtime_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    least, most = check_onnx(model_of(name), (3, 12, 25, 2), tmp_path / "a.onnx")
    assert least == (12 if name == "all-layers" else 1)
    assert most == {"relative": 12, "zit-zot": 100, "zit-zot-gcn": 100, "all-layers": 12}.get(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED["variants"])
def test_onnx_runtime_gives_the_logits_of_published_weights(name: str, tmp_path: Path) -> None:
    variant = PUBLISHED["variants"][name]
    state = golden_weights(variant["state"])
    options = {**PUBLISHED["base"], **variant["model_args"], "graph": variant["graph"]}
    _, C, T, V, M = variant["input"]
    check_onnx(from_published(state, options).eval(), (C, min(T, 24), V, M), tmp_path / "a.onnx")


@pytest.mark.slow
def test_the_script_of_the_document_labels_clips(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed (requirements-onnx.txt)")
    (trained,) = load_trained([run / "last.pt"], device="cpu")
    export(trained, tmp_path / "a.onnx", "onnx")
    text = (ROOT / "docs" / "deploy.md").read_text()
    make, script, _ = re.findall(r"^```py\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(script.splitlines()) <= 30
    assert re.findall(r"^(?:import|from) (\w+)", script, re.MULTILINE) == ["json", "sys", "numpy", "onnxruntime"]
    (tmp_path / "label.py").write_text(script)
    monkeypatch.chdir(tmp_path)
    exec(make.replace("config/demo/train.yaml", str(run / "config.yaml")), {})
    x = torch.from_numpy(np.load("clips.npy"))
    assert x.shape == (5, 3, 8, 20, 1)
    words = [sys.executable, "label.py", "a.onnx", "clips.npy"]
    said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    with torch.no_grad():
        probability = trained.model(x).softmax(dim=1)
    for number, (line, row) in enumerate(zip(said, probability, strict=True)):
        first, second, third = row.argsort(descending=True).tolist()
        names = trained.class_names
        expected = f"{number} " + ", ".join(f"{names[i]} {100 * row[i]:.1f} %" for i in (first, second, third))
        assert line == expected
    monkeypatch.setattr("processor.tools.export._holds", lambda *_: False)  # so that it takes eight frames only
    export(trained, tmp_path / "a.onnx", "onnx")
    np.save("clips.npy", x[:, :, :3])
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.split(";")[0]) == (1, "clips have 3 frames, the model takes 8 to 8")


@pytest.mark.slow
def test_onnx_runtime_steps_through_a_clip(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed (requirements-onnx.txt)")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (requirements-onnx.txt)")
    (trained,) = load_trained([run / "last.pt"], device="cpu")
    with pytest.raises(
        ValueError, match=r"^stream: sampling: even chooses among all frames of a clip; leave --stream out, or "
    ):
        export_stream(replace(trained, args={"sampling": "even"}), tmp_path / "a.onnx", "onnx")
    attending = Model(**{**trained.model.options.__dict__, "attention": False, "tcn_attention": True}).eval()
    with pytest.raises(ValueError, match="temporal attention looks at all frames"):  # whatever the feeder does
        export_stream(replace(trained, model=attending, args={"sampling": "even"}), tmp_path / "a.onnx", "onnx")
    paths = export_stream(trained, tmp_path / "a.onnx", "onnx")
    assert [path.name for path in paths] == ["a.step.onnx", "a.tail.onnx"]
    step, tail = map(runtime.InferenceSession, paths)
    about = json.loads(step.get_modelmeta().custom_metadata_map["st_tr"])
    for N in (1, 3):
        x, stream = torch.randn(N, 3, 21, 20, 1), Stream(trained.model)
        state = {
            tensor["name"]: np.zeros([N if n == "N" else n for n in tensor["shape"]], tensor["type"])
            for tensor in about["state"]
        }
        for t in range(21):
            stream.push(x[:, :, t])
            four = torch.zeros(N, 3, 4, 20, 1)
            four[:, :, : t % 4 + 1] = x[:, :, t - t % 4 : t + 1]
            (logits,) = tail.run(None, {"frames": four.numpy(), "count": np.array([t % 4 + 1]), **state})
            np.testing.assert_allclose(logits, stream.logits().numpy(), rtol=0, atol=1e-4)
            if t % 4 == 3:
                state = dict(zip(state, step.run(None, {"frames": four.numpy(), **state}), strict=True))
    x = x[0].numpy()
    for part, path in zip(("step", "tail"), paths, strict=True):
        path.rename(tmp_path / f"s-tr.{part}.onnx")
    np.save(tmp_path / "clip.npy", x)
    *_, loop = re.findall(r"^```py\n(.*?)^```$", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL | re.MULTILINE)
    (tmp_path / "loop.py").write_text(loop)
    said = subprocess.run([sys.executable, "loop.py"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == trained.class_names[int(logits[0].argmax())]


def test_mistakes_are_named(run: Path, capsys: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--phase", "export", "--weights", str(run / "last.pt")]
    for further, problem in (
        ([], "export: the following arguments are required: --format"),
        (["--format", "pt2", "--device", "cuda"], "device: export computes on the CPU"),
        (["--format", "pt2", "--out", str(run / "last.pt" / "a.pt2")], f"out: {run / 'last.pt'} is no folder"),
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
