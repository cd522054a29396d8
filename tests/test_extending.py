"""docs/extending.md, followed word by word in a copy of the project: its files are written, its commands run."""

from __future__ import annotations

import json
import pickle
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT

from processor.results.scores import load_scores

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"# ([\w./-]+\.(?:py|yaml))\n")  # the first line of a file's block
PARTS = ("graph", "feeders", "data_gen", "model", "processor", "config", "main.py", "ensemble.py")
SECTIONS = dict(re.findall(r"^## (\d)\. .*\n((?:(?!^## ).*\n)*)", PAGE, re.MULTILINE))


# takes commands of Python from a file and runs them in turn in this one process, for torch is slow to import; writes
# what each printed, until one fails
FOLLOW = """
import contextlib, importlib, io, json, runpy, sys
commands, said = json.load(open("commands.json")), []
sys.path.insert(0, "")
for program, *words in commands:
    importlib.invalidate_caches()
    sys.argv = [program, *words]
    with io.StringIO() as printed, contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            if program == "-m":
                sys.argv = words
                runpy.run_module(words[0], run_name="__main__")
            elif program == "-c":
                exec(words[0], {})
            else:
                runpy.run_path(program, run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code or 0
        said.append(printed.getvalue())
        json.dump([status, said], open("said.json", "w"))
    if status:
        break
"""
STREAMS = """
import numpy as np
from feeders.acceleration import Feeder as Acceleration
from feeders.hidden import Feeder as Hidden
data = {"data_path": "data/stick/train_data_joint.npy", "label_path": "data/stick/train_label.pkl"}
x = np.load(data["data_path"])[0]
y = Acceleration(**data, stream="acceleration")[0][0].numpy()
np.testing.assert_allclose(y[:, :-2], np.diff(x, n=2, axis=1), atol=1e-6)
np.testing.assert_array_equal(Acceleration(**data, stream="joint+acceleration")[0][0][3:], y)
z = Hidden(**data, hidden_joints=0.5)[0][0].numpy()
hidden = (z == 0).all(axis=(0, 1, 3))
assert 0 < hidden.sum() < 6
np.testing.assert_array_equal(z[:, :, ~hidden], x[:, :, ~hidden])
np.testing.assert_array_equal(Hidden(**data)[0][0], x)
"""
WRONG = ["main.py", "--config", "config/stick/joints.yaml", "--model_args.heads", "5"]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of somebody who did what the page says, and what the commands of each section printed."""
    folder = tmp_path_factory.mktemp("project")
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    commands: list[tuple[str, list[str]]] = []  # each with the number of its section
    for number, section in SECTIONS.items():
        for kind, text in FENCE.findall(section):
            if kind:
                place = PLACE.match(text)
                assert place, f"no file is named for: {text[:60]}"
                path = folder / place[1]
                assert not path.exists(), f"{place[1]} would replace a file of the project"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                continue
            for line in text.splitlines():
                program, *words = shlex.split(line)
                assert program == "python"
                commands.append((number, words))
    commands += [("streams", ["-c", STREAMS]), ("wrong", WRONG)]  # the last one is to fail
    (folder / "commands.json").write_text(json.dumps([words for _, words in commands]))
    subprocess.run([sys.executable, "-c", FOLLOW], cwd=folder, timeout=300, check=True)
    status, printed = json.loads((folder / "said.json").read_text())
    assert (status, len(printed)) == (1, len(commands)), f"{commands[len(printed) - 1]}\n{printed[-1]}"
    said = dict.fromkeys([*SECTIONS, "streams", "wrong"], "")
    for (number, _), text in zip(commands, printed, strict=True):
        said[number] += text
    return folder, said


def checkpoint(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder / "work_dir" / "stick" / name / "last.pt", weights_only=True)
    return content


def first_loss(folder: Path, name: str) -> float:
    text = (folder / "work_dir" / "stick" / name / "log.txt").read_text(encoding="utf-8")
    return float(re.findall(r"step 1: loss ([\d.]+)", text)[0])


def test_every_addition_has_a_section() -> None:
    titles = re.findall(r"^## \d\. (.*)$", PAGE, re.MULTILINE)
    assert " ".join(titles) == (
        "A skeleton A data set A model A term of the attention A stream An augmentation A loss An optimiser"
    )
    assert [*SECTIONS] == [*"12345678"]


def test_skeleton_and_data_set(followed: tuple[Path, dict[str, str]]) -> None:
    folder, said = followed
    for part, size in (("train", 36), ("val", 24)):
        array = np.load(folder / "data" / "stick" / f"{part}_data_joint.npy")
        assert array.shape == (size, 3, 20, 6, 1)
        names, labels = pickle.loads((folder / "data" / "stick" / f"{part}_label.pkl").read_bytes())
        assert len(names) == len(labels) == size
        assert str(array.shape) in said["2"]
    scores = load_scores(folder / "work_dir" / "stick" / "s-tr" / "test_score.npz")
    assert scores.scores.shape == (24, 3)
    shapes = [x.shape for key, x in checkpoint(folder, "s-tr")["model"].items() if key.startswith("gcn0.")]
    assert any(shape[-2:] == (6, 6) for shape in shapes)  # the graph of six joints
    assert checkpoint(folder, "t-tr-bones")["stream"] == "joint+bone"


def test_model(followed: tuple[Path, dict[str, str]]) -> None:
    folder, said = followed
    state = checkpoint(folder, "joints")["model"]
    assert state["spatial.attention.out.weight"].shape == (24, 24)
    assert "one attention over joints" in said["3"]
    assert "model.joints.Model" in said["3"]
    assert "model_args.width: 24 is no multiple of heads, 5" in said["wrong"]


def test_term(followed: tuple[Path, dict[str, str]]) -> None:
    state = checkpoint(followed[0], "head-bias")["model"]
    biases = {key: x for key, x in state.items() if key.endswith("attention.terms.bias.bias")}
    assert len(biases) > 1
    assert all(x.shape == (2, 6, 6) and x.any() for x in biases.values())  # zeros that were trained


def test_stream_and_augmentation(followed: tuple[Path, dict[str, str]]) -> None:
    folder, said = followed
    assert checkpoint(folder, "acceleration")["stream"] == "acceleration"
    assert re.search(r"top-1 +\d", said["5"])
    assert first_loss(folder, "hidden") != first_loss(folder, "s-tr")


def test_loss(followed: tuple[Path, dict[str, str]]) -> None:
    """The first step has the same weights and samples as without it; (1 - 1/3)^1.5 is about 0.54."""
    assert first_loss(followed[0], "focal") == pytest.approx(0.54 * first_loss(followed[0], "s-tr"), rel=0.1)


def test_optimiser(followed: tuple[Path, dict[str, str]]) -> None:
    folder, said = followed
    content = checkpoint(folder, "lion")
    assert content["optimizer_name"] == "Lion"
    assert content["epoch"] == 2
    assert all([*moments] == ["mean"] for moments in content["optimizer"]["state"].values())
    (group,) = content["optimizer"]["param_groups"]
    assert (group["betas"], group["weight_decay"]) == ((0.9, 0.98), 0.1)
    assert "resumed after epoch 1" in said["8"]
