"""Every configuration is valid, and the documented one answers a user without data."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import main as program
from graph.common.imports import import_object
from processor.config.schema import load_config, names_of_classes

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for path in (ROOT / "config").rglob("*.yaml") if "/_" not in path.as_posix())


def name(path: Path) -> str:
    return path.relative_to(ROOT / "config").as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_config_builds_a_model_that_trains(path: Path) -> None:
    config = load_config(["--config", str(path)])
    model = import_object(config.model)(**config.model_args)
    o = model.options
    names = names_of_classes(config)
    assert names is None or len(names) == o.num_class
    C, T, V, M = o.shape
    x = torch.randn(1, C, min(T or 12, 12), V, M)
    loss = torch.nn.functional.cross_entropy(model(x), torch.tensor([o.num_class - 1]))
    loss.backward()
    assert torch.isfinite(loss)


def test_work_dirs_do_not_meet() -> None:
    folders = [load_config(["--config", str(path)]).work_dir for path in FILES]
    assert len(set(folders)) == len(folders)


def test_the_documented_config_shows_its_switches() -> None:
    text = (ROOT / "config" / "nturgbd" / "train.yaml").read_text(encoding="utf-8")
    for key in ("attention", "tcn_attention", "only_attention", "all_layers", "training"):
        assert f"\n{key}:" in text or f"\n  {key}:" in text


def test_without_data_the_documented_config_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program.main(["--config", str(ROOT / "config" / "nturgbd" / "train.yaml"), "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    for part in ("train_data_joint.npy", "requested at https://", "data_gen/preprocess.py", "config/demo/train.yaml"):
        assert part in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["nturgbd", "ntu60_xsub", "ntu60_xview", "ntu120_xsub", "ntu120_xset"])
def test_where_the_list_of_missing_skeletons_is_is_said(folder: str) -> None:
    help_text = load_config(["--config", str(ROOT / "config" / folder / "test.yaml")]).data_help or ""
    name = f"NTU_RGBD{'120' if '120' in folder else ''}_samples_with_missing_skeletons.txt"
    assert f"https://github.com/shahroudy/NTURGB-D/blob/master/Matlab/{name}" in help_text
    assert f"--ignored_sample_path {name} " in help_text
