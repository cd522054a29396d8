"""Names of classes are those of the data sets, in the order of their labels, and the benchmarks have them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from data_gen.class_names import KINETICS, NTU60, NTU120
from processor.config.schema import ConfigError, load_config

BENCHMARKS = {
    "nturgbd": NTU60, "ntu60_xsub": NTU60, "ntu60_xview": NTU60, "ntu120_xsub": NTU120, "ntu120_xset": NTU120,
    "kinetics": KINETICS,
}  # fmt: skip
FILES = [path for folder in BENCHMARKS for path in sorted((ROOT / "config" / folder).glob("[!_]*.yaml"))]


def test_ntu() -> None:
    assert (len(NTU60), len(NTU120), len(set(NTU120))) == (60, 120, 120)
    assert NTU120[:60] == NTU60
    for action, name in {
        1: "drink water", 10: "clapping", 13: "tear up paper", 25: "reach into pocket", 43: "falling",
        50: "punching/slapping other person", 55: "hugging other person", 58: "handshaking",
        60: "walking apart from each other", 61: "put on headphone", 73: "staple book", 84: "play magic cube",
        99: "running on the spot", 105: "blow nose", 106: "hit other person with something", 112: "high-five",
        120: "finger-guessing game (playing rock-paper-scissors)",
    }.items():  # fmt: skip
        assert NTU120[action - 1] == name
    # actions of two persons, by the authors' paper
    mutual = [action for action, name in enumerate(NTU120, 1) if "other" in name]
    assert set(mutual) <= {*range(50, 61), *range(106, 121)}


def test_kinetics() -> None:
    assert (len(KINETICS), len(set(KINETICS))) == (400, 400)
    assert list(KINETICS) == sorted(KINETICS)
    assert (KINETICS[0], KINETICS[91], KINETICS[199], KINETICS[399]) == ("abseiling", "dining", "motorcycling", "zumba")


def test_kinetics_are_those_of_the_label_files(samples: Path) -> None:
    for part in ("train", "val"):
        text = (samples / "kinetics_skeleton" / f"kinetics_{part}_label.json").read_text(encoding="utf-8")
        clips = json.loads(text).values()
        assert {(clip["label_index"], clip["label"]) for clip in clips} <= set(enumerate(KINETICS))
    assert {clip["label_index"] for clip in clips} == set(range(400))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT / "config").as_posix())
def test_a_benchmark_names_its_classes(path: Path) -> None:
    assert load_config(["--config", str(path)]).class_names == list(BENCHMARKS[path.parent.name])


def test_other_classes_need_other_names(tmp_path: Path) -> None:
    base = ROOT / "config" / "ntu60_xsub" / "s-tr.yaml"
    with pytest.raises(ConfigError, match=r"class_names: 60 names, but model_args.num_class is 5"):
        load_config(["--config", str(base), "--model_args.num_class", "5"])
    own = tmp_path / "own.yaml"
    for names, expected in (("null", None), ("[a, b, c, d, e]", list("abcde"))):
        own.write_text(f"_base_: {base.as_posix()}\nclass_names: {names}\nmodel_args: {{num_class: 5}}\n")
        assert load_config(["--config", str(own)]).class_names == expected
    argv = ["--config", str(base), "--model_args.num_class", "5", "--class_names", "null"]
    assert load_config(argv).class_names is None


def test_the_files_of_names_are_installed(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    subprocess.run([sys.executable, "setup.py", "-q", "build_py", "-d", tmp_path], cwd=ROOT, check=True)
    code = "import st_tr.processor.command; from data_gen import class_names as c; print(c.__file__, len(c.KINETICS))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(tmp_path / "st_tr" / "data_gen" / "class_names" / "__init__.py"), "400"]
