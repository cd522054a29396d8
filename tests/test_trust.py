"""Nothing that is read runs: the same payload in every file that a program takes, and in every place that a run writes.

Each program is called as from the command line. The payload is real: unpickled by Python itself, it makes a folder.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import ensemble
import main as program
from data_gen import check, custom_gendata, ntu_gen_bones, pyskl_gendata
from graph.channels import Channels
from processor.config.schema import Config, resolved
from processor.results.scores import Scores, save_scores
from processor.results.work_dir import RESULTS, RUN
from processor.state.data import TestData


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def as_pickle(payload: Payload) -> bytes:
    return pickle.dumps((["a", "b"], [0, payload]), protocol=2)


def as_array(payload: Payload) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([payload, 1], dtype=object), allow_pickle=True)
    return file.getvalue()


def as_arrays(payload: Payload) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as together:
        for name in ("names", "scores"):
            together.writestr(f"{name}.npy", as_array(payload))
    return file.getvalue()


def as_checkpoint(payload: Payload) -> bytes:
    file = io.BytesIO()
    torch.save({"model": {"fcn.weight": torch.zeros(2)}, "optimizer": payload}, file)
    return file.getvalue()


def as_yaml(payload: Payload) -> bytes:
    return f"name: !!python/object/apply:os.mkdir [{str(payload.folder)!r}]\n".encode()


def as_checkpoint_with_yaml(payload: Payload) -> bytes:
    file = io.BytesIO()
    torch.save({"model": {"fcn.weight": torch.zeros(2)}, "config": as_yaml(payload).decode()}, file)
    return file.getvalue()


def config(folder: Path, *changes: str) -> list[str]:
    """Words for `main.py`: a sound run, but for what the test puts in the place of one of its files."""
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 20, 1)).astype(np.float32)
    for path, content in (("x.npy", None), ("y.pkl", (["a", "b"], [0, 1]))):
        if not (folder / path).exists():
            np.save(folder / path, x) if content is None else (folder / path).write_bytes(pickle.dumps(content))
    data = {"data_path": str(folder / "x.npy"), "label_path": str(folder / "y.pkl")}
    args = {"num_class": 3, "num_point": 20, "num_person": 1, "window_size": 8, "graph": "graph.nw_ucla.Graph"}
    sound = Config(
        train_feeder_args=data, test_feeder_args=data, model_args={**args, "channels": [16, 16, 32], "Nh": 2},
        num_epoch=1, num_worker=0, device="cpu", work_dir=folder / "run", show_topk=[1],
    )  # fmt: skip
    (folder / "sound.yaml").write_text(resolved(sound), encoding="utf-8")
    return ["--config", str(folder / "sound.yaml"), *changes]


def streams(folder: Path, *words: str) -> list[str]:
    save_scores(folder / "sound.npz", Scores(("a", "b"), np.eye(2, dtype=np.float32)))
    return [str(folder / "sound.npz"), *words]


def own_files(folder: Path, skeleton: str = "sound.yaml") -> list[str]:
    (folder / "files").mkdir(exist_ok=True)
    (folder / "labels.csv").write_text("file,label,split\na.npy,0,train\n", encoding="utf-8")
    (folder / "sound.yaml").write_text(
        "name: arm\njoints: [neck, elbow, hand]\nbones: [[0, 1], [1, 2]]\ncenter: neck\n", encoding="utf-8"
    )
    paths = {"data_path": "files", "label_path": "labels.csv", "skeleton": skeleton, "out_folder": "out"}
    return [word for name, path in paths.items() for word in (f"--{name}", str(folder / path))]


# the file, what is in it, the program and its words
PLACES: dict[str, tuple[str, Callable[[Payload], bytes], Callable[..., Any], Callable[[Path], Sequence[str]]]] = {
    "weights": ("w.pt", as_checkpoint, program.main, lambda f: config(f, "--weights", str(f / "w.pt"))),
    "weights, a bare pickle": ("w.pt", as_pickle, program.main, lambda f: config(f, "--weights", str(f / "w.pt"))),
    "weights of info": (
        "w.pt", as_checkpoint, program.main, lambda f: ["--phase", "info", "--weights", str(f / "w.pt")],
    ),
    "configuration in weights": (
        "w.pt", as_checkpoint_with_yaml, program.main, lambda f: config(f, "--weights", str(f / "w.pt")),
    ),
    "resume": ("w.pt", as_checkpoint, program.main, lambda f: config(f, "--resume", str(f / "w.pt"))),
    "resume: auto": ("run/last.pt", as_checkpoint, program.main, lambda f: config(f, "--resume", "auto")),
    "configuration": ("c.yaml", as_yaml, program.main, lambda f: ["--config", str(f / "c.yaml")]),
    "word of the command line": (
        "unused", as_yaml, program.main,
        lambda f: config(f, "--seed", f"!!python/object/apply:os.mkdir [{str(f / 'ran')!r}]"),
    ),
    "data": ("x.npy", as_array, program.main, config),
    "labels": ("y.pkl", as_pickle, program.main, config),
    "published scores": ("s.pkl", as_pickle, ensemble.main, lambda f: streams(f, str(f / "s.pkl"))),
    "scores": ("s.npz", as_arrays, ensemble.main, lambda f: streams(f, str(f / "s.npz"))),
    "labels of scores": ("y.pkl", as_pickle, ensemble.main, lambda f: streams(f, "--label", str(f / "y.pkl"))),
    "annotations of pyskl": (
        "a.pkl", as_pickle, pyskl_gendata.main,
        lambda f: ["--data_path", str(f / "a.pkl"), "--out_folder", str(f / "out")],
    ),
    "own sequence": ("files/a.npy", as_array, custom_gendata.main, own_files),
    "own pickle": (
        "a.pkl", as_pickle, custom_gendata.main, lambda f: [*own_files(f), "--data_path", str(f / "a.pkl")],
    ),
    "own archive": (
        "a.npz", as_arrays, custom_gendata.main, lambda f: [*own_files(f), "--data_path", str(f / "a.npz")],
    ),
    "own skeleton": ("bad.yaml", as_yaml, custom_gendata.main, lambda f: own_files(f, "bad.yaml")),
    "checked array": ("train_data_joint.npy", as_array, check.main, lambda f: [str(f)]),
    "array whose bones are made": (
        "xsub/train_data_joint.npy", as_array, ntu_gen_bones.main, lambda f: ["--data_folder", str(f)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_payload_does_not_run(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    name, content, main, words = PLACES[place]
    ran = tmp_path / "ran"
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content(Payload(ran)))
    try:
        assert main(words(tmp_path)) == 1
        problem = capsys.readouterr().err + caplog.text
    except ValueError as error:
        problem = str(error)
    assert not ran.exists()
    assert ("command line" if name == "unused" else file.name) in problem


@pytest.mark.parametrize("content", [as_pickle, as_array, as_checkpoint, as_yaml])
def test_the_payloads_are_real(content: Callable[[Payload], bytes], tmp_path: Path) -> None:
    file, ran = tmp_path / "file", tmp_path / "ran"
    file.write_bytes(content(Payload(ran)))
    if content is as_yaml:
        yaml.unsafe_load(file.read_bytes())
    elif content is as_array:
        np.load(file, allow_pickle=True)
    elif content is as_checkpoint:
        torch.load(file, weights_only=False)
    else:
        pickle.loads(file.read_bytes())
    assert ran.exists()


@pytest.mark.parametrize("name", [name.replace("*", "1") for name in (*RUN, *RESULTS)])
@pytest.mark.parametrize("kind", ["link", "folder"])
def test_nothing_is_written_through_a_link(
    name: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a run writes: it is a link to another's file, or something else."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    words = config(tmp_path, "--overwrite")
    place = tmp_path / "run" / name
    place.parent.mkdir()
    place.symlink_to(precious) if kind == "link" else place.mkdir()
    assert program.main(words) == 1
    problem = "a symbolic link" if kind == "link" else "no plain file"
    assert f"work_dir: {place} is {problem}, where a run writes; remove it" in capsys.readouterr().err
    assert precious.read_text() == "mine"
    assert [path.name for path in place.parent.iterdir()] == [name]


def test_a_work_dir_is_a_folder_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = config(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder, problem in (
        (tmp_path / "link", f"is a symbolic link; name what it stands for, {tmp_path / 'elsewhere'}"),
        (tmp_path / "file", "is a file; name another folder"),
        (tmp_path, "is no folder for a run alone; name a new one, such as work_dir/run"),
        (Path("/"), "is no folder for a run alone"),
        (Path(program.__file__).parent, "is no folder for a run alone"),
    ):
        for phase in ("train", "benchmark"):
            assert program.main([*words, "--work_dir", str(folder), "--phase", phase]) == 1
            assert f"work_dir: {folder} {problem}" in capsys.readouterr().err
    assert not list((tmp_path / "elsewhere").iterdir())
    (tmp_path / "below").symlink_to(tmp_path / "elsewhere")  # a disk for all runs is linked like this
    assert program.main([*words, "--work_dir", str(tmp_path / "below" / "run")]) == 0
    assert (tmp_path / "elsewhere" / "run" / "last.pt").exists()


def test_what_a_killed_run_was_writing_goes(tmp_path: Path) -> None:
    words = config(tmp_path)
    assert program.main(words) == 0
    (tmp_path / "run" / "last.pt.123.tmp").write_bytes(b"half")
    assert program.main([*words, "--resume", "auto"]) == 0
    assert not list((tmp_path / "run").glob("*.tmp"))


FORGED = {  # a configuration inside weights
    "model": ("model: os.system\nmodel_args: {command: touch ran}", "a model from elsewhere"),
    "function of ours": (
        "model: processor.config.schema.load_config\nmodel_args: {argv: []}",
        "a model from elsewhere",
    ),
    "graph": ("model: model.st_tr.Model\nmodel_args: {graph: antigravity.Graph}", "a graph from elsewhere"),
    "import": (
        "model: model.st_tr.Model\nmodel_args: {graph: graph.import_module, graph_args: {name: forged_module}}",
        "a graph from elsewhere",
    ),
    "size": ("model: model.st_tr.Model\nmodel_args: {num_class: 100000000}", "GB of memory"),
    "some size": ("model: model.st_tr.Model\nmodel_args: {num_class: 1000000}", "the model that it names would take"),
    "window": (
        "model: model.st_tr.Model\nmodel_args: {tcn_attention: true, relative: true, window_size: 1000000000}",
        "GB of memory",
    ),
    "graph's arguments": ("model: model.st_tr.Model\nmodel_args: {graph_args: {stranger: 1}}", "stranger"),
}


@pytest.mark.parametrize("optimised", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("phase", ["info", "test"])
@pytest.mark.parametrize("forged", FORGED)
def test_a_configuration_in_weights_names_nothing_but_our_own(
    forged: str,
    phase: str,
    optimised: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, problem = FORGED[forged]
    torch.save({"model": {"fcn.bias": torch.zeros(3)}, "config": text}, tmp_path / "w.pt")
    (tmp_path / "forged_module.py").write_text("open('ran', 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["--phase", phase, "--weights", str(tmp_path / "w.pt")]
    if phase == "test":
        words += ["--config", config(tmp_path)[1]]
        sound = Path(words[-1])
        content = yaml.safe_load(sound.read_text())
        content["model_args"] = {}
        sound.write_text(yaml.safe_dump(content))
    if optimised:
        program_file = str(Path(program.__file__))
        run = subprocess.run([sys.executable, "-O", program_file, *words], capture_output=True, text=True, check=False)
        status, said = run.returncode, run.stderr
    else:
        status, said = program.main(words), capsys.readouterr().err
    assert status == 1
    assert problem in said
    assert said.count("\n") == 1
    assert not (tmp_path / "ran").exists()


USES = {  # phases that need no configuration, with what else they are given
    "predict": ("--input", "rec.npy"),
    "explain": ("--input", "rec.npy", "--out", "out"),
    "export": ("--format", "pt2", "--out", "out.pt2"),
}


@pytest.mark.parametrize("phase", USES)
@pytest.mark.parametrize("forged", [*FORGED, "feeder"])
def test_weights_alone_name_nothing_but_our_own(
    forged: str, phase: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, problem = {
        **FORGED,
        "feeder": ("model: model.st_tr.Model\nmodel_args: {}\nfeeder: os.system", "a feeder from elsewhere"),
    }[forged]
    data = TestData("val_data_joint.npy", (3, 20, 25, 1), Channels(), None, {"script": "custom_gendata.py"})
    content = {"model": {"fcn.bias": torch.zeros(3)}, "config": text, "epoch": 1, "data": data.as_plain()}
    torch.save(content, tmp_path / "w.pt")
    np.save(tmp_path / "rec.npy", np.zeros((20, 25, 3), np.float32) + 1)
    (tmp_path / "forged_module.py").write_text("open('ran', 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert program.main(["--phase", phase, "--weights", "w.pt", *USES[phase]]) == 1
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
    assert not (tmp_path / "ran").exists()
    assert "antigravity" not in sys.modules
    assert not list(tmp_path.glob("out*"))


def test_weights_of_a_users_model_are_trusted_where_the_user_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_model.py").write_text(
        "from torch import nn\n\nclass Net(nn.Module):\n    def __init__(self, width: int = 2) -> None:\n"
        "        super().__init__()\n        self.fc = nn.Linear(width, 3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    state = {"fc.weight": torch.zeros(3, 4), "fc.bias": torch.zeros(3)}
    torch.save({"model": state, "config": "model: their_model.Net\nmodel_args: {width: 4}"}, tmp_path / "w.pt")
    words = ["--phase", "info", "--weights", str(tmp_path / "w.pt")]
    assert program.main(words) == 1
    assert "if it is to be trusted, give it: --model their_model.Net" in capsys.readouterr().err
    assert program.main([*words, "--model", "their_model.Net"]) == 0
    assert "15" in capsys.readouterr().out  # parameters
    assert program.main([*words, "--model", "os.system"]) == 1
    assert "os.system is not a torch module" in capsys.readouterr().err


def test_a_state_dict_that_holds_itself_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state: dict[str, Any] = {}
    state["model"] = state
    torch.save(state, tmp_path / "w.pt")
    for words in (["--phase", "info", "--weights"], [*config(tmp_path), "--resume"]):
        assert program.main([*words, str(tmp_path / "w.pt")]) == 1
        assert "w.pt" in capsys.readouterr().err


def test_a_checkpoint_that_grows_when_it_is_unpacked_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"fcn.bias": torch.zeros(10_000_000)}, tmp_path / "w.pt")
    with (
        zipfile.ZipFile(tmp_path / "w.pt") as file,
        zipfile.ZipFile(tmp_path / "p.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in file.infolist():
            packed.writestr(entry.filename, file.read(entry))
    assert (tmp_path / "p.pt").stat().st_size < 1_000_000
    assert program.main(["--phase", "info", "--weights", str(tmp_path / "p.pt")]) == 1
    assert "p.pt is damaged" in capsys.readouterr().err
