"""A grid of runs: what is trained, kept, taken up again, refused, and what its ledger says."""

from __future__ import annotations

import csv
import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import MODEL, say, write_data

import main as program
from graph.common.yaml_text import dump
from processor.config.schema import ConfigError, load_study
from processor.engine import jobs as of_jobs
from processor.engine import study as engine
from processor.engine.jobs import check, choose, jobs_of
from processor.engine.study import Clock
from processor.engine.train import train
from processor.results.scores import load_scores
from processor.runtime.signals import StoppedError

STUDY = """
study:
  models: [s-tr, t-tr]
  streams: [joint, bone]
  seeds: [0, 1]
  fusion: {joint: 1, bone: 0.5}
"""
RUNS = [f"{model}/{stream}/seed{seed}" for seed in (0, 1) for model in ("s-tr", "t-tr") for stream in ("joint", "bone")]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line that runs a study of two models with two streams, of one epoch each."""
    monkeypatch.chdir(tmp_path)
    data = write_data(tmp_path)
    base: dict[str, Any] = {
        "train_feeder_args": data["train"], "test_feeder_args": data["val"], "model_args": MODEL, "optimizer": "AdamW",
        "base_lr": 5e-3, "batch_size": 9, "num_epoch": 1, "num_worker": 0, "device": "cpu",
    }  # fmt: skip
    (tmp_path / "_base.yaml").write_text(dump(base), encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return ["--config", "study.yaml"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def finished(folder: Path) -> set[str]:
    return {path.parent.relative_to(folder).as_posix() for path in folder.rglob("result.json")}


def fail(*_: object, **__: object) -> None:
    raise AssertionError("a run was trained")


def test_a_study_trains_its_runs_and_writes_the_ledger(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    status, said, error = say([*words, "--study.seeds", "0"], capsys, caplog)
    assert status == 0, error
    folder = tmp_path / "work_dir" / "study"
    assert finished(folder) == set(RUNS[:4])
    assert "run 4 of 4: t-tr/bone/seed0; about 1 min left for all runs" in said
    table = rows(folder / "results.csv")
    assert {row["study"] for row in table} == {"study.yaml --study '{\"seeds\": 0}'"}
    assert [row["name"] for row in table] == [
        "s-tr/joint", "s-tr/bone", "t-tr/joint", "t-tr/bone",
        "s-tr/joint + s-tr/bone", "t-tr/joint + t-tr/bone", "s-tr/joint + t-tr/joint", "s-tr/bone + t-tr/bone",
        "s-tr/joint + s-tr/bone + t-tr/joint + t-tr/bone",
    ]  # fmt: skip
    assert table[-1]["weights"] == "1 0.5 1 0.5"
    right = 0  # of the last row, slowly
    streams = [
        (load_scores(folder / model / stream / "seed0" / "test_score.npz").scores, weight)
        for model in ("s-tr", "t-tr")
        for stream, weight in (("joint", 1.0), ("bone", 0.5))
    ]
    for i in range(10):
        total = [sum(weight * float(scores[i, c]) for scores, weight in streams) for c in range(3)]
        right += total.index(max(total)) == i % 3
    assert table[-1]["top1"] == f"{10 * right:.2f}"
    one = torch.load(folder / "s-tr" / "bone" / "seed0" / "last.pt", weights_only=True)
    size = sum(x.numel() for name, x in one["model"].items() if "running" not in name and "num_batches" not in name)
    assert (table[0]["epoch"], table[0]["seeds"], table[0]["samples"], table[0]["copies"]) == ("1", "0", "10", "0")
    assert 0 < int(table[1]["parameters"]) <= size
    assert int(table[-1]["parameters"]) == sum(int(row["parameters"]) for row in table[:4])
    assert int(table[0]["flops"]) > 0
    text = (folder / "results.md").read_text(encoding="utf-8")
    assert "10 test samples; none of them is a training sample." in text
    assert "clean" not in text
    assert (folder / "results.tex").read_text(encoding="utf-8").startswith("\\begin{tabular}")


def test_what_ended_is_kept_and_what_was_killed_goes_on(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = [*words, "--only", "s-tr/joint", "--num_epoch", "2", "--study.seeds", "0"]
    folder = tmp_path / "work_dir" / "study" / "s-tr" / "joint" / "seed0"

    def killed(run: Any, **_: object) -> None:
        def kill(epoch: int, seconds: float) -> None:
            raise StoppedError(9)  # type: ignore[arg-type] # as after kill -9, nothing is saved from here on

        train(run, after_epoch=kill)

    with monkeypatch.context() as patch:
        patch.setattr(StoppedError, "__init__", lambda self, number: None)
        patch.setattr(engine, "train", killed)
        with pytest.raises(StoppedError):
            engine.run(load_study(one))
    assert torch.load(folder / "last.pt", weights_only=True)["epoch"] == 1
    assert not (folder / "result.json").exists()
    assert program.main(one) == 0, capsys.readouterr().err
    resumed = load_scores(folder / "test_score.npz").scores
    monkeypatch.setattr(engine, "train", fail)
    assert program.main(one) == 0, capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert program.main([*one, "--overwrite"]) == 0, capsys.readouterr().err
    np.testing.assert_array_equal(load_scores(folder / "test_score.npz").scores, resumed)


def test_a_run_that_was_only_tested_is_trained(words: list[str], tmp_path: Path) -> None:
    """A run is killed after its first epoch, tested, and goes on with the same command as before."""
    one = [*words, "--only", "s-tr/joint/seed0", "--num_epoch", "2"]
    folder = tmp_path / "work_dir" / "study" / "s-tr" / "joint" / "seed0"
    assert program.main(one) == 0
    state = torch.load(folder / "last.pt", weights_only=True)
    (folder / "result.json").unlink()
    torch.save({**state, "epoch": 1, "evaluated": 1}, folder / "last.pt")
    assert program.main([*one, "--phase", "test"]) == 0
    assert json.loads((folder / "result.json").read_text())["epoch"] is None
    assert program.main(one) == 0
    assert json.loads((folder / "result.json").read_text())["epoch"] == 2
    assert torch.load(folder / "last.pt", weights_only=True)["epoch"] == 2


def test_a_checkpoint_is_not_for_several_runs(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main([*words, "--resume", "last.pt", "--only", "s-tr/joint"]) == 1
    assert "resume: s-tr/joint/seed0 and s-tr/joint/seed1 would both go on from last.pt;" in capsys.readouterr().err


def test_every_model_of_folds_has_the_weights_of_its_fold(words: list[str], tmp_path: Path) -> None:
    study = load_study(words)
    folds = {
        member: replace(config, folds=[1], weights=None if member[0] == "s-tr" else tmp_path / "last.pt")
        for member, config in study.members.items()
    }
    folds = {
        member: replace(config, **{f"{part}_feeder_args": {"data_path": "{fold}"} for part in ("train", "test")})
        for member, config in folds.items()
    }
    study = replace(study, members=folds)
    with pytest.raises(ValueError, match=r"folds: weights: .*last\.pt would give every fold the weights of one"):
        check(study, jobs_of(study))


def test_a_run_of_another_configuration_is_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = [*words, "--only", "s-tr/joint/seed0"]
    assert program.main(one) == 0
    for change, told in (
        (["--base_lr", "0.01"], "base_lr: 0.005, now 0.01"),
        (["--model_args.dropout", "0.2"], "model_args.dropout: 0.1, now 0.2"),
        (["--model_args._delete_", "dropout"], "model_args.dropout: 0.1, now None"),
    ):
        capsys.readouterr()
        assert program.main([*one, *change]) == 1
        error = capsys.readouterr().err
        assert f"was made with another configuration ({told}); train it anew with --overwrite" in error
        assert error.count("\n") == 1
    assert program.main([*one, "--num_worker", "1", "--log_interval", "7"]) == 0
    assert program.main([*one, "--base_lr", "0.01", "--overwrite"]) == 0
    assert not (tmp_path / "work_dir" / "study" / "results.csv").exists()


def test_a_failed_run_is_listed_and_the_others_go_on(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train_some(run: Any, **further: Any) -> Any:
        if "bone" in str(run.config.work_dir):
            raise ValueError("the loss is no longer finite")
        return train(run, **further)

    monkeypatch.setattr(engine, "train", train_some)
    assert program.main([*words, "--study.seeds", "0", "--study.models", "s-tr"]) == 1
    error = capsys.readouterr().err
    assert "1 run failed; give the command again, without --overwrite" in error
    assert "\n  s-tr/bone/seed0: ValueError: the loss is no longer finite" in error
    assert finished(tmp_path / "work_dir" / "study") == {"s-tr/joint/seed0"}


def test_parts_are_disjoint_and_the_last_writes_the_ledger(words: list[str], tmp_path: Path) -> None:
    jobs = jobs_of(load_study(words))
    assert [job.name for job in jobs] == RUNS
    parts = [choose(jobs, load_study([*words, "--part", f"{k}/3"]).config) for k in (1, 2, 3)]
    assert sorted(job.name for part in parts for job in part) == sorted(RUNS)
    short = ["--study.seeds", "0", "--study.models", "s-tr"]
    ledger = tmp_path / "work_dir" / "study" / "results.md"
    assert program.main([*words, *short, "--part", "2/2"]) == 0
    assert not ledger.exists()
    assert program.main([*words, *short, "--part", "1/2"]) == 0
    assert ledger.is_file()


@pytest.mark.parametrize(
    ("only", "count"), [("s-tr", 4), ("s-tr/*", 4), ("*/bone", 4), ("*seed1", 4), ("t-tr/joint/seed0", 1)]
)
def test_runs_are_chosen_by_name(words: list[str], only: str, count: int) -> None:
    study = load_study([*words, "--only", only])
    assert len(choose(jobs_of(study), study.config)) == count


@pytest.mark.parametrize(
    ("further", "problem"),
    [
        (["--config", "t-tr.yaml", "--study.models", "s-tr", "t-tr"], "study.models: s-tr and t-tr are the same"),
        (["--study.modles", "s-tr"], "study.modles: study takes no such argument (did you mean 'models'?)"),
        (["--study.models", "s-trr"], "s-trr.yaml: No such file or directory (did you mean 's-tr.yaml'?)"),
        (["--study.models", "study"], "study.models: study is a study itself"),
        (["--study.fusion.bones", "1"], "study.fusion: 'bones' is no model and no stream of this study"),
        (["--study.fusion.bone", "much"], "study.fusion: a weight must be a number"),
        (["--study.fusion.bone", "{joint: 1}", "--study.fusion.joint", "1"], "so its weight must be a number"),
        (["--study.streams", "{joint: {seed: 3}, bone: {}}"], "study.streams: joint: seed is that of the study; leave"),
        (["--study.streams", "{joint: {}, bone: {work_dir: x}}"], "study.streams: bone: work_dir is that of the study"),
        (["--study.fusion.bone", "{joint: 1}"], "study.fusion: 'bone' is a stream, so its weight must be a number"),
        (["--study._delete_", "stream"], "no key 'stream' is inherited here (did you mean 'streams'?)"),
        (["--config", "s-tr.yaml", "--study", "5"], "study: 5 must be a mapping"),
        (["--test_feeder_args.stream", "bone"], "test_feeder_args.stream: the study names its streams; give"),
        (["--study.seeds", "1", "1"], "study.seeds: [1, 1] names one twice"),
        (["--study.streams", "../x"], "study.streams: '../x' cannot be the name of a folder"),
        (["--seed", "3"], "seed: the study names its seeds; give --study.seeds instead"),
        (["--part", "5/4"], "part: '5/4' must be two numbers, the first at most the second, such as 2/4"),
        (["--model_args.dropout", "2"], "model_args.dropout"),
    ],
)
def test_mistakes_in_a_study_are_told(words: list[str], further: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_study([*words, *further])
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


@pytest.mark.parametrize("weight", [".nan", ".inf", "1e400"])
def test_weights_of_a_fusion_are_finite(words: list[str], weight: str) -> None:
    with pytest.raises(ConfigError, match=r"fusion.*number"):
        load_study([*words, "--study.fusion.bone", weight])


@pytest.mark.parametrize("models", ["[s-tr, t-tr]", "[t-tr, s-tr]"])
def test_a_study_has_its_folder_whatever_its_models_name(words: list[str], models: str) -> None:
    Path("s-tr.yaml").write_text("_base_: _base.yaml\nwork_dir: elsewhere\n", encoding="utf-8")
    study = load_study([*words, "--study.models", models])
    assert {config.work_dir for config in study.members.values()} == {Path("work_dir/study")}
    study = load_study([*words, "--study.models", models, "--work_dir", "here"])
    assert {config.work_dir for config in study.members.values()} == {Path("here")}


def test_a_choice_without_runs_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([*words, "--only", "s-tr/joint", "typo"]) == 1
    assert "only: no run is called typo; the runs are" in capsys.readouterr().err
    assert program.main([*words, "--only", "s-tr/motion"]) == 1
    assert "only: no run is called s-tr/motion; the runs are s-tr/joint/seed0, " in capsys.readouterr().err
    assert program.main(["--config", "s-tr.yaml", "--part", "1/2"]) == 1
    assert "part: 1/2 chooses runs of a study or folds; this is one run" in capsys.readouterr().err


def test_a_stream_may_change_further_keys(words: list[str]) -> None:
    Path("study.yaml").write_text(
        "study: {streams: {joint: {}, both: {base_lr: 0.5, model_args: {channel: 6}, train_feeder_args: "
        "{stream: joint+bone}, test_feeder_args: {stream: joint+bone}}}}\n_base_: s-tr.yaml\n",
        encoding="utf-8",
    )
    joint, both = load_study(words).members.values()
    assert (joint.base_lr, joint.train_feeder_args["stream"]) == (5e-3, "joint")
    assert (both.base_lr, both.train_feeder_args["stream"], both.model_args["channel"]) == (0.5, "joint+bone", 6)


def test_the_command_line_comes_after_the_stream(words: list[str]) -> None:
    Path("study.yaml").write_text(
        "study: {streams: {joint: {}, bone: {base_lr: 0.5, seed: 3}}}\n_base_: s-tr.yaml\n", encoding="utf-8"
    )
    joint, bone = load_study([*words, "--base_lr", "0.25"]).members.values()
    assert (joint.base_lr, bone.base_lr, joint.seed, bone.seed) == (0.25, 0.25, 0, 3)


def test_streams_that_the_command_line_makes_the_same_are_refused(words: list[str]) -> None:
    of_joints = "train_feeder_args: {stream: joint}, test_feeder_args: {stream: joint}"
    text = f"study: {{streams: {{slow: {{base_lr: 0.1, {of_joints}}}, fast: {{base_lr: 0.2, {of_joints}}}}}}}\n"
    Path("study.yaml").write_text(f"{text}_base_: s-tr.yaml\n", encoding="utf-8")
    assert len(load_study(words).members) == 2
    with pytest.raises(ConfigError, match=r"study\.streams: slow and fast are the same"):
        load_study([*words, "--base_lr", "0.3"])


@pytest.mark.parametrize(
    ("child", "further", "members"),
    [
        ("study: {_delete_: streams}", [], ["s-tr/", "t-tr/"]),
        ("study: {_delete_: [streams, fusion], models: [t-tr]}", [], ["t-tr/"]),
        ("study: {_delete_: true, models: [t-tr]}", [], ["t-tr/"]),
        ("study: {streams: {_delete_: joint}}", [], ["s-tr/bone", "t-tr/bone"]),
        ("study: {streams: {bone: {_delete_: base_lr}}}", [], ["s-tr/joint", "s-tr/bone", "t-tr/joint", "t-tr/bone"]),
        ("", ["--study._delete_", "streams"], ["s-tr/", "t-tr/"]),
        ("", ["--_delete_", "study.streams"], ["s-tr/", "t-tr/"]),
    ],
)
def test_a_study_drops_what_it_inherits(words: list[str], child: str, further: list[str], members: list[str]) -> None:
    text = "study: {models: [s-tr, t-tr], streams: {joint: {}, bone: {base_lr: 0.5}}, seeds: [0]}\n"
    Path("base.yaml").write_text(text.replace("seeds", "fusion: {s-tr: 1}, seeds"), encoding="utf-8")
    Path("study.yaml").write_text(f"_base_: base.yaml\n{child}\n", encoding="utf-8")
    configs = load_study([*words, *further]).members
    assert ["/".join(member) for member in configs] == members
    changed = {config.base_lr for (_, stream), config in configs.items() if stream == "bone"}
    assert changed <= ({5e-3} if "base_lr" in child else {0.5})


def test_a_configuration_drops_the_study_that_it_inherits(words: list[str]) -> None:
    Path("one.yaml").write_text("_base_: [s-tr.yaml, study.yaml]\n_delete_: study\n", encoding="utf-8")
    assert list(load_study(["--config", "one.yaml"]).members) == [("", "")]


@pytest.mark.parametrize(
    ("key", "values", "problem"),
    [
        ("seed", (0, 5), r"study\.fusion: s-tr has seed: 0, t-tr has seed: 5; .* name the seeds in study\.seeds"),
        ("folds", ([1, 2], [1]), r"study\.fusion: s-tr has folds: \[1, 2\], t-tr has folds: \[1\]; .* the same folds"),
    ],
)
def test_members_of_other_seeds_or_folds_are_not_fused(
    words: list[str], key: str, values: tuple[Any, Any], problem: str
) -> None:
    Path("study.yaml").write_text("study: {models: [s-tr, t-tr], fusion: {s-tr: 1, t-tr: 1}}", encoding="utf-8")
    study = load_study(words)
    paths = {f"{part}_feeder_args": {"data_path": "{fold}"} for part in ("train", "test")}
    members = {
        member: replace(config, **{**paths, key: value})
        for (member, config), value in zip(study.members.items(), values, strict=True)
    }
    study = replace(study, members=members)
    with pytest.raises(ValueError, match=problem):
        check(study, jobs_of(study))
    unfused = replace(study, weights={**study.weights, ("t-tr", ""): 0.0})
    with pytest.raises(ValueError, match="data: "):  # which is looked for after that
        check(unfused, jobs_of(unfused))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is damaged: no configuration;"),
        ("- 1", "is damaged: no configuration;"),
        ("seed: [", "is damaged, line 1: not valid YAML: "),
    ],
)
def test_a_damaged_configuration_of_a_run_is_named(words: list[str], content: str, problem: str) -> None:
    study = load_study(words)
    jobs = jobs_of(study)
    jobs[0].config.work_dir.mkdir(parents=True)
    path = jobs[0].config.work_dir / "config.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="--overwrite --only s-tr/joint/seed0") as caught:
        check(study, jobs)
    assert str(caught.value).startswith(f"work_dir: {path} {problem}")


def test_one_feeder_at_a_time_is_kept(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()

    class Large:
        sample_name = ("a", "b")

        def __len__(self) -> int:
            return 0

    def opened(*_: object) -> Large:
        assert not alive
        alive.add(feeder := Large())
        return feeder

    monkeypatch.setattr(of_jobs, "open_feeder", opened)
    study = load_study(words)
    check(study, jobs_of(study))


def test_a_study_elsewhere_names_the_configurations_of_the_project(words: list[str]) -> None:
    Path("study.yaml").write_text("study: {models: [config/nw_ucla/s-tr, config/demo/t-tr]}", encoding="utf-8")
    members = load_study(words).members
    assert list(members) == [("s-tr", ""), ("t-tr", "")]
    assert [config.model_args["window_size"] for config in members.values()] == [52, 32]


def test_the_time_that_is_left(words: list[str]) -> None:
    jobs = jobs_of(load_study([*words, "--num_epoch", "10"]))
    clock, lines = Clock(jobs, kept=RUNS[:4]), []
    clock.begin(jobs[4])
    clock.epoch(1, 60.0)  # of one member; 9 epochs are left of this run, and 30 of the others
    lines.append(clock._estimate(jobs[4], 1))
    assert lines == ["; about 39 min left for all runs"]
