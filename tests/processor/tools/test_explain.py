"""Phase explain: attention equals plain loops, frames are the recording's, scores tell good explanations from bad."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import published_twin
import pytest
import torch
from conftest import ROOT
from golden.golden import golden_input
from golden_weights import golden_weights
from PIL import Image
from runs import MODEL, Data, make, say, write_data
from short import Model
from torch import nn

from data_gen.common.drawing import new_figure, plain_style
from feeders.feeder import Feeder
from graph.tools import Skeleton
from model.layers.attention import Attention
from model.published import from_published
from model.zit_zot import Model as ZitZot
from processor.config.schema import Config, resolved
from processor.engine import attribution
from processor.engine.attention import frames_of, look
from processor.engine.attribution import Score, area, by_axis, counts, rollout, spearman, stability
from processor.results import body_pictures
from processor.results.attention_pictures import limb_order
from processor.tools import explain as phase
from processor.tools.explain import folder_names, main

GOLDEN = json.loads((ROOT / "tests" / "golden" / "st_tr.json").read_text())


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("STEPS", 2), ("LEVELS", 3), ("RANDOM_ORDERS", 1), ("DRAWS", 1)):
        monkeypatch.setattr(attribution, name, value)
    monkeypatch.setattr(body_pictures, "MOST_FRAMES", 2)
    monkeypatch.setattr(body_pictures, "DOTS", 40)


@pytest.mark.parametrize("name", ["s-tr-adjacency", "s-tr-relative", "one-stream", "t-tr-all-layers"])
def test_weights_of_published_models(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the softmax of the slow twin, which shares no code with the layers."""
    variant = GOLDEN["variants"][name]
    state = {key: torch.as_tensor(x) for key, x in golden_weights(variant["state"]).items()}
    args = {**GOLDEN["base"], **variant["model_args"], "graph": variant["graph"]}
    x = torch.from_numpy(golden_input([1, *variant["input"][1:]]))
    if variant["input"][2] == 300:
        x = x[:, :, :37]
    drawn: list[np.ndarray] = []
    softmax = torch.Tensor.softmax

    def recorded(logits: torch.Tensor, dim: int) -> torch.Tensor:
        drawn.append(softmax(logits, dim).numpy())
        return softmax(logits, dim)

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "softmax", recorded)
        published_twin.logits({key: value.numpy() for key, value in state.items()}, x.numpy(), args)
    seen, _ = look(from_published(state), x[0])
    M, V = x.shape[-1], x.shape[-2]
    first = [one for one in seen if one.person == 0]
    for one in first:
        others = [other for other in seen if other.block == one.block]
        assert len(others) == M
        tokens = one.values.shape[-1]
        if one.kind == "joints":
            expected = drawn.pop(0)
            expected = expected.reshape(M, -1, *expected.shape[1:]).swapaxes(1, 2)
        else:
            expected, begin = np.zeros((M, one.values.shape[0], V, tokens, tokens)), 0
            while begin < tokens:
                window = drawn.pop(0)
                end = begin + window.shape[-1]
                expected[..., begin:end, begin:end] = window.reshape(M, V, *window.shape[1:]).swapaxes(1, 2)
                begin = end
        for person, other in enumerate(others):
            np.testing.assert_allclose(other.values, expected[person], rtol=0, atol=1e-6)
            np.testing.assert_allclose(other.values.sum(axis=-1), 1, rtol=0, atol=1e-5)
    assert not drawn


def weights_in_loops(attention: Attention, x: np.ndarray, terms: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(H, L, L) of the tokens (L, C) of one row; `terms` (H, L, L) and q·r (L, L, d) are added to the logits."""
    W, b = attention.qkv.weight.detach().double().numpy(), attention.qkv.bias.detach().double().numpy()
    L, H, d = len(x), attention.heads, attention.widths[0] // attention.heads
    qkv = np.array([[sum(W[c] * x[i]) + b[c] for c in range(2 * H * d)] for i in range(L)])
    y = np.zeros((H, L, L))
    for h in range(H):
        for i in range(L):
            q = qkv[i, h * d : (h + 1) * d] * attention.scale
            logits = [
                sum(q * qkv[j, (H + h) * d : (H + h + 1) * d]) + sum(q * r[i, j]) + terms[h, i, j] for j in range(L)
            ]
            sizes = [np.exp(logit - max(logits)) for logit in logits]
            y[h, i] = np.array(sizes) / sum(sizes)
    return y


def test_zit_zot_against_loops() -> None:
    torch.manual_seed(0)
    model = ZitZot(num_class=4, num_point=17, group_relation=False, max_T=8).eval()
    x = torch.randn(3, 8, 17, 3)
    x[..., 1] = 0  # the second person is absent
    tokens: dict[str, torch.Tensor] = {}
    named = {name: m for name, m in model.named_modules() if isinstance(m, Attention)}
    handles = [m.register_forward_pre_hook(lambda _, a, n=name: tokens.update({n: a[0]})) for name, m in named.items()]
    with torch.no_grad():
        model(x[None])
    for handle in handles:
        handle.remove()
    seen = {one.name: one for one in look(model, x)[0]}
    assert {one.kind for one in seen.values()} == {"joints", "frames", "persons"}
    assert "zit.0.spatial/person2" in seen
    assert "zit.0.spatial/person1" not in seen
    assert seen["zit.0.spatial"].values.shape == (named["zit.0.spatial.attention"].heads, 8, 17, 17)
    assert seen["zit.0.temporal"].values.shape[1:] == (17, 8, 8)
    group = seen["zot.0.spatial"]
    assert group.values.shape[1:] == (tokens["zot.0.spatial.attention"].shape[1], 3, 3)
    assert np.all(group.values[..., 1] == 0)
    absent = np.zeros((len(group.values), 3, 3))
    absent[..., 1] = -np.inf
    unit = named["zot.0.spatial.attention"]
    row = tokens["zot.0.spatial.attention"][0, 1].double().numpy()
    expected = weights_in_loops(unit, row, absent, np.zeros((3, 3, unit.widths[0] // unit.heads)))
    np.testing.assert_allclose(group.values[:, 1], expected, atol=1e-6)
    unit, row = named["zit.0.temporal.attention"], tokens["zit.0.temporal.attention"][2, 5].double().numpy()
    table = unit.terms["relative"].key_rel.detach().double().numpy()
    r = np.array([[table[7 + j - i] for j in range(8)] for i in range(8)])
    expected = weights_in_loops(unit, row, np.zeros((unit.heads, 8, 8)), r)
    np.testing.assert_allclose(seen["zit.0.temporal/person2"].values[:, 5], expected, atol=1e-6)
    assert not any(m._forward_pre_hooks for m in model.modules())  # nothing is left that costs anything


def test_logits_before_the_softmax_and_drop_connect_aside() -> None:
    torch.manual_seed(0)
    model = Model(**{**MODEL, "drop_connect": True}).train()
    x = torch.randn(3, 8, 20, 1)
    weights, logits = look(model, x)[0], look(model, x, logits=True)[0]
    assert len(weights) == 2
    for a, b in zip(weights, logits, strict=True):
        sizes = np.exp(b.values.astype(np.float64))
        np.testing.assert_allclose(a.values, sizes / sizes.sum(axis=-1, keepdims=True), atol=1e-6)
        assert (a.values > 0).all()


def test_a_model_without_attention_is_told() -> None:
    with pytest.raises(ValueError, match="no self-attention"):
        look(nn.Linear(2, 2), torch.ones(1, 1, 1, 1))


@pytest.mark.parametrize(
    "options",
    [
        {}, {"window_size": 5}, {"window_size": 30}, {"window_size": 5, "random_choose": True},
        {"random_shift": True}, {"window_size": 6, "sampling": "even"}, {"window_size": 6, "sampling": "random"},
        {"window_size": 40, "sampling": "uniform", "num_clips": 3}, {"window_size": 7, "sampling": "drawn"},
        {"window_size": 9, "sampling": "resize", "p_interval": [0.5, 1.0], "min_crop": 4},
        {"window_size": 6, "sampling": "random", "mirroring": True, "random_scaling": [1.0, 1.0]},
    ],
)  # fmt: skip
def test_frames_are_those_of_the_recording(tmp_path: Path, options: dict[str, Any]) -> None:
    """z of each joint is the number of its frame, which none of these options changes."""
    x = np.zeros((2, 3, 20, 25, 1), np.float32)
    x[:, 2, 3:16] = np.arange(3, 16)[:, None, None]
    x[:, 1, 3:16] = 1
    np.save(tmp_path / "val_data.npy", x)
    (tmp_path / "val_label.pkl").write_bytes(pickle.dumps((["a", "b"], [0, 1])))
    feeder = Feeder(str(tmp_path / "val_data.npy"), str(tmp_path / "val_label.pkl"), **options)
    numbers, sample = feeder.frame_numbers(1), feeder[1][0].numpy()
    z, y = sample[..., 2, :, 0, 0], sample[..., 1, :, 0, 0]
    assert numbers.shape == z.shape
    if not options or ("window_size" in options and "sampling" not in options):  # frames with nobody are shown, too
        shown = ~np.isnan(numbers)
        assert ((numbers < 3) | (numbers > 15))[shown & (y == 0)].all()
    else:
        assert np.isnan(numbers[y == 0]).all()
    np.testing.assert_allclose(numbers[y > 0], z[y > 0], rtol=1e-5)


def test_tokens_of_time_stand_at_frames() -> None:
    model = Model(**{**MODEL, "attention": False, "tcn_attention": True, "window_size": 7})
    seen, _ = look(model, torch.randn(3, 7, 20, 1))
    assert seen[0].kind == "frames"
    assert frames_of(seen[0], np.arange(10.0, 17.0)).tolist() == [10, 12, 14, 16]
    seen, _ = look(model, torch.zeros(3, 7, 20, 1))  # nobody, who counts as the first person
    assert seen[0].values.any()


class OneJoint(nn.Module):
    """Class 1 is likely where joint 3 moves far from the origin; no other joint counts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x[:, :, :, 3].abs().mean(dim=(1, 2, 3))
        return torch.stack([torch.ones_like(y), 10 * y], dim=1)


def test_a_right_explanation_scores_above_a_wrong_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "LEVELS", 8)
    monkeypatch.setattr(attribution, "RANDOM_ORDERS", 20)
    model, x = OneJoint(), torch.ones(3, 4, 8, 1)
    right = np.zeros(8)
    right[3] = 1
    score = Score(model, x, 1)
    good, bad = score.of(right, "joints"), score.of(-right, "joints")
    low, high = float(torch.tensor(1 / (1 + np.e))), float(torch.tensor(1 / (1 + np.exp(-9.0))))
    assert good["curves"]["deletion"] == pytest.approx([high] + [low] * 8, abs=1e-5)
    assert good["curves"]["insertion"] == pytest.approx([low] + [high] * 8, abs=1e-5)
    assert bad["curves"]["deletion"] == pytest.approx([high] * 8 + [low], abs=1e-5)
    assert good["deletion_gain"] > 0.2 > 0 > bad["deletion_gain"]
    assert good["insertion_gain"] > 0.2 > 0 > bad["insertion_gain"]


def test_gradients_tell_which_joint_counts() -> None:
    pytest.importorskip("captum")
    parts = attribution.integrated_gradients(OneJoint(), torch.ones(3, 4, 8, 1), [0, 1])
    assert parts[1].sum() == pytest.approx(10, rel=1e-4)  # the logit, less that of zeros
    assert by_axis(parts[1])["gradients", "joints"] == pytest.approx([0, 0, 0, 1, 0, 0, 0, 0])
    assert by_axis(parts[1])["gradients", "frames"] == pytest.approx([0.25] * 4)
    assert not parts[0].any()


def test_numbers() -> None:
    assert area(np.array([1.0, 0.0, 0.0]), np.array([0, 0.5, 1])) == 0.25
    assert area(np.array([1.0, 1.0]), np.array([0, 1.0])) == 1
    assert counts(25, 10).tolist() == [0, 2, 5, 8, 10, 12, 15, 18, 20, 22, 25]
    shares = counts(25, 10) / 25
    assert area(shares, shares) == pytest.approx(0.5)
    assert area((shares < 0.1).astype(float), shares) == pytest.approx(0.08 + 0.12 / 2)
    A = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert rollout([A]).tolist() == [[0.5, 0.5], [0, 1]]
    assert rollout([A, A]).tolist() == [[0.25, 0.75], [0, 1]]
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 15.0])) == pytest.approx(0.5)
    assert spearman(np.array([1.0, 1.0, 3.0]), np.array([0.0, 0.0, 5.0])) == pytest.approx(1)
    assert spearman(np.zeros(3), np.arange(3.0)) == 0


def test_noise_spares_what_is_missing() -> None:
    given: list[torch.Tensor] = []
    x = torch.ones(1, 2, 3, 1)
    x[0, 0, 0] = 0
    x[0, 1, 1] = 2

    def explained(noisy: torch.Tensor) -> Any:
        given.append(noisy)
        return {("attention", "joints"): np.arange(3.0)}

    assert stability(explained, x, {("attention", "joints"): np.arange(3.0)}) == {("attention", "joints"): 1.0}
    assert given[0][0, 0, 0] == 0
    assert 0 < float((given[0] - x).abs().max()) < 0.05


def test_limbs_are_together() -> None:
    skeleton = Skeleton("s", ("hip", "left knee", "right knee", "left foot", "right foot"), (0, 0, 0, 1, 2))
    assert limb_order(skeleton) == ([0, 1, 3, 2, 4], [3])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return write_data(tmp_path_factory.mktemp("data"))


def weights_of(model: nn.Module, folder: Path) -> Path:
    path = folder / "weights.pt"
    torch.save(model.state_dict(), path)
    return path


def explain(data: Data, tmp_path: Path, model: nn.Module, *words: str, **keys: Any) -> int:
    """`--phase explain` with the configuration of a test in a file."""
    weights, config = weights_of(model, tmp_path), tmp_path / "test.yaml"
    config.write_text(resolved(make(data, tmp_path, **keys)), encoding="utf-8")
    return main(["--phase", "explain", "--config", str(config), "--weights", str(weights), *words])


def test_a_sample_is_explained(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("captum")
    torch.manual_seed(0)
    args = {**MODEL, "tcn_attention": True}
    model = Model(**args)
    words = ["--sample", "val3", "--order", "limb", "--color-bar", "each", "--logits", "--out"]
    explain(data, tmp_path, model, *words, str(tmp_path / "out"), model_args=args)
    folder = tmp_path / "out" / "val3"
    x = Feeder(**data["val"])[3][0]
    with np.load(folder / "attention.npz") as arrays, np.load(folder / "logits.npz") as logits:
        seen, _ = look(model, x)
        assert {*arrays.files} == {name for one in seen for name in (one.name, f"frames/{one.name}")}
        for one in seen:
            np.testing.assert_array_equal(arrays[one.name], one.values)
            assert logits[one.name].shape == one.values.shape
        assert arrays["frames/backbone.2.tcn1"].tolist() == [0, 4]
    content = json.loads((folder / "explanation.json").read_text(encoding="utf-8"))
    assert {*content["scores"]} == {
        f"{method} of {axis}" for method in ("attention", "rollout", "gradients") for axis in ("joints", "frames")
    }
    assert content["scored"][0]["sample"] == "val3"
    with np.load(folder / "attribution.npz") as arrays:
        assert arrays["gradients/joints"].shape == (20,)
        assert arrays["attention/frames"].sum() == pytest.approx(1)
        assert any(name.startswith("gradients/val3/class") for name in arrays.files)
    expected = {f"{name}.{kind}" for name in ("heatmaps_joints", "heatmap_frames", "body") for kind in ("png", "pdf")}
    assert expected < {path.name for path in folder.iterdir()}
    assert Image.open(folder / "body.gif").n_frames == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out",
        "test.yaml",
        "weights.pt",
    ]  # work_dir is left alone


def test_a_class_is_the_mean_of_its_samples(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)  # as where it is not installed
    monkeypatch.setattr("processor.tools.explanation.MOST_SCORED", 1)
    monkeypatch.setattr("processor.results.attention_pictures.save_pdf", lambda path, _: path.touch())
    model = Model(**MODEL)
    with caplog.at_level(logging.INFO):
        explain(data, tmp_path, model, "--class", "2")
    assert caplog.text.count("captum is not installed") == 1
    folder = tmp_path / "run" / "explain" / "class_2"
    feeder = Feeder(**data["val"])
    samples = [look(model, feeder[i][0])[0][0].values for i in (2, 5, 8)]
    with np.load(folder / "attention.npz") as arrays:
        np.testing.assert_allclose(arrays["backbone.1.gcn1"], np.mean(samples, axis=0), atol=1e-6)
    scores = json.loads((folder / "explanation.json").read_text(encoding="utf-8"))["scores"]
    assert {*scores} == {"attention of joints", "rollout of joints"}
    assert (folder / "heatmaps_joints.png").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name samples of the test (--sample NAME), classes"),
        (["--sample", "val1", "--class", "1"], "name samples of the test"),
        (["--sample", "vall1"], "no test sample is named 'vall1' (the nearest is 'val1')"),
        (["--class", "jump"], "no samples of a class 'jump'"),
        (["--class", "1", "--logits"], "logits: are those of a sample"),
        (["--input", "nothing.json"], "input: nothing.json does not exist"),
        (["--class", "1", "--out", __file__], "test_explain.py is no folder; name another place"),
        (["--class", "1", "--device", "banana"], "argument --device: 'banana' is none of auto, cpu"),
    ],
)
def test_mistakes(data: Data, tmp_path: Path, words: list[str], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        explain(data, tmp_path, Model(**MODEL), *words)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "w.pt is no file"), (b"no weights", "w.pt is damaged"), ({"a": torch.zeros(1)}, "add --config")],
)
def test_weights_that_tell_no_configuration(
    tmp_path: Path, content: Any, sentence: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "w.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        torch.save(content, path)
    status, _, error = say(["--phase", "explain", "--weights", str(path), "--class", "1"], capsys, caplog)
    assert status == 1
    assert sentence in error


def test_matplotlib_is_loaded_only_to_draw() -> None:
    code = "import sys, processor.tools.explain; sys.exit('matplotlib' in sys.modules or 'captum' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_each_sample_has_a_folder_of_its_own() -> None:
    assert folder_names(["a/b", "a b", "A_b", "a_b_2", "..", "c" * 90, "c" * 91]) == [
        "a_b", "a_b_2", "A_b_3", "a_b_2_2", "explained", "c" * 80, "c" * 80 + "_2",
    ]  # fmt: skip


def test_a_film_of_an_earlier_explanation_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in (None, sys.executable):  # none, and one that fails
        (tmp_path / "body.mp4").write_bytes(b"earlier")
        monkeypatch.setattr(body_pictures.shutil, "which", lambda _, program=program: program)
        assert not body_pictures.save_mp4(tmp_path / "body.mp4", [np.zeros((4, 4, 3), np.uint8)])
        assert list(tmp_path.iterdir()) == []


def test_padding_has_no_number(tmp_path: Path) -> None:
    body = np.random.default_rng(0).normal(size=(3, 2, 3, 2))
    bodies = body_pictures.Bodies(body, Skeleton("three", ("a", "b", "c"), (0, 0, 1)), {})
    with plain_style():
        cells = new_figure(4, 2).subplots(1, 3)
        bodies.strip(cells, [0, 1], np.array([4.0, np.nan]), colored=False)
    assert [axes.get_title() for axes in cells] == ["frame 4", "padding", ""]
    assert [axes.get_visible() for axes in cells] == [True, True, False]


def test_names_of_classes_count_without_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "names.txt").write_text("sit\nstand\n", encoding="utf-8")
    monkeypatch.setattr(phase, "read_weights", lambda path: path)
    monkeypatch.setattr(phase, "config_of", lambda _: Config())
    monkeypatch.setattr(phase, "open_test", lambda config: config)
    names = ["--class_names", str(tmp_path / "names.txt"), "--device", "cpu"]
    args, _ = phase.parser().read(["--phase", "explain", "--weights", str(tmp_path / "last.pt"), *names])
    config, folder = phase._run(args, [])
    assert config.device == "cpu"
    assert config.class_names == ["sit", "stand"]
    assert (config.weights, folder) == (tmp_path / "last.pt", tmp_path / "explain")
