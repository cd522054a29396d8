"""What a configuration says is taken as it is written: text, paths, keys that are dropped, numbers that are sound."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from configs import MINIMAL, load, problems, workplace
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_gen.common.command_line import expand
from graph.common.files import ROOT
from graph.common.yaml_text import Scalar
from processor.config import layers as config_file
from processor.config.schema import Config, ConfigError, load_config, model_of, resolved
from processor.config.values import coerce

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


def again(config: Config) -> Config:
    """`config` as it is read from what a run writes."""
    Path("resolved.yaml").write_text(resolved(config), encoding="utf-8")
    return load_config(["--config", "resolved.yaml"])


class TestText:
    @pytest.mark.parametrize(
        "words", [[], ["--class_names", "yes", "1e3", "--work_dir", "20241105", "--data_help", "on"]]
    )
    def test_it_stays_as_it_is_written(self, words: list[str]) -> None:
        text = "class_names: [yes, 1e3]\nwork_dir: 20241105\ndata_help: on\nweights: 1\nphase: test"
        config = load(text if not words else "weights: 1\nphase: test", *words)
        assert config.class_names == ["yes", "1e3"]
        assert config.work_dir == Path("20241105")
        assert config.weights == Path("1")
        assert config.data_help == "on"
        assert again(config) == config

    def test_names_may_be_anything(self) -> None:
        text = (
            "class_names: [null, ~, 007, 0x1F, 1_000, .5, .inf, 12:30, 2024-01-02, True]\nmodel_args: {num_class: 10}"
        )
        config = load(text)
        assert config.class_names == ["null", "~", "007", "0x1F", "1_000", ".5", ".inf", "12:30", "2024-01-02", "True"]
        assert again(config) == config

    @pytest.mark.parametrize("null", ["null", "~", ""])
    def test_null_is_none_or_refused(self, null: str) -> None:
        assert load(f"class_names: {null}\ndata_help: {null}").class_names is None
        assert problems(f"work_dir: {null}")[0].startswith("c.yaml:2: work_dir: None must be a path; to drop")
        assert problems(f"test_feeder_args: {{data_path: {null}}}")[0].startswith(
            "c.yaml:2: test_feeder_args.data_path: None must be text"
        )

    @pytest.mark.parametrize(
        ("text", "value", "hint", "expected"),
        [
            ("7", 7, str | int, 7),
            ("7", 7, int | str, 7),
            ("7", 7, str | Path, "7"),
            ("yes", True, bool | str, True),
            ("1e3", 1000.0, str | None, "1e3"),
            ("null", None, str | None, None),
            ("null", None, list[str | None], None),
            ("7", 7, Any, 7),
            ("7", 7, list[str], ["7"]),
        ],
    )
    def test_the_hint_decides(self, text: str, value: Any, hint: Any, expected: Any) -> None:
        if hint == list[str | None]:
            assert coerce([Scalar(text, value)], hint) == [expected]
        else:
            assert coerce(Scalar(text, value), hint) == expected

    def test_arguments_without_a_hint(self) -> None:
        Path("free.py").write_text(
            "from parts import Feeder as F\nclass Feeder(F):\n    def __init__(self, data_path, number): ...\n"
        )
        text = MINIMAL + "feeder: free.Feeder\n"
        text = text.replace("feeder: parts.Feeder\n", "").replace("label_path: a.pkl", "number: 1")
        Path("f.yaml").write_text(text.replace("label_path: b.pkl", "number: 1").replace("a.npy", "2024"))
        assert load_config(["--config", "f.yaml"]).train_feeder_args == {"data_path": "2024", "number": 1}

    @settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(key=st.text(min_size=1, max_size=6), text=st.text(max_size=9))
    def test_any_text_survives_as_a_key_and_a_value(self, folder: Path, key: str, text: str) -> None:
        config = Config(model="parts.Model", model_args={"graph": text, "graph_args": {f"k{key}": [text, {key: text}]}})
        if not any("\ud800" <= x <= "\udfff" or x == "\0" for x in key + text):
            _, args = model_of(resolved(config))
            assert args == config.model_args


class TestPaths:
    def test_home_and_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        home = Path.cwd() / "home"
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("USERPROFILE", str(home))
        monkeypatch.setenv("SCRATCH", "/big")
        text = "work_dir: ~/runs\nphase: test\nweights: $SCRATCH/w.pt\nresume: ${SCRATCH}/last.pt\n"
        config = load(
            text + "test_feeder_args: {data_path: ~/b.npy}", "--train_feeder_args.label_path", "$SCRATCH/$SCRATCH"
        )
        assert config.work_dir == home / "runs"
        assert config.weights == Path("/big/w.pt")
        assert config.resume == "/big/last.pt"
        assert config.test_feeder_args["data_path"] == f"{home}/b.npy"
        assert config.train_feeder_args["label_path"] == "/big//big"
        assert "work_dir: " + (home / "runs").as_posix() in resolved(config)
        assert again(config) == config

    def test_paths_of_files_that_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PLACE", str(Path.cwd()))
        load("")
        Path("v.yaml").write_text("_base_: $PLACE/base.yaml\nseed: 3", encoding="utf-8")
        assert load_config(["--config", "$PLACE/v.yaml"]).seed == 3
        skeleton = ROOT / "config" / "custom" / "_skeleton.yaml"
        monkeypatch.setenv("SKELETON", str(skeleton))
        text = "model_args: {graph: graph.custom.Graph, graph_args: {path: $SKELETON}}"
        assert load(text).model_args["graph_args"] == {"path": str(skeleton)}

    @pytest.mark.parametrize(
        "path", ["$UNSET/k3", "${UNSET}/k3", "a/$UNSET", "$1/x", "$EMPTY/k3", "$AGAIN/x", "~nobody_is_so/x"]
    )
    def test_what_stands_for_nothing_is_refused(self, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
        monkeypatch.setenv("EMPTY", "")
        monkeypatch.setenv("AGAIN", "$HOME")
        for line in (f"work_dir: {path}", f"test_feeder_args: {{data_path: '{path}'}}", f"resume: {path}"):
            (problem,) = problems(line)
            assert f"{path!r}" in problem
            assert "write the path out" in problem
        (problem,) = problems("", "--weights", path)
        assert problem.startswith(f"command line: weights: {path!r}")

    def test_no_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
        assert problems("work_dir: ~/x") == [
            "c.yaml:2: work_dir: '~/x': no home folder is known for it; write the path out (./~ for a name with ~)"
        ]

    def test_names_that_look_so(self) -> None:
        config = load("work_dir: ./~x\ntest_feeder_args: {data_path: a$/b~.npy}")
        assert config.work_dir == Path("~x")
        assert config.test_feeder_args["data_path"] == "a$/b~.npy"
        assert again(config) == config

    def test_what_is_no_path_is_left_alone(self) -> None:
        assert load("data_help: ask $NOBODY at ~").data_help == "ask $NOBODY at ~"

    def test_no_path_in_this_locale(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def ascii_only(path: str) -> bytes:
            return path.encode("ascii")

        monkeypatch.setattr(os, "fsencode", ascii_only)
        with pytest.raises(ValueError, match="no path in this locale, whose encoding is ascii"):
            expand("läuf")

    def test_our_files_are_found_from_anywhere(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            config = load_config(["--config", "config/custom/train.yaml"])
        assert caplog.messages == [
            f"{Path.cwd()} has no config/custom/train.yaml; reading {ROOT / 'config/custom/train.yaml'}"
        ]
        assert config.model_args["graph_args"]["path"] == str(ROOT / "config/custom/_skeleton.yaml")
        Path("config/custom").mkdir(parents=True)
        Path("config/custom/train.yaml").write_text(MINIMAL + "seed: 5", encoding="utf-8")
        assert load_config(["--config", "config/custom/train.yaml"]).seed == 5
        Path("mine.yaml").write_text("_base_: config/demo/train.yaml", encoding="utf-8")
        assert load_config(["--config", "mine.yaml"]).model_args["num_class"] == 10

    def test_without_words_the_documented_file_is_read(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            config = load_config([])
        assert config.work_dir == Path("work_dir/nturgbd/train")
        assert caplog.messages == [f"no --config is given; reading {ROOT / 'config/nturgbd/train.yaml'}"]

    def test_a_module_of_the_working_directory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        here = str(Path.cwd())
        monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != here])
        Path("only_here.py").write_text("from parts import Feeder\n", encoding="utf-8")
        Path("parts.py").rename("parts_of_mine.py")
        Path("only_here.py").write_text("from parts_of_mine import Feeder, Model\n", encoding="utf-8")
        Path("m.yaml").write_text(MINIMAL.replace("parts.", "only_here."), encoding="utf-8")
        assert load_config(["--config", "m.yaml"]).feeder == "only_here.Feeder"
        assert sys.path[-1] == here


class TestWorkDir:
    @pytest.mark.parametrize(
        ("file", "place"),
        [
            ("mine.yaml", "mine"),
            ("config/a/b.yaml", "a/b"),
            ("x/config/c.d.yaml", "c.d"),
            ("sets/e.yaml", "sets/e"),
            ("../elsewhere/f.yaml", "elsewhere/f"),
        ],
    )
    def test_it_is_where_the_file_is(self, file: str, place: str) -> None:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(MINIMAL, encoding="utf-8")
        for path in (file, str(Path(file).absolute())):
            assert load_config(["--config", path]).work_dir == Path("work_dir", place)
        assert load_config(["--config", file, "--work_dir", "w"]).work_dir == Path("w")
        assert again(load_config(["--config", file])).work_dir == Path("work_dir", place)


class TestDropping:
    BASE = (
        "class_names: [a, b]\n"
        "model_args: {widths: [1], graph: graph.ntu_rgb_d.Graph, graph_args: {labeling_mode: spatial}}\n"
    )

    def child(self, text: str, *words: str) -> Config:
        Path("parent.yaml").write_text(f"_base_: base.yaml\n{self.BASE}", encoding="utf-8")
        Path("base.yaml").write_text(MINIMAL, encoding="utf-8")
        Path("child.yaml").write_text(f"_base_: parent.yaml\n{text}", encoding="utf-8")
        return load_config(["--config", "child.yaml", *words])

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("model_args: {graph_args: {_delete_: labeling_mode}}", []),
            ("model_args: {graph_args: {_delete_: [labeling_mode]}}", []),
            ("model_args: {graph_args: {_delete_: true}}", []),
            ("model_args: {_delete_: graph_args.labeling_mode}", []),
            ("", ["--model_args.graph_args._delete_", "labeling_mode"]),
            ("", ["--model_args.graph_args._delete_"]),
            ("", ["--_delete_", "model_args.graph_args.labeling_mode"]),
        ],
    )
    def test_an_inherited_key(self, text: str, words: list[str]) -> None:
        config = self.child(text, *words)
        assert config.model_args == {"num_class": 2, "widths": [1], "graph": "graph.ntu_rgb_d.Graph", "graph_args": {}}
        assert config.class_names == ["a", "b"]

    def test_a_mapping_is_replaced(self) -> None:
        assert self.child("model_args: {_delete_: true, num_class: 2, dropout: 0.1}").model_args == {
            "num_class": 2,
            "dropout": 0.1,
        }
        config = self.child(
            "_delete_: [class_names, model_args.widths]", "--model_args._delete_", "graph", "graph_args"
        )
        assert config.class_names is None
        assert config.model_args == {"num_class": 2}

    def test_false_drops_nothing(self) -> None:
        assert self.child("model_args: {_delete_: false}").model_args["widths"] == [1]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("model_args: {_delete_: width}", "2: _delete_: no key 'width' is inherited here (did you mean 'widths'?)"),
            ("model_args: {_delete_: graph_args.x.y}", "2: _delete_: no key 'graph_args.x.y' is inherited here"),
            ("make_data_args: {_delete_: true}", "2: _delete_: nothing is inherited here"),
            ("model_args: {_delete_: {a: 1}}", "2: _delete_: {'a': 1} must be true or false or a list of text"),
        ],
    )
    def test_what_cannot_be_dropped(self, text: str, problem: str) -> None:
        with pytest.raises(ConfigError) as caught:
            self.child(text)
        assert caught.value.problems == (f"child.yaml:{problem}",)

    def test_who_needs_it_is_told_of_it(self) -> None:
        for text in (
            "model_args: {graph: graph.ntu_rgb_d.Graph, graph_args: {path: null}}",
            "model_args: {graph: graph.ntu_rgb_d.Graph}",
        ):
            Path("c.yaml").write_text(f"_base_: config/custom/train.yaml\n{text}", encoding="utf-8")
            with pytest.raises(
                ConfigError, match=r"graph_args.path: .*; to drop an inherited key, name it in `_delete_`"
            ):
                load_config(["--config", "c.yaml"])


class TestLimits:
    @pytest.mark.parametrize(
        "line",
        [
            "base_lr: 0", "base_lr: 1e-300", "base_lr: 1e9", "max_grad_norm: 0", "momentum: 1.5", "momentum: 1",
            "label_smoothing: 1.5", "label_smoothing: 1", "weight_decay: 1e9", "gamma: 0", "gamma: 2", "step: [0]",
            "num_epoch: 0", "batch_size: 1000000000", "num_worker: 10000", "checkpoint_minutes: -1", "folds: [-1]",
            "min_lr: -1", "show_topk: [0]", "accumulation: 0", "seed: 4294967296",
        ],
    )  # fmt: skip
    def test_values_beyond_what_can_be_meant(self, line: str) -> None:
        (problem,) = problems(line)
        assert problem.startswith(f"c.yaml:2: {line.split(':')[0]}: ")
        assert "must be " in problem

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("base_lr: 0.1\nmin_lr: 0.2", "c.yaml:3: min_lr: 0.2 is above base_lr, 0.1; the learning rate is to fall"),
            ("step: [90, 60]", "c.yaml:2: step: [90, 60] must rise from each epoch to the next"),
            ("step: [60, 60]", "c.yaml:2: step: [60, 60] must rise from each epoch to the next"),
            ("folds: [1, 2, 1]", "c.yaml:2: folds: [1, 2, 1] names a number twice"),
            ("device: [0, 0]", "c.yaml:2: device: [0, 0] names a number twice"),
            ("device: []", "c.yaml:2: device: [] names no GPU; take auto, or cpu"),
        ],
    )
    def test_values_that_do_not_go_together(self, text: str, problem: str) -> None:
        assert problems(text) == [problem]

    def test_a_wrong_value_is_told_once(self) -> None:
        assert problems("base_lr: fast\nmin_lr: 0.2") == ["c.yaml:2: base_lr: 'fast' must be a number"]

    @pytest.mark.parametrize(
        ("text", "remark"),
        [
            ("warm_up_epoch: 9\nstep: []", "warm_up_epoch: 9; the run ends at epoch 8, before base_lr is reached"),
            ("warm_up_epoch: 8\nstep: []", "warm_up_epoch: 8; the run ends at epoch 8, just as base_lr is reached"),
            ("step: [4, 8]", "step: 8; the run ends with epoch 8"),
            ("step: [8, 20]", "step: 8, 20; the run ends with epoch 8; the learning rate never falls"),
            ("step: []\nmomentum: 0", "nesterov: has no effect, for momentum is 0"),
            (
                "step: []\noptimizer: torch.optim.RAdam\nweight_decay: 1e-4\nmomentum: 0",
                "momentum, weight_decay: torch.optim.RAdam takes no settings but base_lr and those in optimizer_args",
            ),
            ("step: []\noptimizer: torch.optim.RAdam\noptimizer_args: {weight_decay: 1e-4}", ""),
            ("step: []\noptimizer: AdamW\nweight_decay: 1e-4", ""),
            ("step: []\nshow_topk: [1, 2]", "show_topk: top-2 of 2 classes is always 100 %"),
            ("step: [7]", ""),
            ("step: []\nmin_lr: 1e-3", "min_lr: has no effect, for lr_schedule is multi-step"),
            ("lr_schedule: cosine\nstep: [4]", "step: has no effect, for lr_schedule is cosine"),
            ("lr_schedule: cosine\ngamma: 0.5", "gamma: has no effect, for lr_schedule is cosine"),
            ("step: []\npatience: 3", "patience: has no effect, for early_stopping is null"),
            ("step: []\noptimizer: Adam\nmomentum: 0.8", "momentum: has no effect, for optimizer is Adam"),
            ("step: []\noptimizer: AdamW\nnesterov: false", "nesterov: has no effect, for optimizer is AdamW"),
            ("step: []\noptimizer: AdamW\nnesterov: true\nmomentum: 0.9\nmin_lr: 0", ""),
            ("warm_up_epoch: 7\nlr_schedule: cosine", ""),
            ("phase: test\nwarm_up_epoch: 9\nstep: [20]", ""),
        ],
    )
    def test_what_most_do_not_mean_is_remarked(self, caplog: pytest.LogCaptureFixture, text: str, remark: str) -> None:
        load(f"num_epoch: 8\n{text}")
        assert caplog.messages == ([remark] if remark else [])

    def test_inherited_keys_may_have_no_effect(self, caplog: pytest.LogCaptureFixture) -> None:
        Path("base.yaml").write_text(f"{MINIMAL}\nnum_epoch: 8\nstep: [4]\nmomentum: 0.8\n", encoding="utf-8")
        Path("c.yaml").write_text("_base_: base.yaml\nlr_schedule: cosine\noptimizer: AdamW", encoding="utf-8")
        load_config(["--config", "c.yaml"])
        assert caplog.messages == []
        load_config(["--config", "c.yaml", "--step", "[5]"])
        assert caplog.messages == ["step: has no effect, for lr_schedule is cosine"]

    @pytest.mark.parametrize("model", ["model.st_tr.Model", "model.zit_zot.Model"])
    def test_options_of_the_models(self, model: str) -> None:
        assert problems(f"model: {model}\nmodel_args: {{dropout: 0.999999, num_point: 0}}") == [
            "c.yaml:3: model_args.num_point: 0 must be at least 1",
            "c.yaml:3: model_args.dropout: 0.999999 must be from 0 to 0.95",
        ]
        for text in ("weights: w.pt", "phase: test"):  # a file of weights settles what it was trained with
            load(f"model: {model}\nmodel_args: {{num_point: 0}}\n{text}")


class TestFilesThatAreNone:
    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"", "f.yaml: `key: value` lines are expected, not an empty file"),
            (b"# nothing\n", "f.yaml: `key: value` lines are expected, not an empty file"),
            (b"5", "f.yaml: `key: value` lines are expected, not int"),
            (b"seed: 1\ndata_help: \xe9", "f.yaml:2: not text in UTF-8; save it in this encoding"),
            (b"seed: " + b"[" * 5000, "f.yaml:1: not valid YAML: nested deeper than 30 levels"),
            (b"seed: &a [*a]", "f.yaml:1: not valid YAML: this alias stands inside what it stands for"),
            (b"seed: !!int abc", "f.yaml:1: not valid YAML: 'abc' is no int"),
            (b"data_help: !!timestamp x", "f.yaml:1: not valid YAML: the tag !!timestamp cannot stand here"),
            (b"model_args: !!map [a]", "f.yaml:1: not valid YAML: the tag !!map cannot stand here"),
            (b"k" * 900 + b": 1", "f.yaml:1: not valid YAML: a key of 900 characters; 200 are the most"),
            (b"_base_: {a: b}", "f.yaml:1: _base_: {'a': 'b'} must be the name of a file, or a list of them"),
            (b"_base_:", "f.yaml:1: _base_: None must be the name of a file, or a list of them"),
            (b"_base_: $UNSET/a.yaml", "f.yaml:1: _base_: '$UNSET/a.yaml': the environment variable UNSET is not set"),
        ],
    )  # fmt: skip
    def test_one_sentence_each(self, content: bytes, problem: str) -> None:
        Path("f.yaml").write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load_config(["--config", "f.yaml"])
        assert caught.value.problems[0].startswith(problem)
        assert len(caught.value.problems) == 1

    def test_long_chains_and_wide_trees(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(config_file, "MOST_FILES", 10)
        for i in range(12):
            Path(f"chain{i}.yaml").write_text(f"_base_: chain{i + 1}.yaml", encoding="utf-8")
            Path(f"tree{i + 1}.yaml").write_text(f"_base_: [tree{i}.yaml, tree{i}.yaml]", encoding="utf-8")
        Path("tree0.yaml").write_text("seed: 1", encoding="utf-8")
        for name in ("chain0.yaml", "tree9.yaml"):
            with pytest.raises(ConfigError) as caught:
                load_config(["--config", name])
            (problem,) = caught.value.problems
            assert problem.endswith("_base_: more than 10 files build on each other")

    def test_a_missing_file_says_where_paths_begin(self) -> None:
        with pytest.raises(ConfigError, match=r"absent\.yaml: No such file") as caught:
            load_config(["--config", "absent.yaml"])
        assert caught.value.problems[0].endswith(f" (relative paths begin at {Path.cwd()})")

    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            (["--data_help", "[" * 5000], "is not valid YAML: nested deeper than 30 levels"),
            (["--data_help", "[*a]"], "'[*a]' is not valid YAML: found undefined alias 'a'"),
            (["--" + ".".join("a" * 5000), "1"], "no key is so long"),
            (["--seed", "9" * 5000], "(5002 characters) must be a whole number"),
            (["--work_dir", "r\udce9s"], "'r\\udce9s' is no text in this locale's encoding; name it otherwise"),
            (["--seed", "1", "--"], "'--' belongs to no option"),
        ],
    )
    def test_words_of_the_command_line(self, words: list[str], problem: str) -> None:
        (told,) = problems("", *words)
        assert told.startswith("command line: ")
        assert problem in told
        assert len(told) < 300

    def test_a_checkpoint_holds_a_configuration(self) -> None:
        for text in ("[" * 5000, "a: &a [*a]", "\0", "x" * 2_000_000):
            with pytest.raises(ValueError, match="the configuration in it is "):
                model_of(text)
