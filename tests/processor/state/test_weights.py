"""Weights from anywhere: what they settle is taken from them, what they are is told, what is wrong is named."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden.golden import golden_input
from golden_weights import golden_weights
from runs import MODEL, Data, make, run_test, say, train, write_data

from model.published import from_published
from model.st_tr import Model
from processor.config.schema import load_config
from processor.engine.models import _has_other_joints, build_model, model_of_weights
from processor.results.scores import load_scores
from processor.state.checkpoint import State, read_checkpoint
from processor.state.weights import load_weights, read_weights

ST_TR = "model.st_tr.Model"
VARIANTS = json.loads((Path(__file__).parents[2] / "golden" / "st_tr.json").read_text())["variants"]


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return write_data(tmp_path)


def published(path: Path, name: str, *, prefix: str = "", wrapper: str = "") -> Path:
    """A checkpoint of the published code."""
    state = {prefix + key: torch.as_tensor(x) for key, x in golden_weights(VARIANTS[name]["state"]).items()}
    torch.save({"epoch": 7, wrapper: state} if wrapper else state, path)
    return path


@pytest.mark.parametrize(
    "form", [{}, {"prefix": "module."}, {"wrapper": "model_state_dict", "prefix": "module.module."}]
)
def test_published_files_need_no_options(tmp_path: Path, form: dict[str, str]) -> None:
    weights = read_weights(published(tmp_path / "w.ckpt", "t-tr-agcn", **form))
    model, args = model_of_weights(ST_TR, {"num_class": 60}, weights)
    assert args["agcn"]
    x = torch.from_numpy(golden_input([1, 3, 20, 25, 2]))
    with torch.no_grad():
        assert torch.equal(model.eval()(x), from_published(weights.state)(x))
    assert model.options.agcn


def test_a_difference_is_named_with_what_the_weights_hold(tmp_path: Path) -> None:
    weights = read_weights(published(tmp_path / "w.pt", "t-tr-agcn"))
    for given, sentence in (
        (
            {"agcn": False},
            "these weights hold agcn: True, model_args say agcn: False; set `agcn: True` or drop the key",
        ),
        (
            {"num_class": 7, "relative": True},
            (
                "these weights hold num_class: 60, relative: False, model_args say num_class: 7, relative: True; "
                "set `num_class: 60, relative: False` or drop these keys"
            ),
        ),
    ):
        with pytest.raises(ValueError, match="weights: ") as refusal:
            weights.complete(ST_TR, given)
        assert str(refusal.value) == f"weights: {tmp_path / 'w.pt'}: {sentence}"


def test_our_checkpoints_settle_the_options_that_they_were_trained_with(data: Data, tmp_path: Path) -> None:
    scores = train(make(data, tmp_path, model=ST_TR, num_epoch=1, accumulation=1))
    path = tmp_path / "run" / "last.pt"
    elsewhere = make(
        data, tmp_path, model=ST_TR, phase="test", model_args={}, weights=path, work_dir=tmp_path / "other"
    )
    np.testing.assert_allclose(run_test(elsewhere).scores, scores.scores, atol=1e-5)
    weights = read_weights(path)
    assert weights.complete(ST_TR, {"dropout": 0.4})["dropout"] == 0.4
    # an option at its default is an option, too: the file was trained without agcn
    with pytest.raises(ValueError, match="hold Nh: 2, skip_conn: True, model_args say Nh: 4, skip_conn: False"):
        weights.complete(ST_TR, {"skip_conn": False, "Nh": 4})


def test_weights_of_another_number_of_classes_can_be_tuned(data: Data, tmp_path: Path) -> None:
    train(make(data, tmp_path, model=ST_TR, num_epoch=1))
    path = tmp_path / "run" / "last.pt"
    old = read_checkpoint(path)["model"]
    more = {**MODEL, "num_class": 5}
    tuned = make(data, tmp_path, model=ST_TR, model_args=more, weights=path, work_dir=tmp_path / "b")
    with pytest.raises(ValueError, match="these weights hold num_class: 3, model_args say num_class: 5"):
        train(tuned)
    train(make(data, tmp_path, **{**tuned.__dict__, "ignore_weights": ["fcn"], "base_lr": 1e-9, "num_epoch": 1}))
    scores = load_scores(tmp_path / "b" / "test_score.npz")
    again = run_test(
        make(data, tmp_path, model=ST_TR, work_dir=tmp_path / "b", model_args=more, ignore_weights=["fcn"])
    )
    np.testing.assert_allclose(again.scores, scores.scores, atol=1e-5)  # a test leaves no weights out
    new = read_checkpoint(tmp_path / "b" / "last.pt")["model"]
    torch.testing.assert_close(new["backbone.0.tcn1.conv.weight"], old["backbone.0.tcn1.conv.weight"])
    assert len(new["fcn.bias"]) == 5
    model = Model(**more)
    with pytest.raises(ValueError, match="ignore_weights: no weights of the model begin with 'fnc'"):
        load_weights(model, read_weights(path), ["fnc"])
    with pytest.raises(ValueError, match=r"is of another model: 2 tensors are of another shape \(fcn\.weight\)"):
        load_weights(model, read_weights(path))


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod."])
def test_state_dicts_of_other_loops_load(data: Data, tmp_path: Path, prefix: str) -> None:
    """Compiled, wrapped twice, and without the batch norms' counts."""
    model = Model(**MODEL)
    state = {prefix + k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save({"state_dict": {"model": state}}, tmp_path / "w.pt")
    other = Model(**MODEL)
    load_weights(other, read_weights(tmp_path / "w.pt"))
    x = torch.randn(2, 3, 8, 20, 1)
    assert torch.equal(other.eval()(x), model.eval()(x))


def test_weights_of_compiled_parts_and_of_earlier_names_load(data: Data, tmp_path: Path) -> None:
    options = {**MODEL, "relative": True, "adjacency": True}
    model, other = Model(**options).eval(), Model(**options).eval()
    state = {}
    for key, tensor in model.state_dict().items():
        key = key.replace(".terms.relative.", ".relative.").replace(".terms.adjacency.", ".bias.")
        state[key.replace("backbone.1.", "backbone.1._orig_mod.")] = tensor
    assert any(".attention.bias." in key for key in state)
    torch.save(state, tmp_path / "w.pt")
    load_weights(other, read_weights(tmp_path / "w.pt"))
    x = torch.randn(2, 3, 8, 20, 1)
    assert torch.equal(other(x), model(x))


@pytest.mark.parametrize("ignored", ["fcn", "fcn."])
def test_ignored_weights_may_end_in_a_dot(data: Data, tmp_path: Path, ignored: str) -> None:
    train(make(data, tmp_path, model=ST_TR, num_epoch=1))
    weights = read_weights(tmp_path / "run" / "last.pt")
    more = {**MODEL, "num_class": 5}
    assert weights.complete(ST_TR, more, [ignored])["num_class"] == 5
    with pytest.raises(ValueError, match="ignore_weights: no weights of the model begin with ''"):
        load_weights(Model(**more), weights, [""])


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_strange_files_are_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model = torch.nn.Linear(2, 2)
    torch.save({"weight": Payload(tmp_path / "ran")}, tmp_path / "evil.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    torch.save({"weight": 3}, tmp_path / "number.pt")
    torch.save({0: torch.zeros(2)}, tmp_path / "numbered.pt")
    torch.save({"weight": torch.eye(2).to_sparse()}, tmp_path / "sparse.pt")
    torch.save({"weight": torch.zeros(2, device="meta")}, tmp_path / "meta.pt")
    torch.save({"weight": torch.zeros(2, dtype=torch.complex64)}, tmp_path / "complex.pt")
    torch.save({"weight": torch.zeros(1).expand(10**12)}, tmp_path / "huge.pt")
    torch.save({"a": torch.zeros(2), "module.a": torch.zeros(2)}, tmp_path / "twice.pt")
    torch.save({}, tmp_path / "empty.pt")
    torch.save(model.state_dict(), tmp_path / "good.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "good.pt").read_bytes()[:300])
    (tmp_path / "text.pt").write_text("hello")
    for name in (
        "evil",
        "bare",
        "number",
        "numbered",
        "sparse",
        "meta",
        "complex",
        "huge",
        "twice",
        "empty",
        "cut",
        "text",
        "absent",
    ):
        for phase in ("info", "test"):
            config = [] if phase == "info" else ["--config", "config/nturgbd/test.yaml"]
            status, _, error = say(
                [*config, "--phase", phase, "--weights", str(tmp_path / f"{name}.pt")], capsys, caplog
            )
            assert status == 1
            assert error.startswith(f"error: weights: {tmp_path / name}.pt")
            assert error.count("\n") == 1
    assert not (tmp_path / "ran").exists()
    load_weights(model, read_weights(tmp_path / "good.pt"))
    state = State(model, torch.optim.SGD(model.parameters(), lr=1))
    torch.save({"state_dict": model.state_dict(), "optimizer": {}, "epoch": 3}, tmp_path / "foreign.pt")
    for name in ("good", "foreign"):
        with pytest.raises(ValueError, match="holds weights, not a run"):
            state.load(tmp_path / f"{name}.pt")
    with pytest.raises(ValueError, match=r"resume: .*is no file"):
        state.load(tmp_path / "absent.pt")


def test_a_file_of_another_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "linear.pt")
    argv = ["--weights", str(tmp_path / "linear.pt")]
    status, _, error = say(["--phase", "info", *argv], capsys, caplog)
    assert status == 1
    assert "2 tensors (weight, bias, ...), neither of the published code nor a checkpoint of ST-TR" in error
    with pytest.raises(ValueError, match=r"is of another model: .* tensors are missing"):
        load_weights(Model(**MODEL), read_weights(tmp_path / "linear.pt"))


@pytest.mark.parametrize(
    ("forged", "sentence"),
    [
        (
            "model: os.system\nmodel_args: {command: touch ran}",
            "these weights name a model from elsewhere; if it is to be trusted, give it: --model os.system",
        ),
        ("model: model.st_tr.Model\nmodel_args: {graph: antigravity.Graph}", "a graph from elsewhere"),
        ("model: model.st_tr.Model\nmodel_args: {num_class: many}", "num_class: 'many' must be a whole number"),
        ("model: model.st_tr.Model\nmodel_args: {stranger: 1}", "stranger"),
        ("model: [", "is not valid YAML"),
        ("model: 3", "names no model"),
        ("!!python/object/apply:os.system [touch ran]", "is not valid YAML"),
    ],
)
def test_a_forged_configuration_in_a_checkpoint_calls_nothing(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forged: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"fcn.bias": torch.zeros(3)}, "config": forged}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"weights: .*w\.pt") as refusal:
        read_weights(tmp_path / "w.pt").complete(ST_TR, {})
    assert sentence in str(refusal.value)
    assert not (tmp_path / "ran").exists()


def test_info_tells_what_a_file_is(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = published(tmp_path / "s-tr.pt", "s-tr")
    status, said, _ = say(["--phase", "info", "--weights", str(path)], capsys, caplog)
    assert status == 0
    for line in (
        f"file        {path}",
        "kind        published ST-TR, 3,075,338 parameters",
        "model       model.st_tr.Model",
        "stream      spatial attention (S-TR)",
        "input       3 channels, 300 frames, 2 persons",
        "joints      25 (graph.ntu_rgb_d.Graph)",
        "classes     60",
        "parameters  3,07",
        "FLOPs       33.0",
        "by default  drop_key 0.5",
    ):
        assert line in said
    train(make(data, tmp_path, model=ST_TR, num_epoch=1))
    status, said, _ = say(["--phase", "info", "--weights", str(tmp_path / "run" / "last.pt")], capsys, caplog)
    assert status == 0
    assert re.search(
        r"kind +checkpoint\ntraining +1 epoch, 1?\d steps?, \d\.\d minutes; best top-1 .* %, of epoch 1\n", said
    )
    assert "20 (graph.nw_ucla.Graph)" in said
    status, said, _ = say(["--phase", "info", "--config", "config/ntu60_xsub/t-tr-agcn-bones.yaml"], capsys, caplog)
    assert status == 0
    assert "stream      temporal attention (T-TR), adaptive graph (AGCN)" in said
    assert "6 channels (joints and bones)" in said
    for more in ([], ["--device", "cpu"]):
        status, _, error = say(["--phase", "info", *more], capsys, caplog)
        assert (status, error.count("\n")) == (1, 1)
        assert "name a file with --weights, or a configuration with --config" in error


def test_info_of_a_configuration_without_model_args(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(
        "processor.tools.info.count_flops", lambda model, shape: 0
    )  # takes seconds, and is tested above
    argv = ["--phase", "info", "--config", "config/ntu60_xsub/test.yaml"]
    status, said, error = say(argv, capsys, caplog)
    assert (status, error) == (0, "")
    for line in (
        "model       model.st_tr.Model",
        "stream      spatial attention (S-TR)",
        "joints      25 (graph.ntu_rgb_d.Graph)",
        "classes     60",
        "by default  num_class 60",
    ):
        assert line in said
    assert all(line.strip() for line in said.splitlines())  # no row without a text
    path = published(tmp_path / "t-tr.pt", "t-tr")
    status, said, _ = say([*argv, "--weights", str(path)], capsys, caplog)
    assert status == 0
    assert "stream      temporal attention (T-TR)" in said
    status, said, _ = say(["--phase", "info", "--model", "model.zit_zot.Model"], capsys, caplog)
    assert status == 0
    assert "model       model.zit_zot.Model" in said
    state = Model().state_dict()
    torch.save(state, tmp_path / "plain.pt")  # a state dict of ours, which its configuration explains
    status, said, _ = say([*argv, "--weights", str(tmp_path / "plain.pt")], capsys, caplog)
    assert status == 0
    assert "kind        state dict\n" in said
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "linear.pt")
    status, _, error = say([*argv, "--weights", str(tmp_path / "linear.pt")], capsys, caplog)
    assert (status, error.count("\n")) == (1, 1)
    assert "linear.pt is of another model" in error


PUBLISHED_YAML = """
feeder: st_gcn.feeder.Feeder
feeder_augmented: st_gcn.feeder.FeederAugmented
train_feeder_args: {{data_path: {train[data_path]}, label_path: {train[label_path]}, random_choose: False,
  random_shift: False, random_move: False, window_size: -1, normalization: False, mirroring: False}}
test_feeder_args: {{data_path: {val[data_path]}, label_path: {val[label_path]}}}
model: st_gcn.net.ST_GCN
training: True
model_args: {{num_class: 3, channel: 3, window_size: 8, num_point: 25, num_person: 1, mask_learning: True,
  use_data_bn: True, attention: True, only_attention: True, tcn_attention: False, data_normalization: True,
  skip_conn: True, weight_matrix: 2, only_temporal_attention: True, bn_flag: True, attention_3: False,
  kernel_temporal: 9, more_channels: False, double_channel: False, drop_connect: True, concat_original: True,
  all_layers: False, adjacency: False, agcn: False, dv: 0.25, dk: 0.25, Nh: 8, n: 4, dim_block1: 10,
  dim_block2: 30, dim_block3: 75, relative: False, graph: st_gcn.graph.NTU_RGB_D, visualization: False,
  graph_args: {{labeling_mode: 'spatial'}}}}
scheduler: 1
weight_decay: 0.0001
base_lr: 0.1
step: [60,90]
device: [0,1,2,3]
batch_size: 16
test_batch_size: 8
num_epoch: 1
nesterov: True
work_dir: {work_dir}
"""


def test_a_published_configuration_trains_as_it_is(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for part in data.values():
        x = np.load(part["data_path"])
        np.save(part["data_path"], np.concatenate([x, x[:, :, :, :5]], axis=3))  # 25 joints
    path = tmp_path / "train.yaml"
    path.write_text(PUBLISHED_YAML.format(**data, work_dir=tmp_path / "run"))
    status, said, _ = say(["--config", str(path), "--num_worker", "0"], capsys, caplog)
    assert status == 0
    written = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    for text in (said, written):
        for once in (
            "st_gcn.feeder.Feeder is read as feeders.feeder.Feeder",
            "st_gcn.net.ST_GCN is read as model.st_tr.Model",
            "st_gcn.graph.NTU_RGB_D is read as graph.ntu_rgb_d.Graph",
            "these published keys do nothing: ",
            "scheduler",
            "model_args.kernel_temporal",
        ):
            assert text.count(once) == 1
    assert load_config(["--config", str(tmp_path / "run" / "config.yaml")]).accumulation == 2


def test_a_skeleton_file_may_move_but_not_change(tmp_path: Path) -> None:
    text = "name: line\njoints: [a, b, c]\nbones: [[a, b], [b, c]]\ncenter: a\n"
    for name in ("old.yaml", "new.yaml"):
        (tmp_path / name).write_text(text)
    graph = {"graph": "graph.custom.Graph", "graph_args": {"path": str(tmp_path / "old.yaml")}}
    trained = {**MODEL, "num_point": 3, **graph}
    state = Model(**trained).state_dict()
    config = f"model: model.st_tr.Model\nmodel_args: {json.dumps(trained)}\n"
    torch.save({"model": state, "config": config}, tmp_path / "w.pt")
    weights = read_weights(tmp_path / "w.pt")
    (tmp_path / "old.yaml").unlink()
    moved = {"graph": "graph.custom.Graph", "graph_args": {"path": str(tmp_path / "new.yaml")}}
    load_weights(build_model(ST_TR, weights.complete(ST_TR, moved)), weights)
    model = build_model(ST_TR, {**trained, **moved})
    assert _has_other_joints(model, moved, trained, weights)  # nothing but the paths tell
    assert not _has_other_joints(model, moved, {**trained, **moved}, weights)
    with pytest.raises(ValueError, match="graph_args"):
        weights.complete(ST_TR, {"graph_args": {**moved["graph_args"], "labeling_mode": "uniform"}})
