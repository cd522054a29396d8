"""A module of parts that a configuration may name, and short configurations of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from processor.config.schema import Config, ConfigError, load_config

PARTS = """
from dataclasses import dataclass

from torch import nn

ACTIONS = ("sit down", "stand up")


class Feeder:
    def __init__(self, data_path: str, label_path: str, *, window_size: int = -1, mirroring: bool = False):
        raise AssertionError("a feeder was built")

    def __len__(self):
        return 0

    def __getitem__(self, index):
        return None


class Model(nn.Module):
    def __init__(
        self, num_class: int, dropout: float = 0.5, widths: list[int] | None = None, graph="", graph_args=()
    ):
        raise AssertionError("a model was built")


def make(out_folder: str, *, count: int = 3):
    raise AssertionError("data were made")
"""
MINIMAL = """
feeder: parts.Feeder
train_feeder_args: {data_path: a.npy, label_path: a.pkl}
test_feeder_args: {data_path: b.npy, label_path: b.pkl}
model: parts.Model
model_args: {num_class: 2}
"""


def workplace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes `folder` the current one, with the module `parts` in it."""
    (folder / "parts.py").write_text(PARTS, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def load(text: str, *words: str) -> Config:
    """The configuration of a file `c.yaml` with MINIMAL below `text`."""
    Path("base.yaml").write_text(MINIMAL, encoding="utf-8")
    Path("c.yaml").write_text(f"_base_: base.yaml\n{text}", encoding="utf-8")
    return load_config(["--config", "c.yaml", *words])


def problems(text: str, *words: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, *words)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return list(caught.value.problems)
