"""`main.py` from the demo's recordings to a test, on with a checkpoint, and a checkpoint on another device."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.parts.setting import Setting
from graph.common.files import ROOT
from processor.results.scores import load_scores


def measure(setting: Setting) -> None:
    """Each command with its seconds; what the two devices say of the test samples is compared."""
    device = "0" if setting.device == "cuda" else setting.device
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        common = ["--config", "config/demo/train.yaml", "--make_data_args.out_folder", f"{folder}/demo"]
        for part, file in (("train", "train"), ("test", "val")):
            common += [f"--{part}_feeder_args.data_path", f"{folder}/demo/xsub/{file}_data_joint.npy"]
            common += [f"--{part}_feeder_args.label_path", f"{folder}/demo/xsub/{file}_label.pkl"]
        if setting.rehearse:
            common += ["--make_data_args.performers", "3", "--make_data_args.replications", "1"]
            common += ["--model_args.channels", "16", "32", "64", "--num_worker", "0"]
        mine, other, first = folder / "device", folder / "cpu", 1 if setting.rehearse else 2
        on_device, on_cpu, resumed = ["--device", device], ["--device", "cpu"], ["--resume", "auto"]
        runs = {
            "epochs": [*on_device, "--num_epoch", f"{first}", "--work_dir", f"{mine}"],
            "another, resumed": [*on_device, *resumed, "--num_epoch", f"{first + 1}", "--work_dir", f"{mine}"],
            "test on the CPU": [*on_cpu, "--phase=test", f"--weights={mine}/last.pt", f"--work_dir={folder}/test"],
            "an epoch on the CPU": [*on_cpu, "--num_epoch", "1", "--work_dir", f"{other}"],
            "its second, resumed": [*on_device, *resumed, "--num_epoch", "2", "--work_dir", f"{other}"],
            "an epoch, compiled": [*on_device, "--num_epoch", "1", "--compile", "--work_dir", f"{folder}/compiled"],
        }
        if setting.rehearse:
            del runs["an epoch, compiled"], runs["an epoch on the CPU"], runs["its second, resumed"]
        for figure, words in runs.items():
            with setting.guarded(figure):
                setting.need(3)
                setting.record(figure, of_command([*common, *words], setting.left()))
        with setting.guarded("scores of both devices"):
            a, b = (load_scores(path / "test_score.npz").scores for path in (mine, folder / "test"))
            agreeing = float((a.argmax(axis=1) == b.argmax(axis=1)).mean())
            difference = float(np.linalg.norm(a - b) / np.linalg.norm(b))
            setting.record("scores of both devices", {"difference": difference, "same class": agreeing})


def of_command(words: list[str], seconds: float) -> dict[str, Any]:
    """What `main.py` says at its end, and how long it took."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "main.py", *words], cwd=ROOT, text=True, capture_output=True, timeout=seconds, check=False
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if "top-1" in line or done.returncode]
    return {"status": done.returncode, "seconds": round(time.monotonic() - started, 1), "said": said[-20:]}
