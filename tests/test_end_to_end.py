"""The newcomer's way: the demo's two streams and their fusion, from nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from processor.results.scores import load_scores

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_demo_from_raw_files_to_fused_streams(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    for name in ("train", "t-tr"):
        said = run(str(ROOT / "main.py"), "--config", str(ROOT / "config" / "demo" / f"{name}.yaml"), "--device", "cpu")
        assert "top-1" in said
        assert "work_dir" in said
    files = [tmp_path / "work_dir" / "demo" / name / "test_score.npz" for name in ("s-tr", "t-tr")]
    for file in files:
        scores = load_scores(file)
        assert scores.top_k(1) >= 0.9
        assert {name[8:12] for name in scores.names} == {"P003", "P006", "P007", "P010"}  # performers never seen
    run(str(ROOT / "ensemble.py"), *map(str, files), "--out", "fused.npz")
    fused = load_scores(tmp_path / "fused.npz")
    assert fused.top_k(1) >= 0.9
