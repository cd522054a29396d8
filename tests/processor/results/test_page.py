"""The report of a run: what it holds, that nothing in it is read as HTML, and what a browser makes of it."""

from __future__ import annotations

import base64
import json
import pickle
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
import torch
from browser import BROWSER, browser
from matplotlib.image import imread
from runs import make, write_data
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from feeders.arrays import pack_missing
from graph.common.yaml_text import dump
from processor.engine.attention import first_clip, look
from processor.engine.features import Features
from processor.engine.setup import set_up_test
from processor.results import page as module
from processor.results.embedding import embed
from processor.results.page import write_page
from processor.results.provenance import Made, fingerprint
from processor.results.scores import Scores
from processor.results.skeletons import ABSENT, Skeletons

pytestmark = pytest.mark.usefixtures("drawn")

STRANGE = ("</script><script>alert(1)</script>", "<b>\"'&amp;", "跳 {{ 7 * 7 }}")
LABELS = np.array([0, 0, 0, 1, 1, 2])
GUESSES = (0, 1, 1, 1, 0, 2)


def example(names: tuple[str, ...] = tuple("abcdef")) -> Scores:
    sharp = np.array([3, 1, 2, 3, 4, 3])[:, None]
    return Scores(names, sharp * np.eye(3)[list(GUESSES)], LABELS)


def content(path: Path) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def array(folder: Path, x: np.ndarray) -> dict[str, str]:
    np.save(folder / "val_data_joint.npy", x)
    labels = pickle.dumps(([str(i) for i in range(len(x))], [0] * len(x)))
    (folder / "val_label.pkl").write_bytes(labels)
    return {"data_path": str(folder / "val_data_joint.npy"), "label_path": str(folder / "val_label.pkl")}


def test_mistakes_are_in_order_and_the_interval_is_that_of_wilson(tmp_path: Path) -> None:
    write_page(tmp_path, example(), None, Made("num_epoch: 3\n", seed=7))
    data, text = content(tmp_path / "report.html"), (tmp_path / "report.html").read_text("utf-8")
    assert data["mistakes"] == {"confident": [4, 2, 1], "worst": [4, 2, 1]}
    assert data["guess"] == list(GUESSES)
    assert data["chance"][0] == round(1000 * np.e**3 / (np.e**3 + 2))
    assert "50.00 %" in text
    assert "18.76 to 81.24 %" in text
    assert "num_epoch: 3" in text
    assert data["skeletons"] == {"why": "the test data are no array here", "of": {}}
    assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]


def test_the_table_names_what_a_class_is_taken_for() -> None:
    rows = module._classes(Scores(tuple("abcdef"), np.eye(4)[list(GUESSES)], LABELS).confusion(), "abcd")
    assert [(row["total"], row.get("correct"), row.get("other"), row.get("times")) for row in rows] == [
        (3, 1, 1, 2),
        (2, 1, 0, 1),
        (1, 1, None, None),
        (0, None, None, None),
    ]


def test_a_lead_too_small_for_probabilities_decides_as_in_the_other_reports(tmp_path: Path) -> None:
    scores = Scores(("a", "b"), np.array([[1e-30, 2e-30], [2e-30, 1e-30]]), np.array([1, 0]))
    write_page(tmp_path, scores, None, Made(""))
    assert content(tmp_path / "report.html")["guess"] == [1, 0]


def test_nothing_that_people_name_is_html(tmp_path: Path) -> None:
    names = ("<img src=x onerror=alert(1)>", "\u2028", "\ud800", *"def")
    folder = tmp_path / "run & <i>"
    write_page(folder, example(names), STRANGE, Made("a: </pre><script>alert(1)</script>\n", weights="<u>"))
    text = (folder / "report.html").read_text("utf-8")
    assert "alert(1)</script>" not in text
    assert text.count("<script") == 2  # the data and ours
    assert not re.search(r"<(img|i|u|b>\")", text)
    assert "{{ 7 * 7 }}" in text
    data = content(folder / "report.html")
    assert data["classes"] == list(STRANGE)
    assert data["names"] == list(names)


def test_a_report_needs_no_network(tmp_path: Path) -> None:
    write_page(tmp_path, example(), None, Made(""))
    text = (tmp_path / "report.html").read_text("utf-8")
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}  # a name, nothing is fetched
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", text)


def test_a_player_gets_the_joints_that_are_there(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 9, 25, 2)).astype(np.float32)
    x[0, 1] *= 3
    x[0, :, 6:] = 0  # three frames are padding
    x[0, ..., 1] = 0  # one person
    missing = np.zeros((2, 9, 25, 2), bool)
    missing[0, 4, 7, 0] = True
    x[0, :, 4, 7, 0] = 0
    x[1] = 0
    array(tmp_path, x)
    np.save(tmp_path / "val_missing.npy", pack_missing(missing))
    np.save(tmp_path / "val_length.npy", np.array([6, 0], np.int32))
    skeletons = Skeletons(str(tmp_path / "val_data_joint.npy"))
    played = skeletons.quantised(0)
    assert played is not None
    assert (played["t"], played["of"]) == (6, 6)
    packed = np.frombuffer(base64.b64decode(played["x"]), np.uint8).reshape(6, 25, 3)
    assert (packed[4, 7] == ABSENT).all()
    assert (packed == ABSENT).sum() == 3
    joints = x[0, :, :6, :, 0].transpose(1, 2, 0)
    valid = packed[..., 0] != ABSENT
    size = np.ptp(joints[valid], axis=0).max()
    middle = (joints[valid].min(axis=0) + joints[valid].max(axis=0)) / 2
    error = np.abs((packed[valid] - 127.0) / 253 * size + middle - joints[valid])
    assert error.max() <= 0.51 * size / 253
    assert skeletons.quantised(1) is None
    about = skeletons.about([0, 1])
    assert (about["up"], about["dims"], about["down"], about["rate"]) == (1, 3, False, 30)


def test_joints_beside_bones_are_played_and_pictures_count_downwards(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(0, 99, (1, 3, 100, 25, 1)).astype(np.float32)
    array(tmp_path, x)
    np.save(tmp_path / "val_data_bone.npy", x)
    channels = {"names": ["x", "y", "score"], "unit": "pixels", "picture": [100, 100]}
    (tmp_path / "prepared.yaml").write_text(dump({"channels": channels, "frame_rate": 12.5}))
    skeletons = Skeletons(str(tmp_path / "val_data_bone.npy"))
    about, played = skeletons.about([0]), skeletons.quantised(0)
    assert (about["up"], about["dims"], about["down"], about["rate"]) == (1, 2, True, 12.5)
    assert played is not None
    assert (played["t"], played["of"], len(base64.b64decode(played["x"]))) == (60, 100, 60 * 25 * 2)


def test_room_is_for_mistakes_and_then_for_each_cell_in_turn() -> None:
    labels, guesses = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 0])
    assert module._by_interest(labels, guesses, [5]) == [5, 2, 0, 3, 1, 4]


def test_equal_features_give_an_equal_plane_and_clusters_stay_together() -> None:
    rng = np.random.default_rng(0)
    centre = np.repeat(np.eye(3) * 50, 12, axis=0)
    x = (centre + rng.normal(size=(36, 3))).astype(np.float32)
    plane, by = embed(x)
    assert by == "t-SNE, perplexity 12"
    np.testing.assert_array_equal(plane, embed(x)[0])
    assert (plane.min(), plane.max()) == (0, 1)
    distance = np.linalg.norm(plane[:, None] - plane[None], axis=2) + 9 * np.eye(36)
    assert (distance.argmin(axis=1) // 12 == np.arange(36) // 12).all()
    same, _ = embed(np.ones((6, 4), np.float32))
    assert (same == 0).all()


def test_without_scikit_learn_there_are_principal_components(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.manifold", None)
    x = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 1e-3]])
    plane, by = embed(x)
    assert by == "principal components; install scikit-learn for t-SNE"
    np.testing.assert_allclose(np.abs(np.diff(plane[:, 0])), 0.25, atol=1e-3)


def test_a_fingerprint_tells_data_apart(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((200, 3, 4, 5, 1)).astype(np.float32)
    args = array(tmp_path, x)
    before = fingerprint(args)
    assert re.fullmatch("[0-9a-f]{16}", before)
    assert fingerprint(array(tmp_path, x)) == before
    x[-1, 0, 0, 0, 0] += 1
    assert fingerprint(array(tmp_path, x)) != before
    assert fingerprint({}) == ""
    assert fingerprint({"data_path": str(tmp_path / "absent.npy")}) == ""


def test_a_training_and_a_test_report_their_run(tmp_path: Path) -> None:
    config = make(write_data(tmp_path), tmp_path, num_epoch=2)
    scores = runs.train(config)
    data = content(config.work_dir / "report.html")
    assert set(data["curves"]) == {"train/loss", "train/top1", "train/lr", "test/loss", "test/top1", "test/top2"}
    assert len(data["curves"]["test/top1"]) == 2
    assert data["curves"]["test/top1"][-1][1] == pytest.approx(scores.top_k(1))
    assert data["embedding"]["index"] == list(range(10))
    assert sorted(map(int, data["skeletons"]["of"])) == list(range(10))
    text = (config.work_dir / "report.html").read_text("utf-8")
    for fact in ("PyTorch", "test fingerprint", "train fingerprint", "minutes of training", "cpu", "seed"):
        assert fact in text
    first = data["attention"][0]
    share = np.exp(scores.scores) / np.exp(scores.scores).sum(axis=1, keepdims=True)
    chance = np.where(scores.known_labels == scores.scores.argmax(1), share.max(1), 0)
    assert first["sample"] == chance.argmax()
    assert first["kind"] == "joints"
    run = set_up_test(replace(config, weights=config.work_dir / "last.pt"))
    seen, _ = look(run.model, first_clip(run.loaders["test"].feeder, first["sample"]))
    for one in seen:
        values = one.values.mean(axis=(0, 1)) * 20  # in equal shares
        drawn = first["blocks"][one.block]
        x = np.frombuffer(base64.b64decode(drawn["x"]), np.uint8).reshape(20, 20) / 255
        np.testing.assert_allclose(
            drawn["least"] + x * (drawn["most"] - drawn["least"]), values, atol=np.ptp(values) / 255
        )
    assert np.mean(first["received"]) == pytest.approx(1, abs=1e-3)
    runs.run_test(make(write_data(tmp_path), tmp_path, weights=config.work_dir / "last.pt", overwrite=True))
    tested = content(config.work_dir / "report.html")
    assert tested["curves"] == data["curves"]
    assert tested["embedding"]["index"] == data["embedding"]["index"]


def test_tensorboard_gets_pictures(tmp_path: Path) -> None:
    config = make(write_data(tmp_path), tmp_path, num_epoch=1)
    runs.train(config)
    events = EventAccumulator(str(config.work_dir), size_guidance={"images": 0})
    events.Reload()
    assert events.Tags()["images"] == ["test/confusion_matrix", "test/skeletons"]
    for name in events.Tags()["images"]:
        (picture,) = events.Images(name)
        assert picture.step == events.Scalars("train/loss")[-1].step
        pixels = imread(BytesIO(picture.encoded_image_string))
        assert pixels.shape[:2] == (picture.height, picture.width)
        assert pixels.min() < 0.3  # something is drawn
        assert pixels.mean() > 0.5  # on white


def test_features_are_what_the_classifier_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torch import nn

    from processor.engine.data import Loader
    from processor.engine.evaluate import evaluate

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x.mean(dim=(2, 3, 4)))

    monkeypatch.setattr("processor.engine.features.MOST", 5)
    from feeders.feeder import Feeder

    feeder = Feeder(**write_data(tmp_path)["val"], window_size=8)
    loader = Loader(feeder, batch_size=4, workers=0, device=torch.device("cpu"))
    model = Mean()
    features = Features(model, 10)
    scores = evaluate(model, loader, torch.device("cpu"), "float32", features=features)
    gathered = features.gathered()
    assert gathered is not None
    assert gathered[0].tolist() == [0, 2, 4, 6, 8]
    np.testing.assert_allclose(gathered[1], np.load(tmp_path / "val.npy").mean(axis=(2, 3, 4))[::2], atol=1e-6)
    expected = model.fc(torch.from_numpy(gathered[1])).detach().numpy()
    np.testing.assert_allclose(scores.scores[::2], expected, atol=1e-6)
    assert not model.fc._forward_pre_hooks


def test_a_failing_report_fails_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no such template")

    monkeypatch.setattr(module, "page", fail)
    runs.train(make(write_data(tmp_path), tmp_path, num_epoch=1))
    assert "report.html could not be written, the scores are: " in caplog.text
    log = (tmp_path / "run" / "log.txt").read_text("utf-8")
    assert "Traceback" in log
    assert 'raise ValueError("no such template")' in log
    assert not (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "test_score.npz").exists()


def test_attention_that_cannot_be_told_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def glance(_: int) -> list[dict[str, Any]]:
        raise TypeError("a model of another kind")

    write_page(tmp_path, example(), None, Made("", glance=glance))
    assert content(tmp_path / "report.html")["attention"] == []
    assert "the report shows no attention: " in caplog.text
    assert 'id="attention"' not in (tmp_path / "report.html").read_text("utf-8")


def test_a_clip_is_a_tensor_whatever_a_feeder_gives() -> None:
    sample = np.ones((3, 8, 20, 1), np.float32)
    for x in (sample, torch.from_numpy(sample), sample[None]):
        assert first_clip([(x, 0, 0)], 0).shape == (3, 8, 20, 1)


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="Chromium is not installed (Debian: apt-get install chromium)")
def test_a_browser_opens_a_report_and_clicks_a_cell_and_a_player(tmp_path: Path) -> None:
    from data_gen.demo.actions import ACTIONS

    rng = np.random.default_rng(0)
    args = array(tmp_path, rng.normal(size=(30, 3, 40, 25, 2)).astype(np.float32))
    labels = np.arange(30) % 10
    guesses = np.where(np.arange(30) < 4, 9, labels)
    classes = (*STRANGE, *ACTIONS[3:])
    scores = Scores(tuple(f"sample {i}" for i in range(30)), 3 * np.eye(10)[guesses], labels)
    features = np.arange(30), rng.normal(size=(30, 8))
    rows = np.linspace(0, 0.1, 625).reshape(25, 25)
    scored = {"deletion_gain": 0.1, "insertion_gain": -0.1}
    seen = [{"kind": "joints", "blocks": {"gcn1": rows, "gcn2": rows.T}, "received": rows[0] + 0.04, **scored}]
    made = Made("seed: 0\n", data={"test": args}, features=features, glance=lambda _: seen)
    write_page(tmp_path / "run", scores, classes, made)
    with browser() as page:
        for width, dark in ((1280, False), (1280, True), (390, False)):
            page.look(width=width, height=800, dark=dark)
            page.open(tmp_path / "run" / "report.html")
            page.ask("document.getElementById('confusion').scrollIntoView()")
            page.wait("grid.side > 0")
            left, top, side = (page.ask(f"grid.{name}") for name in ("left", "top", "side"))
            page.click("#matrix", left + 9.5 * side, top + 0.5 * side)
            assert page.ask("document.querySelector('#cell h3').textContent") == (
                f"{STRANGE[0]}, taken for shake hands: 1 sample"
            )
            assert page.ask("document.querySelector('#cell li').textContent").startswith("sample 0")
            page.click("#cell .watch")
            frame = page.ask("document.querySelector('#cell .player').dataset.frame")
            page.wait(f"document.querySelector('#cell .player').dataset.frame !== '{frame}'")
            page.ask("document.getElementById('mistakes').scrollIntoView()")
            page.wait("document.querySelectorAll('#confident .card').length === 4")
            page.click("#confident .player")
            frame = page.ask("document.querySelector('#confident .player').dataset.frame")
            page.wait(f"document.querySelector('#confident .player').dataset.frame !== '{frame}'")
            page.ask("document.getElementById('features').scrollIntoView()")
            page.wait("!document.getElementById('plane').hidden")
            page.ask("document.getElementById('attention').scrollIntoView()")
            page.wait("document.querySelectorAll('#attention .card').length === 2")
            text = page.ask("document.querySelector('#attention .card').textContent")
            assert "deletion +0.100, insertion −0.100" in text
            page.ask("document.querySelector('#attention canvas.map').dispatchEvent(new PointerEvent('pointermove'))")
            said = page.ask("document.querySelector('#attention small').textContent")
            assert re.fullmatch(".+ → .+: [0-9.]+", said)
            page.click("#classes th:nth-child(4) button")
            assert page.ask("document.querySelector('#classes tbody tr td:nth-child(4)').textContent") == "66.7 %"
            assert page.ask("document.documentElement.scrollWidth <= innerWidth")
        assert page.problems == []
        assert {url.split(":")[0] for url in page.requests} <= {"file", "data"}
