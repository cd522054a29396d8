"""A configuration is read strictly, merged predictably, and refused with everything that is wrong with it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from configs import MINIMAL, load, problems, workplace
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from graph.common.files import ROOT
from graph.common.imports import import_object
from processor.config.schema import Config, ConfigError, help_text, load_config, resolved
from processor.config.values import coerce


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return workplace(tmp_path, monkeypatch)


@pytest.mark.usefixtures("folder")
class TestValues:
    def test_defaults_and_file(self) -> None:
        config = load("base_lr: 1e-4\nstep: [3, 4]\nwork_dir: runs/a\nmodel_args: {dropout: 0}")
        assert config.base_lr == 1e-4
        assert config.step == [3, 4]
        assert config.work_dir == Path("runs/a")
        assert config.model_args == {"num_class": 2, "dropout": 0.0}
        assert type(config.model_args["dropout"]) is float
        assert type(config.model_args) is dict
        assert config.momentum == Config.momentum == 0.9
        assert config.phase == "train"

    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("1e-4", 1e-4),
            ("-2E+3", -2000.0),
            (".5", 0.5),
            ("1.", 1.0),
            ("7", 7.0),
            ("1_0", None),
            ("'1'", None),
        ],
    )
    def test_what_is_a_number(self, written: str, value: float | None) -> None:
        if value is None:
            assert re.search(
                r"c.yaml:2: max_grad_norm: '.*' must be a number or null",
                problems(f"max_grad_norm: {written}")[0],
            )
        elif value < 0:
            assert problems(f"max_grad_norm: {written}") == ["c.yaml:2: max_grad_norm: -2000.0 must be at least 1e-06"]
        else:
            assert load(f"max_grad_norm: {written}").max_grad_norm == value

    def test_dates_and_base_sixty_are_text(self) -> None:
        assert load("work_dir: 2024-01-02").work_dir == Path("2024-01-02")
        assert load("data_help: 12:30:45").data_help == "12:30:45"

    @pytest.mark.parametrize(
        ("line", "complaint"),
        [
            ("batch_size: '3'", "batch_size: '3' must be a whole number"),
            ("batch_size: 3.0", "batch_size: 3.0 must be a whole number"),
            ("batch_size: true", "batch_size: True must be a whole number"),
            ("batch_size: 0", "batch_size: 0 must be from 1 to 65536"),
            ("base_lr: .nan", "base_lr: nan must be a finite number"),
            ("base_lr: true", "base_lr: True must be a number"),
            ("nesterov: 1", "nesterov: 1 must be true or false"),
            ("step: [1, two]", "step: [1, 'two'] must be a list of whole numbers"),
            ("step: [1, -2]", "step: -2 must be from 1 to 100000"),
            ("work_dir: [7]", "work_dir: [7] must be a path"),
            ("model_args: 7", "model_args: 7 must be a mapping"),
            ("seed: 20241105123456", "seed: 20241105123456 must be from 0 to 4294967295"),
            ("seed: 2024-11-05", "seed: '2024-11-05' must be a whole number"),
            ("seed: 99999999999999999999999", "seed: 99999999999999999999999 is too large a number"),
            (f"seed: {'9' * 5000}", f"seed: '{'9' * 59}... (5002 characters) must be a whole number"),
            ("base_lr: 1e999", "base_lr: inf must be a finite number"),
            ("model_args: {dropout: .nan}", "model_args.dropout: nan must be a finite number"),
            ("work_dir: ''", "work_dir: '' is no path"),
            ("optimizer: adamw",
             "optimizer: 'adamw' must be 'SGD' or 'Adam' or 'AdamW' or an import path (did you mean 'AdamW'?)"),
            ("device: cuda0", ("device: 'cuda0' must be 'auto' or 'cpu' or 'mps' or 'cuda'"
                              " or a list of whole numbers (did you mean 'cuda'?)")),
        ],
    )  # fmt: skip
    def test_wrong_values(self, line: str, complaint: str) -> None:
        assert problems(line) == [f"c.yaml:2: {complaint}"]

    @pytest.mark.parametrize(
        ("written", "device"),
        [("0", [0]), ("[0]", [0]), ("[0, 1]", [0, 1]), ("cpu", "cpu"), ("auto", "auto")],
    )
    def test_device(self, written: str, device: str | list[int]) -> None:
        assert load(f"device: {written}").device == device

    def test_class_names(self) -> None:
        assert load("").class_names is None
        assert load("class_names: [a, b]").class_names == ["a", "b"]
        assert load("class_names: parts.ACTIONS").class_names == ["sit down", "stand up"]
        assert problems("class_names: parts.ACTION") == [
            "c.yaml:2: class_names: 'parts.ACTION': parts has no 'ACTION' (did you mean 'ACTIONS'?)"
        ]
        Path("names.txt").write_text("\ufeffsit down\n\nstand up \n", encoding="utf-8")
        assert load("class_names: names.txt").class_names == ["sit down", "stand up"]
        assert load("", "--class_names", "./names.txt").class_names == ["sit down", "stand up"]
        assert problems("class_names: name.txt") == [
            "c.yaml:2: class_names: name.txt does not exist; name a text file with a name a line"
        ]
        assert problems("class_names: parts.Model") == ["c.yaml:2: class_names: parts.Model holds no names"]
        assert problems("class_names: [a, b, c]") == ["c.yaml:2: class_names: 3 names, but model_args.num_class is 2"]


@pytest.mark.usefixtures("folder")
class TestCommandLine:
    def test_it_comes_last(self) -> None:
        words = ["--base_lr", "1e-3", "--model_args.dropout", "0.1", "--overwrite", "--weights", "w.pt"]
        config = load("base_lr: 0.5\nmodel_args: {dropout: 0.9}", *words)
        assert config.base_lr == 1e-3
        assert config.model_args == {"num_class": 2, "dropout": 0.1}
        assert config.overwrite is True
        assert config.weights == Path("w.pt")

    @pytest.mark.parametrize("words", [["--work-dir", "a"], ["--work_dir", "a"], ["--work-dir=a"], ["--work_dir=a"]])
    def test_hyphens_and_equals(self, words: list[str]) -> None:
        assert load("", *words).work_dir == Path("a")

    @pytest.mark.parametrize(
        ("words", "device"),
        [(["0", "1"], [0, 1]), (["0"], [0]), (["[0, 1]"], [0, 1]), (["cpu"], "cpu")],
    )
    def test_several_values_are_a_list(self, words: list[str], device: str | list[int]) -> None:
        assert load("device: [5]", "--device", *words).device == device

    def test_names_that_users_give_keep_their_hyphens(self) -> None:
        config = load("", "--lr-factors.t-tr", "2", "--class-weights.pick-up=3")
        assert (config.lr_factors, config.class_weights) == ({"t-tr": 2}, {"pick-up": 3})
        said = problems("", "--study.fusion.s-tr=1")
        assert "command line: study.fusion: 's-tr' is no model and no stream of this study" in said

    def test_nested_hyphens_and_negative_numbers(self) -> None:
        words = ["--train-feeder-args.window-size", "-1", "--model-args.widths", "8"]
        config = load("train_feeder_args: {window_size: 5}", *words)
        assert config.train_feeder_args["window_size"] == -1
        assert config.model_args["widths"] == [8]

    def test_the_last_of_two_counts(self) -> None:
        assert load("", "--seed", "1", "--seed", "2").seed == 2

    def test_quotes_and_braces_as_in_a_file(self) -> None:
        assert load("", "--data_help", "'7'").data_help == "7"
        assert load("", "--model_args", "{dropout: 0.25}").model_args == {"num_class": 2, "dropout": 0.25}

    def test_text_with_colons_is_text(self) -> None:
        assert load("", "--work_dir", "runs: a #1").work_dir == Path("runs: a #1")

    def test_its_problems_say_where(self) -> None:
        told = problems("", "--base_lrr", "1", "--seed", "x", "--model_args.drop", "1", "--data_help", "[1")
        assert told[1:] == [
            "command line: base_lrr: unknown key (did you mean 'base_lr'?)",
            "command line: seed: 'x' must be a whole number",
            "command line: model_args.drop: parts.Model takes no such argument (did you mean 'dropout'?)",
        ]
        assert told[0].startswith("command line: '[1' is not valid YAML")

    def test_no_file(self) -> None:
        with pytest.raises(ConfigError) as caught:
            load_config(["stray", "--confg", "c.yaml"])
        assert caught.value.problems == (
            "command line: 'stray' belongs to no option; options open with `--` and a name",
            "command line: name a file, for example `--config config/demo/train.yaml`",
            "command line: confg: unknown key",
        )

    def test_the_configuration_of_a_run_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").touch()
        for words in (["--weights", str(tmp_path / "last.pt")], ["--work_dir", str(tmp_path)]):
            with pytest.raises(ConfigError, match=re.escape(f"--config {(tmp_path / 'config.yaml').as_posix()}`")):
                load_config(["--phase", "test", *words])

    def test_help_names_every_key(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            load_config(["--help"])
        assert caught.value.code == 0
        printed = capsys.readouterr().out
        assert printed == help_text()
        for name in Config.__dataclass_fields__:
            assert f"--{name} " in printed
        assert "SGD, Adam, AdamW, or the import path of another optimizer" in printed


@pytest.mark.usefixtures("folder")
class TestFiles:
    def test_bases_merge_in_order(self) -> None:
        Path("sub").mkdir()
        Path("a.yaml").write_text(
            "step: [1, 2, 3]\nmodel_args: {dropout: 0.1, widths: [1, 2]}\nseed: 1", encoding="utf-8"
        )
        Path("sub/b.yaml").write_text("_base_: ../a.yaml\nmodel_args: {widths: [9]}\nseed: 2", encoding="utf-8")
        config = load("", "--seed", "4")
        assert config.seed == 4
        Path("base.yaml").write_text(MINIMAL, encoding="utf-8")
        Path("d.yaml").write_text("_base_: [base.yaml, sub/b.yaml]\nseed: 3", encoding="utf-8")
        config = load_config(["--config", "d.yaml"])
        assert config.step == [1, 2, 3]
        assert config.model_args == {"num_class": 2, "dropout": 0.1, "widths": [9]}
        assert config.seed == 3

    def test_circles(self) -> None:
        Path("a.yaml").write_text("_base_: b.yaml", encoding="utf-8")
        Path("b.yaml").write_text("_base_: a.yaml", encoding="utf-8")
        with pytest.raises(ConfigError, match=re.escape("_base_ goes in a circle: a.yaml -> b.yaml -> a.yaml")):
            load_config(["--config", "a.yaml"])

    def test_missing_files_hide_no_other_problem(self) -> None:
        Path("e.yaml").write_text("_base_: bose.yaml\nsede: 1", encoding="utf-8")
        Path("base.yaml").write_text(MINIMAL, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load_config(["--config", "e.yaml"])
        missing, unknown = caught.value.problems
        assert missing.startswith("bose.yaml, the _base_ of e.yaml: ")
        assert missing.endswith("(did you mean 'base.yaml'?)")
        assert unknown == "e.yaml:2: sede: unknown key (did you mean 'seed'?)"

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("a: [1", "f.yaml:1: not valid YAML: expected ',' or ']', but got '<stream end>'"),
            ("- 1", "f.yaml: `key: value` lines are expected, not list"),
            ("\nx: !!python/name:os.system", "f.yaml:2: not valid YAML: the tag !!python/name:os.system"),
            ("? [a]\n: 1", "f.yaml:1: not valid YAML: a key must be text"),
            ("a: \x00", "f.yaml: not valid YAML: unacceptable character"),
        ],
    )  # fmt: skip
    def test_broken_files(self, text: str, complaint: str) -> None:
        Path("f.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load_config(["--config", "f.yaml"])
        assert len(caught.value.problems) == 1
        assert caught.value.problems[0].startswith(complaint)

    def test_duplicate_keys(self) -> None:
        told = problems("seed: 1\nbase_lr: 1\nseed: 2\nmodel_args:\n  dropout: 1\n  dropout: 2")
        assert told == [
            "c.yaml:4: duplicate key 'seed', first on line 2",
            "c.yaml:7: duplicate key 'dropout', first on line 6",
        ]

    def test_anchors_may_be_overridden(self) -> None:
        config = load("train_feeder_args: &a {window_size: 3}\ntest_feeder_args: {<<: *a, window_size: 4}")
        assert config.train_feeder_args["window_size"] == 3
        assert config.test_feeder_args["window_size"] == 4


@pytest.mark.usefixtures("folder")
class TestSignatures:
    def test_everything_wrong_is_in_one_message(self) -> None:
        text = "sede: 1\nbase_lr: fast\nmodel_args:\n  drpout: 1\n  widths: [a]\ntest_feeder_args: {data_path: [1]}"
        phases = "'train' or 'test' or 'info' or 'benchmark' or 'explain' or 'predict' or 'export' or 'watch'"
        with pytest.raises(ConfigError) as caught:
            load(text, "--phase", "tset")
        assert str(caught.value).splitlines() == [
            "the configuration has 6 problems:",
            "  c.yaml:2: sede: unknown key (did you mean 'seed'?)",
            "  c.yaml:3: base_lr: 'fast' must be a number",
            f"  command line: phase: 'tset' must be {phases} (did you mean 'test'?)",
            "  c.yaml:5: model_args.drpout: parts.Model takes no such argument (did you mean 'dropout'?)",
            "  c.yaml:6: model_args.widths: ['a'] must be a list of whole numbers or null",
            "  c.yaml:7: test_feeder_args.data_path: [1] must be text",
        ]

    def test_values_and_combinations_of_arguments_are_in_it_too(self) -> None:
        told = problems(
            "model: model.st_tr.Model\nfeeder: feeders.feeder.Feeder\nsede: 1\n"
            "model_args: {dropout: 2, Nh: 7, aggcn: true}\n"
            "train_feeder_args:\n  sampling: evn\n  num_clips: 3\n  joint_jitter: -1\n  p_interval: [0.9, 0.5]\n"
            "test_feeder_args: {random_choose: true, sampling: even, stream: joint+bones}"
        )
        assert not any("windows are drawn" in problem for problem in told)  # that depends on `sampling`
        expected = [
            "4: sede: unknown key",
            "5: model_args.aggcn: model.st_tr.Model takes no such argument (did you mean 'agcn'?)",
            "5: model_args.dropout: 2.0 must be from 0 to 0.95",
            (
                "5: model_args.attention: 32 key and 128 value channels of 128 do not give equal parts for Nh=7 heads; "
                "Nh can be 1, 2, 4, 8, 16"
            ),
            "11: test_feeder_args.stream: 'bones' is none of joint, bone, joint_motion, bone_motion",
            "11: test_feeder_args.random_choose: chooses for sampling: crop, not for even; drop one",
            "7: train_feeder_args.sampling: 'evn' must be 'crop' or 'even' or 'random' or 'resize' or 'uniform'",
            "9: train_feeder_args.joint_jitter: -1.0 must be at least 0",
            "10: train_feeder_args.p_interval: [0.9, 0.5] is not one share in (0, 1], or a lowest and a highest",
            "8: train_feeder_args.num_clips: is for tests",
        ]
        for problem, beginning in zip(told, expected, strict=True):
            assert problem.startswith(f"c.yaml:{beginning}")

    def test_clips_are_for_tests(self) -> None:
        """It is told with everything else that is wrong, on its line."""
        clips = "  num_clips: 3\n  sampling: uniform\n  window_size: 8\n"
        text = f"feeder: feeders.feeder.Feeder\nsede: 1\ntest_feeder_args:\n{clips}train_feeder_args:\n"
        assert problems(text + clips) == [
            "c.yaml:3: sede: unknown key (did you mean 'seed'?)",
            "c.yaml:9: train_feeder_args.num_clips: is for tests; training sees one window of a sample an epoch",
        ]
        assert load(text.replace("sede", "seed") + clips.replace("3", "1"))

    def test_a_subclass_takes_what_its_constructor_takes(self) -> None:
        Path("mine.py").write_text(
            "from feeders.feeder import Feeder as F\nfrom model.st_tr import Model as M\n"
            "class Model(M):\n    def __init__(self, rank: int = 4, **rest): ...\n"
            "class Feeder(F):\n    def __init__(self, data_path: str, label_path: str, noise: float = 0): ...\n",
            encoding="utf-8",
        )
        text = "model: mine.Model\nfeeder: mine.Feeder\n"
        assert load(f"{text}model_args: {{rank: 3, agcn: true}}\ntrain_feeder_args: {{noise: 1}}")
        assert problems(f"{text}model_args: {{rnk: 3, agcn: 1}}\ntrain_feeder_args: {{window_size: 1}}") == [
            "c.yaml:4: model_args.rnk: mine.Model takes no such argument (did you mean 'rank'?)",
            "c.yaml:4: model_args.agcn: 1 must be true or false",
            "c.yaml:5: train_feeder_args.window_size: mine.Feeder takes no such argument",
        ]

    def test_missing_arguments(self) -> None:
        Path("g.yaml").write_text(
            "feeder: parts.Feeder\nmodel: parts.Model\nmodel_args: {dropout: 1}", encoding="utf-8"
        )
        with pytest.raises(ConfigError) as caught:
            load_config(["--config", "g.yaml"])
        assert caught.value.problems == (
            "g.yaml:3: model_args.num_class: parts.Model needs this argument",
            "g.yaml: test_feeder_args.data_path: parts.Feeder needs this argument",
            "g.yaml: test_feeder_args.label_path: parts.Feeder needs this argument",
            "g.yaml: train_feeder_args.data_path: parts.Feeder needs this argument",
            "g.yaml: train_feeder_args.label_path: parts.Feeder needs this argument",
        )

    def test_a_test_needs_no_training_data(self) -> None:
        text = "feeder: parts.Feeder\nmodel: parts.Model\nmodel_args: {num_class: 1}\nphase: test\n"
        Path("h.yaml").write_text(text + "test_feeder_args: {data_path: a, label_path: b}", encoding="utf-8")
        assert load_config(["--config", "h.yaml"]).training is False

    @pytest.mark.parametrize(
        ("path", "complaint"),
        [
            ("parts.Modle", "'parts.Modle': parts has no 'Modle' (did you mean 'Model'?)"),
            ("modle.st_tr.Model", "'modle.st_tr.Model': there is no module 'modle' (did you mean 'model'?)"),
            ("graph.ntu.Graph", "'graph.ntu.Graph': there is no module 'graph.ntu'"),
            ("graph.tool.G", "'graph.tool.G': there is no module 'graph.tool' (did you mean 'tools'?)"),
            ("Model", "'Model' is no import path such as 'model.st_tr.Model'"),
            ("..parts.Model", "'..parts.Model' is no import path such as 'model.st_tr.Model'"),
            ("broken.Model", "'broken.Model': importing broken failed: No module named 'absent_dependency'"),
            ("parts.Model.x", "'parts.Model.x': there is no module 'parts.Model'"),
        ],
    )  # fmt: skip
    def test_import_paths(self, path: str, complaint: str) -> None:
        Path("broken.py").write_text("import absent_dependency", encoding="utf-8")
        assert problems(f"model: {path}") == [f"c.yaml:2: model: {complaint}"]

    def test_what_cannot_be_called(self) -> None:
        told = problems("model: parts.ACTIONS")
        assert told == ["c.yaml:2: model: parts.ACTIONS is not a torch module"]

    @pytest.mark.parametrize(
        "text",
        [
            "make_data: os.system\nmake_data_args: {command: 'touch ran'}",
            "model: subprocess.Popen\nmodel_args: {args: [touch, ran]}",
            "feeder: subprocess.Popen\ntrain_feeder_args: {args: [touch, ran]}",
            "model: model.st_tr.Model\nmodel_args: {graph: subprocess.Popen, graph_args: {args: [touch, ran]}}",
            "loss: subprocess.Popen\nloss_args: {args: [touch, ran]}",
            "optimizer: subprocess.Popen\noptimizer_args: {args: [touch, ran]}",
        ],
    )
    def test_a_file_from_elsewhere_calls_nothing_but_its_kind(self, text: str) -> None:
        assert any(" is not a" in problem for problem in problems(text))
        assert not Path("ran").exists()

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("loss: cross_entropi",
             "loss: 'cross_entropi' must be 'cross_entropy' or an import path (did you mean 'cross_entropy'?)"),
            ("loss_args: {weight: [1, 2]}",
             "loss_args: cross_entropy takes none; they are for what is named by its import path"),
            ("optimizer_args: {betas: [0.9, 0.98]}",
             "optimizer_args: SGD takes none; they are for what is named by its import path"),
            ("loss: torch.nn.MultiMarginLoss\nloss_args: {marginn: 1}",
             "loss_args.marginn: torch.nn.MultiMarginLoss takes no such argument (did you mean 'margin'?)"),
            ("optimizer: torch.optim.RAdam\noptimizer_args: {lr: 0.1}",
             "optimizer_args.lr: the program gives this argument"),
            ("label_smoothing: 0.1\nloss: torch.nn.MultiMarginLoss",
             "label_smoothing: 0.1 is for cross_entropy; torch.nn.MultiMarginLoss does not get it"),
        ],
    )  # fmt: skip
    def test_loss_and_optimiser(self, text: str, complaint: str) -> None:
        (told,) = problems(text)
        assert told.split(": ", 1)[1] == complaint

    def test_loss_and_optimiser_by_import_path(self) -> None:
        config = load("optimizer: torch.optim.RAdam\noptimizer_args: {betas: [0.9, 0.98]}\nloss: torch.nn.NLLLoss")
        assert config.optimizer_args == {"betas": (0.9, 0.98)}

    def test_graph_and_its_arguments(self) -> None:
        graph = "graph: graph.ntu_rgb_d.Graph"
        assert load(f"model_args: {{{graph}, graph_args: {{labeling_mode: spatial}}}}")
        (told,) = problems(f"model_args: {{{graph}, graph_args: {{labelling_mode: spatial}}}}")
        assert told == (
            "c.yaml:2: model_args.graph_args.labelling_mode: graph.ntu_rgb_d.Graph takes no such argument"
            " (did you mean 'labeling_mode'?)"
        )

    def test_data_maker(self) -> None:
        maker = "make_data: data_gen.demo_gendata.make_demo"
        assert load(f"{maker}\nmake_data_args: {{out_folder: a}}").make_data_args == {"out_folder": "a"}
        (told,) = problems(f"{maker}\nmake_data_args: {{out_folder: a, sed: 2}}")
        assert told.endswith("make_demo takes no such argument (did you mean 'seed'?)")
        assert problems("make_data: parts.make") == ["c.yaml:2: make_data: parts.make is not a function of data_gen"]

    def test_the_real_model(self) -> None:
        config = load("model: model.st_tr.Model\nmodel_args: {attention: true, dropout: 0, num_point: 25}")
        assert config.model_args["dropout"] == 0.0
        assert problems("model: model.st_tr.Model\nmodel_args: {aggcn: true, num_point: '25'}") == [
            "c.yaml:3: model_args.aggcn: model.st_tr.Model takes no such argument (did you mean 'agcn'?)",
            "c.yaml:3: model_args.num_point: '25' must be a whole number",
        ]


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--config", "config/ntu60_xsub/s-tr.yaml", "--sede", "1", "--model_args.Nh", "7"],
        ["--config", "config/sbu/zit-zot.yaml", "--train_feeder_args.sampling", "evn", "--device", "0", "1"],
        ["--config", "config/demo/tran.yaml"],
        ["--config", "config/ntu60_xsub"],
    ],
)
def test_help_and_errors_come_without_torch(words: list[str]) -> None:
    code = f"""
import sys, main
try:
    main.main({words})
except SystemExit:
    pass
print(sorted({{"torch", "sklearn", "matplotlib", "tensorboard"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
    assert ("usage: " in done.stdout) if words == ["--help"] else ("the configuration has " in done.stderr)


@pytest.mark.usefixtures("folder")
class TestPublishedConfigurations:
    def test_names_are_translated_and_told_once(self, caplog: pytest.LogCaptureFixture) -> None:
        text = (
            "model: st_gcn.net.ST_GCN\noptimize_every: 2\nscheduler: 1\nclip_grad_norm: 0.5\n"
            "feeder_augmented: st_gcn.feeder.FeederAugmented\n"
            "model_args: {graph: st_gcn.graph.NTU_RGB_D, graph_args: {labeling_mode: spatial},"
            " weight_matrix: 2, bn_flag: True}"
        )
        config = load(text, "--model_args.visualization", "false")
        assert config.model == "model.st_tr.Model"
        assert config.accumulation == 2
        assert config.model_args["graph"] == "graph.ntu_rgb_d.Graph"
        assert set(config.model_args) == {"num_class", "graph", "graph_args"}
        translated, idle = caplog.messages
        assert translated == (
            "published names: optimize_every is read as accumulation, st_gcn.net.ST_GCN is read as"
            " model.st_tr.Model, st_gcn.graph.NTU_RGB_D is read as graph.ntu_rgb_d.Graph"
        )
        assert idle == (
            "these published keys do nothing: scheduler, clip_grad_norm, feeder_augmented,"
            " model_args.weight_matrix, model_args.bn_flag, model_args.visualization"
        )

    def test_the_published_model_accumulates_as_published(self, caplog: pytest.LogCaptureFixture) -> None:
        assert load("model: st_gcn.net.ST_GCN").accumulation == 2
        assert "optimize_every, 2 by default there, is read as accumulation" in caplog.text
        assert load("model: st_gcn.net.ST_GCN", "--accumulation", "1").accumulation == 1

    def test_our_names_are_not_remarked(self, caplog: pytest.LogCaptureFixture) -> None:
        load("accumulation: 2")
        assert caplog.messages == []

    def test_two_names_for_one_thing(self) -> None:
        assert problems("optimize_every: 2\naccumulation: 3") == [
            "c.yaml:2: optimize_every is another name of accumulation; leave one out"
        ]
        assert load("optimize_every: 2", "--accumulation", "3").accumulation == 3
        assert load("accumulation: 2", "--optimize_every", "3").accumulation == 3

    @pytest.mark.parametrize(
        ("text", "words", "phase"),
        [
            ("training: False", [], "test"),
            ("training: True", [], "train"),
            ("phase: test", [], "test"),
            ("training: True", ["--phase", "test"], "test"),
            ("phase: test", ["--training", "True"], "train"),
            ("training: False\nphase: test", [], "test"),
        ],
    )
    def test_training_and_phase(self, text: str, words: list[str], phase: str) -> None:
        config = load(text, *words)
        assert (config.phase, config.training) == (phase, phase == "train")

    def test_training_against_phase(self) -> None:
        assert problems("training: False\nphase: train") == [
            "c.yaml:2: training: False contradicts phase: train; leave one out"
        ]

    def test_a_class_that_tells_no_arguments(self) -> None:
        (problem, *_) = problems("feeder: collections.OrderedDict\ntrain_feeder_args: {a: 1}")
        assert "collections.OrderedDict does not tell its arguments; name another class" in problem

    def test_overwrite_against_resume(self) -> None:
        (problem,) = problems("overwrite: True\nresume: auto")
        assert problem.endswith("the one replaces a run, the other goes on with it; leave one out")


class TestResolved:
    def test_it_loads_back(self, folder: Path) -> None:
        config = load(
            "base_lr: 1e-5\ndevice: 0\nweights: a/b.pt\nphase: test\nclass_names: ['1e-4', 'no: #']\n"
            "data_help: |\n  two\n    lines: #\n\n  more\nmodel_args: {widths: [4, 5], dropout: 1e-7}"
        )
        text = resolved(config)
        (folder / "r.yaml").write_text(text, encoding="utf-8")
        assert load_config(["--config", "r.yaml"]) == config
        assert "step: [60, 90]\n" in text
        assert "# Optimisation\n" in text

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @example(text="0...")
    @given(
        text=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
        | st.from_regex(r"[-+.0-9e:_yn~]{1,6}", fullmatch=True)
    )
    def test_any_text_survives(self, folder: Path, text: str) -> None:
        changed = replace(load(""), class_names=[text, text], data_help=text)
        (folder / "r.yaml").write_text(resolved(changed), encoding="utf-8")
        assert load_config(["--config", "r.yaml"]) == changed


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, float, 1.0),
        (1, float | None, 1.0),
        (1, int | float, 1),
        (3, list[float], [3.0]),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ([[1], [2]], list[list[int]], [[1], [2]]),
        ([1, "a"], list, [1, "a"]),
        ([1, "a"], tuple, (1, "a")),
        ({"a": 1}, Mapping[str, int], {"a": 1}),
        ({"a": 1}, object, {"a": 1}),
        (1, Literal[1, 2], 1),
        ("x", Any, "x"),
    ],
)
def test_values_are_converted(value: Any, hint: Any, expected: Any) -> None:
    converted = coerce(value, hint)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "wanted"),
    [
        (True, int | float, "a whole number or a number"),
        (True, Literal[1, 2], "1 or 2"),
        ([1], tuple[int, int], "a list of 2 whole numbers"),
        ([1, None], Sequence[float], "a list of numbers"),
        ("a", list[bool], "a list of true or false"),
        ({}, list, "a list"),
        (None, Mapping[str, int], "a mapping"),
    ],
)
def test_values_that_do_not_fit(value: Any, hint: Any, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(repr(value))} must be {wanted}$"):
        coerce(value, hint)


def test_import_object() -> None:
    assert import_object("processor.config.schema.Config") is Config
