"""Every configuration is valid, and the documented one answers a user without data."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

import main as program
from graph.common.imports import import_object
from model.options import ModelOptions
from processor.config.schema import Config, ConfigError, load_config, load_study
from processor.engine.jobs import jobs_of

ROOT = Path(__file__).resolve().parents[1]
ST_TR = (
    "one-stream", "s-tr", "s-tr-all-layers", "s-tr-augmented", "s-tr-bones", "s-tr-more-channels", "t-tr", "t-tr-agcn",
    "t-tr-agcn-bones", "t-tr-augmented", "t-tr-bones", "t-tr-more-channels", "t-tr-windowed",
)  # fmt: skip
ABLATIONS = tuple(
    f"zit-zot-{name}" for name in ["gcn", "heads-1", "heads-12", "heads-3", "parallel", "spatial", "temporal"]
)
MODERN = ("s-tr-modern", "t-tr-modern")
NAMES = {  # every one that has been documented or had a file
    "custom": ("train",),
    "demo": ("train", "t-tr"),
    "kinetics": (*ST_TR, *MODERN, "test"),
    "ntu60_xsub": (*ST_TR, *MODERN, "s-tr-bones-modern", "test", "zit-zot", "zit-zot-2d", *ABLATIONS),
    "ntu60_xview": (*ST_TR, *MODERN, "test", "zit-zot", "zit-zot-2d"),
    "ntu120_xsub": (*ST_TR, *MODERN, "test", "zit-zot", "zit-zot-2d"),
    "ntu120_xset": (*ST_TR, *MODERN, "test", "zit-zot", "zit-zot-2d"),
    "nturgbd": ("train", "test"),
    "nw_ucla": ("s-tr", "t-tr", "study"),
    "sbu": ("s-tr", "t-tr", "study", "zit-zot", *ABLATIONS),
    "volleyball": ("zit-zot", "zoom"),
}
FILES = [ROOT / "config" / folder / f"{name}.yaml" for folder, names in NAMES.items() for name in names]


def name(path: Path) -> str:
    return path.relative_to(ROOT / "config").as_posix()


@cache
def configured(path: Path) -> Config:
    return load_config(["--config", str(path)])


def test_every_file_is_named() -> None:
    assert {path for path in (ROOT / "config").glob("*/*.yaml") if "/_" not in path.as_posix()} <= {*FILES}


TRAINED: set[str] = set()  # models of earlier configurations, but for sizes
SIZES = dict.fromkeys(("num_class", "num_person", "window_size", "max_T", "graph"), 0)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_config_builds_a_model_that_trains(path: Path) -> None:
    config = configured(path)
    names, args = config.class_names, config.model_args
    assert names is None or len(names) == args.get("num_class", ModelOptions.num_class)
    kind = repr((config.model, args.get("num_point", 25) % 2, sorted({**args, **SIZES, "num_point": 0}.items())))
    if kind in TRAINED:
        return
    model = import_object(config.model)(**args)
    o = model.options
    C, T, V, M = o.shape
    x = torch.randn(1, C, min(T or 8, 8), V, M)
    loss = torch.nn.functional.cross_entropy(model(x), torch.tensor([o.num_class - 1]))
    loss.backward()
    assert torch.isfinite(loss)
    TRAINED.add(kind)


def test_every_config_writes_where_its_name_says() -> None:
    elsewhere = {"demo/train.yaml": "demo/s-tr", "custom/train.yaml": "custom/s-tr"}
    for path in FILES:
        folder = elsewhere.get(name(path), name(path).removesuffix(".yaml"))
        assert configured(path).work_dir == Path("work_dir", folder)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("kinetics/t-tr-windowed", {"num_point": 18, "tcn_attention": True, "all_layers": True, "dim_block3": 75}),
        ("ntu120_xset/t-tr-agcn-bones", {"num_class": 120, "agcn": True, "channel": 6, "double_channel": True}),
        ("ntu60_xview/s-tr-more-channels", {"attention": True, "more_channels": True, "n": 4}),
        ("sbu/zit-zot-heads-3", {"num_head": 3, "in_channels": 6, "drop_connectivity": True}),
        ("sbu/one-stream", {"channel": 6, "window_size": 16, "attention": True, "tcn_attention": True}),
        ("ntu60_xsub/zit-zot-2d-parallel", {"num_point": 17, "parallel": True}),
    ],
)
def test_a_name_is_made_of_parts(path: str, expected: dict[str, object]) -> None:
    config = load_config(["--config", f"config/{path}.yaml"])
    assert {key: config.model_args[key] for key in expected} == expected


@pytest.mark.parametrize("folder", ["kinetics", "ntu60_xsub", "ntu60_xview", "ntu120_xsub", "ntu120_xset"])
def test_modern_settings_are_beside_the_published_ones(folder: str) -> None:
    for name in MODERN:
        config = load_config(["--config", f"config/{folder}/{name}.yaml"])
        assert (config.optimizer, config.lr_schedule, config.label_smoothing) == ("AdamW", "cosine", 0.1)
        assert config.train_feeder_args["window_size"] == config.test_feeder_args["window_size"] == 64
        assert ("random_rotation" in config.train_feeder_args) == (folder != "kinetics")
        published = load_config(["--config", f"config/{folder}/{name.removesuffix('-modern')}.yaml"])
        assert (published.optimizer, published.label_smoothing) == ("SGD", 0.0)


def test_studies_name_their_runs() -> None:
    jobs = jobs_of(load_study(["--config", "config/nw_ucla/study.yaml", "--study.seeds", "0", "1"]))
    assert [job.name for job in jobs] == [
        f"{model}/{stream}/seed{seed}"
        for seed in (0, 1)
        for model in ("s-tr", "t-tr-relative")
        for stream in ("joint", "bone", "joint_motion")
    ]
    assert [jobs[-1].config.model_args[key] for key in ("tcn_attention", "relative")] == [True, True]
    assert "relative" not in jobs[0].config.model_args
    assert [part["stream"] for part in (jobs[-1].config.train_feeder_args, jobs[-1].config.test_feeder_args)] == [
        "joint_motion", "joint_motion",
    ]  # fmt: skip
    study = load_study(["--config", "config/sbu/study.yaml"])
    names = [job.name for job in jobs_of(study)]
    assert len(names) == 15
    assert names[:2] + names[-1:] == ["zit-zot/seed0/fold1", "zit-zot/seed0/fold2", "t-tr/seed0/fold5"]
    assert [config.model for config in study.members.values()] == [
        "model.zit_zot.Model", "model.st_tr.Model", "model.st_tr.Model",
    ]  # fmt: skip


def test_a_data_set_from_elsewhere_has_the_same_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("mine", "_st_tr"):
        (tmp_path / folder).mkdir()
    base = ROOT / "config" / "demo" / "train.yaml"
    (tmp_path / "mine" / "_base.yaml").write_text(f"_base_: {base}\n_delete_: work_dir\n", encoding="utf-8")
    assert load_config(["--config", "mine/zit-zot-gcn.yaml", "--model_args._delete_", "window_size", "channels"])
    (tmp_path / "_st_tr" / "slow.yaml").write_text("base_lr: 0.001\n", encoding="utf-8")
    assert load_config(["--config", "mine/slow.yaml"]).base_lr == 0.001  # this folder replaces the project's
    (tmp_path / "further.yaml").write_text("_base_: [mine/slow.yaml, config/sbu/t-tr.yaml]", encoding="utf-8")
    assert load_config(["--config", "further.yaml"]).work_dir == Path("work_dir/further")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("ntu60_xsub/s-tr-bone.yaml", "(did you mean 's-tr-bones.yaml'?)"),
        ("ntu60_xsub/t-tr-agcn-bons.yaml", "(did you mean 't-tr-agcn-bones.yaml'?)"),
        ("sbu/zit-zot-head-3.yaml", "(did you mean 'zit-zot-heads-3.yaml'?)"),
        ("nturgbd/trian.yaml", "(did you mean 'train.yaml'?)"),
        ("kinetics/s-tr", "(did you mean 's-tr.yaml'?)"),
        (
            "ntu60_xsub",
            "this is a folder; name a file in it (zit-zot, zit-zot-2d; or parts of _st_tr joined by hyphens: agcn, ",
        ),
        ("_st_tr/s-tr-bones.yaml", "No such file"),
    ],
)
def test_what_was_meant_is_said(path: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (ROOT, tmp_path):
        monkeypatch.chdir(folder)
        with pytest.raises(ConfigError) as caught:
            load_config(["--config", f"config/{path}"])
        assert problem in caught.value.problems[0]


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
