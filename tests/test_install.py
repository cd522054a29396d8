"""Everything installs under one name, and its command works where a user has modules of the same names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

COMMAND = "from st_tr.processor.command import run; raise SystemExit(run())"
NAMES = ("model", "graph", "main", "feeders", "processor", "data_gen", "ensemble", "config")


# every clip is converted by a worker process, which a run of so few does not start
IN_A_WORKER = """
import st_tr.processor.command
from data_gen.common import parallel

class Pool(parallel.ProcessPoolExecutor):
    def submit(self, *call):
        future = super().submit(*call)
        future.exception()
        return future

parallel.ProcessPoolExecutor, parallel._ITEMS_WORTH_A_PROCESS, parallel._CHUNK = Pool, 1, 1
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the packages were installed."""
    pytest.importorskip("setuptools")
    site = tmp_path_factory.mktemp("site")
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(site)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return site


def call(site: Path, folder: Path, *words: str, before: str = "") -> tuple[int, str]:
    """Status and output of the installed command, after some Python, in a folder that shadows every name of ours."""
    for name in NAMES:
        (folder / f"{name}.py").write_text("raise SystemExit('not ours')\n", encoding="utf-8")
    paths = os.pathsep.join([str(folder), str(site)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", before + COMMAND, *words],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_one_name(site: Path) -> None:
    assert [path.name for path in site.iterdir()] == ["st_tr"]
    ours = {path.relative_to(ROOT) for path in (ROOT / "config").rglob("*.yaml")}
    assert {path.relative_to(site / "st_tr") for path in (site / "st_tr" / "config").rglob("*")} >= ours
    results = site / "st_tr" / "processor" / "results"
    assert {path.name for path in results.glob("page.*")} == {"page.css", "page.html", "page.js", "page.py"}
    for package in ("graph", "data_gen", "feeders", "model", "processor"):
        modules = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")}
        assert {path.relative_to(site / "st_tr") for path in (site / "st_tr" / package).rglob("*.py")} == modules


def test_a_run_where_a_user_works(site: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from feeders.feeder import Feeder\n", encoding="utf-8")
    words = ["--config", "config/demo/train.yaml", "--phase", "info", "--feeder", "mine.Feeder"]
    status, text = call(site, tmp_path, *words)
    assert status == 0, text
    assert f"reading {site / 'st_tr' / 'config' / 'demo' / 'train.yaml'}" in text
    assert "classes     10" in text


def test_the_scripts(site: Path, tmp_path: Path) -> None:
    status, text = call(site, tmp_path, "check", "--help")
    assert status == 0, text
    assert text.startswith("usage: st-tr check")
    status, text = call(site, tmp_path, "storage")
    assert status == 1
    assert text.startswith("error: 'storage' is none of check, compare, custom_gendata, ")


def test_a_script_with_workers(site: Path, tmp_path: Path) -> None:
    person = {"pose": [0.25] * 36, "score": [0.5] * 18}
    clip = {"data": [{"frame_index": 1, "skeleton": [person]}], "label": "x", "label_index": 7}
    (tmp_path / "kinetics_train").mkdir()
    for name in ("a", "b"):
        (tmp_path / "kinetics_train" / f"{name}.json").write_text(json.dumps(clip), encoding="utf-8")
    listed = {name: {"has_skeleton": True, "label": "x", "label_index": 7} for name in "ab"}
    (tmp_path / "kinetics_train_label.json").write_text(json.dumps(listed), encoding="utf-8")
    words = ["kinetics_gendata", "--data_path", ".", "--out_folder", "out", "--num_worker", "2"]
    status, text = call(site, tmp_path, *words, before=IN_A_WORKER)
    assert status == 0, text
    assert "(2, 3, 300, 18, 2)" in text
