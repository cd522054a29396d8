"""A recording becomes the logits that a test gives of it, in any cut, from any model that knows itself."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from runs import say

from data_gen.common.drawing import new_figure, save_png
from data_gen.custom_gendata import gendata
from data_gen.demo_gendata import ACTIONS, make_demo
from data_gen.formats.reading import read
from data_gen.formats.recording import Recording
from data_gen.ntu_gen_bones import gen_bones
from data_gen.ntu_merge_joint_bones import merge_joint_bones
from graph.azure_kinect import SKELETON as AZURE
from graph.channels import Channels
from graph.coco import SKELETON as COCO
from graph.ntu_rgb_d import SKELETON as NTU
from graph.tools import Skeleton
from processor.config.schema import Config, load_config
from processor.engine.evaluate import evaluate
from processor.engine.models import model_of_weights
from processor.engine.setup import set_up_training
from processor.engine.train import train
from processor.results.fusion import fuse
from processor.results.scores import load_scores, save_scores
from processor.state.weights import read_weights
from processor.tools import explain
from processor.tools.info import info
from processor.tools.predict import Recognizer
from processor.tools.predictions import draw, parser
from processor.tools.preparation import row_of

MODEL = {"num_class": 10, "channels": [16, 16, 32], "Nh": 2, "window_size": 16, "classifier_std": 0.1}
EVEN = {"sampling": "even", "window_size": 16}


def config(folder: Path, work_dir: str, args: dict[str, Any], name: str = "data_joint", **changes: Any) -> Config:
    data = folder / "demo" / "xsub"
    paths = {
        part: {"data_path": str(data / f"{part}_{name}.npy"), "label_path": str(data / f"{part}_label.pkl")}
        for part in ("train", "val")
    }
    settings: dict[str, Any] = {
        "train_feeder_args": paths["train"] | args,
        "test_feeder_args": paths["val"] | args,
        "model_args": MODEL,
        "optimizer": "AdamW",
        "base_lr": 1e-3,
        "num_epoch": 1,
        "num_worker": 0,
        "device": "cpu",
        "work_dir": folder / work_dir,
        "class_names": list(ACTIONS),
    }
    return Config(**{**settings, **changes})


def untrained(settings: Config) -> Path:
    """The folder of a run before its first epoch: `last.pt`, and the scores of its test."""
    run = set_up_training(settings)
    run.checkpoints.save(run.state)
    save_scores(settings.work_dir / "test_score.npz", evaluate(run.model, run.loaders["test"], run.device, "float32"))
    return settings.work_dir


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo of three performers, and a run on it that was trained for an epoch."""
    folder = tmp_path_factory.mktemp("predict")
    make_demo(folder / "demo", performers=3, replications=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("processor.results.report.write_report", lambda *_: None)
        train(set_up_training(config(folder, "joint", EVEN)))
    return folder


def files_of(demo: Path, names: tuple[str, ...]) -> list[str | Path]:
    return [demo / "demo" / "raw" / name for name in names]


def check(demo: Path, run: Path, **loaded: Any) -> Recognizer:
    """Raw files of all test samples give the logits of the test."""
    recognizer = Recognizer.load(run / "last.pt", device="cpu", **loaded)
    scores = load_scores(run / "test_score.npz")
    predictions = recognizer(files_of(demo, scores.names))
    assert [prediction.recording for prediction in predictions] == list(scores.names)
    assert np.abs(scores.scores).max() > 0.1
    np.testing.assert_allclose([prediction.logits for prediction in predictions], scores.scores, rtol=0, atol=1e-5)
    return recognizer


def test_raw_files_give_the_logits_of_the_test(demo: Path) -> None:
    assert len(load_scores(demo / "joint" / "test_score.npz").names) == 30
    recognizer = check(demo, demo / "joint")
    assert recognizer.class_names == tuple(ACTIONS)
    assert recognizer.notes == ()


def test_a_raw_file_is_explained_like_its_sample(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint alone says how; a recording has no label to explain."""
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setattr("processor.results.body_pictures.draw_bodies", lambda *_, **__: [])
    monkeypatch.setattr("processor.results.attention_pictures.draw_maps", lambda *_, **__: [])
    name = load_scores(demo / "joint" / "test_score.npz").names[3]
    raw = tmp_path / "mine" / "walk.skeleton"
    raw.parent.mkdir()
    shutil.copy(demo / "demo" / "raw" / name, raw)
    for words in (["--sample", name], ["--input", str(raw)]):
        words += ["--weights", str(demo / "joint" / "last.pt"), "--out", str(tmp_path / "out")]
        assert explain.main(["--phase", "explain", *words]) == 0
    sample, given = (tmp_path / "out" / each for each in (name, "walk.skeleton"))
    with np.load(sample / "attention.npz") as a, np.load(given / "attention.npz") as b:
        assert len(a.files) == 12  # weights and frames of six attentions
        for key in a.files:
            np.testing.assert_allclose(b[key], a[key], atol=1e-6)
    rows = [json.loads((f / "explanation.json").read_text(encoding="utf-8"))["scored"][0] for f in (sample, given)]
    assert rows[0]["label"] in range(10)
    assert rows[1]["label"] is None
    assert rows[1]["predicted"] == rows[0]["predicted"]


@pytest.mark.parametrize(
    ("name", "args", "channel"),
    [
        ("data_bone", EVEN, 3),
        ("data_joint_bones", {"window_size": 40, "min_max": True}, 6),
        ("data_joint", {**EVEN, "stream": "joint+bone_motion", "center": 1, "normalization": True}, 6),
    ],
)
def test_every_stream_is_made_as_in_the_test(demo: Path, name: str, args: dict[str, Any], channel: int) -> None:
    if not (demo / "demo" / "xsub" / "val_data_bone.npy").exists():
        gen_bones(demo / "demo" / "xsub")
        merge_joint_bones(demo / "demo" / "xsub")
    work_dir = f"{name}-{channel}"
    check(demo, untrained(config(demo, work_dir, args, name, model_args={**MODEL, "channel": channel})))


def test_a_checkpoint_knows_itself(demo: Path, tmp_path: Path) -> None:
    content = torch.load(demo / "joint" / "last.pt", weights_only=True)
    assert content["class_names"] == list(ACTIONS)
    assert content["stream"] == "joint"
    assert content["versions"]["torch"] == torch.__version__
    data = content["data"]
    assert (data["array"], data["shape"], data["frame_rate"]) == ("val_data_joint.npy", [3, 300, 25, 2], 30)
    assert data["channels"] == {"names": ["x", "y", "z"], "unit": "metres", "picture": None}
    assert (data["skeleton"]["name"], data["skeleton"]["joints"][:2]) == ("NTU RGB+D", ["spine base", "spine mid"])
    assert data["skeleton"]["parents"] == list(NTU.parents)
    assert data["made"]["script"] == "demo_gendata.py"
    assert 1 < data["size"] < 2.2  # metres
    for damage in ({"shape": "x"}, {"skeleton": {"name": "a", "joints": ["b"], "parents": [4]}}, {"channels": 3}):
        torch.save({**content, "data": {**data, **damage}}, tmp_path / "a.pt")
        with pytest.raises(ValueError, match=r"a\.pt: what it holds of its data is damaged"):
            Recognizer.load(tmp_path / "a.pt")


def test_checkpoints_of_earlier_versions_ask_the_arrays_or_take_the_published_way(demo: Path, tmp_path: Path) -> None:
    content = torch.load(demo / "joint" / "last.pt", weights_only=True)
    old = {key: value for key, value in content.items() if key not in ("data", "versions")}
    torch.save(old, tmp_path / "last.pt")
    (tmp_path / "test_score.npz").write_bytes((demo / "joint" / "test_score.npz").read_bytes())
    assert check(demo, tmp_path).notes == ()
    torch.save({**old, "config": old["config"].replace(str(demo), "nowhere")}, tmp_path / "last.pt")
    (note,) = check(demo, tmp_path).notes
    assert note.endswith("nothing tells how its data were made; recordings are prepared as by preprocess.py")
    torch.save({**content, "data": {**content["data"], "made": {}}}, tmp_path / "last.pt")  # of arrays without a record
    assert check(demo, tmp_path).notes == (note,)


def test_a_plain_state_dict_needs_its_configuration(demo: Path, tmp_path: Path) -> None:
    content = torch.load(demo / "joint" / "last.pt", weights_only=True)
    torch.save(content["model"], tmp_path / "last.pt")
    (tmp_path / "test_score.npz").write_bytes((demo / "joint" / "test_score.npz").read_bytes())
    with pytest.raises(ValueError, match=r"last\.pt is a state dict, and does not tell .*; add --config with"):
        Recognizer.load(tmp_path / "last.pt")
    (tmp_path / "c.yaml").write_text(content["config"], encoding="utf-8")
    assert check(demo, tmp_path, config=tmp_path / "c.yaml").class_names == tuple(ACTIONS)


def test_several_models_are_fused_by_the_names_of_their_classes(demo: Path, tmp_path: Path) -> None:
    other = untrained(config(demo, "other", EVEN, seed=7))
    content = torch.load(other / "last.pt", weights_only=True)
    order = [3, 1, 0, 2, 9, 8, 7, 6, 5, 4]
    weights = {key: x[order] if key.startswith("fcn.") else x for key, x in content["model"].items()}
    names = [ACTIONS[i] for i in order]
    torch.save({**content, "model": weights, "class_names": names}, tmp_path / "turned.pt")
    scores = [load_scores(run / "test_score.npz") for run in (demo / "joint", other)]
    expected = fuse(scores, [1, 0.4])
    recognizer = Recognizer.load(demo / "joint" / "last.pt", tmp_path / "turned.pt", alpha=[1, 0.4], device="cpu")
    predictions = recognizer(files_of(demo, expected.names))
    np.testing.assert_allclose([p.logits for p in predictions], expected.scores, rtol=1e-6, atol=1e-5)
    best = expected.scores.argmax(axis=1)
    assert [p.label for p in predictions] == [ACTIONS[i] for i in best]
    with pytest.raises(ValueError, match="alpha: 1 weight for 2 streams; give one for each"):
        Recognizer.load(demo / "joint" / "last.pt", tmp_path / "turned.pt", alpha=[1])
    torch.save({**content, "class_names": [*names[:9], "jump"]}, tmp_path / "turned.pt")
    turned = tmp_path / "turned.txt"
    turned.write_text("".join(f"{name}\n" for name in names))
    with pytest.raises(ValueError, match=r"has other names, or another order, than .* knows; leave it out"):
        Recognizer.load(demo / "joint" / "last.pt", class_names=turned)
    with pytest.raises(ValueError, match=r"have different classes \(.*jump.*\); fuse scores of the same task"):
        Recognizer.load(demo / "joint" / "last.pt", tmp_path / "turned.pt")


def test_joints_without_names_are_those_of_the_first_model(demo: Path) -> None:
    one = Recognizer.load(demo / "joint" / "last.pt", device="cpu")
    (stream,) = one.streams
    turned = Skeleton("turned", NTU.joints[::-1], tuple(24 - parent for parent in NTU.parents[::-1]))
    other = replace(stream, data=replace(stream.data, skeleton=turned))
    recording = walk(20)
    for pair in ([stream, other], [other, stream]):
        named = recording if pair[0] is stream else replace(recording, skeleton=turned)
        unnamed = replace(recording, skeleton=None)
        (a,), (b,) = (Recognizer(pair)(each) for each in (named, unnamed))
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-5)


def test_the_frame_rate_may_be_that_of_any_model(demo: Path) -> None:
    one = Recognizer.load(demo / "joint" / "last.pt", device="cpu")
    (stream,) = one.streams
    silent = replace(stream, data=replace(stream.data, frame_rate=None))
    for pair in ([stream, silent], [silent, stream]):
        predictions = Recognizer(pair)(replace(walk(60), frame_rate=None), window=1)
        assert [(p.start, p.end) for p in predictions] == [(0, 30), (30, 60)]


def test_why_a_recording_has_no_label_is_told_also_for_windows_and_persons(demo: Path) -> None:
    recognizer = Recognizer.load(demo / "joint" / "last.pt", device="cpu")
    with pytest.raises(ValueError, match=r"^array: no body in any frame$"):
        recognizer(np.ones((50, 2, 25, 3)), window=0.5)
    late = walk(400, 2)
    late.joints[:350, 1], late.present[:350, 1] = 0, False
    (label,) = recognizer(late, per_person=True)
    assert label.person == 0
    (reason,) = recognizer.skipped
    assert reason == "walk, person 1: no body in any frame of the first 300, which the model takes; try a --window"


def walk(frames: int = 60, persons: int = 1, **fields: Any) -> Recording:
    rng = np.random.default_rng(5)
    body = rng.uniform(-1, 1, (1, persons, 25, 3)) + 0.1 * rng.normal(size=(frames, persons, 25, 3)) + [0, 0, 3]
    body = body + 5 * np.arange(persons)[:, None, None]
    return Recording.of("walk", body, Channels(unit="metres"), skeleton=NTU, frame_rate=30, **fields)


def test_windows_cover_a_recording_and_equal_the_recordings_of_their_frames(demo: Path) -> None:
    recognizer = Recognizer.load(demo / "joint" / "last.pt", device="cpu")
    recording = walk(70)
    predictions = recognizer(recording, window=1, every=0.5)
    assert [(p.start, p.end) for p in predictions] == [(0, 30), (15, 45), (30, 60), (40, 70)]
    assert (predictions[1].start_seconds, predictions[1].end_seconds) == (0.5, 1.5)
    (alone,) = recognizer(recording.between(15, 44))
    np.testing.assert_allclose(predictions[1].logits, alone.logits, atol=1e-5)
    assert [(p.start, p.end) for p in recognizer(recording, window=9)] == [(0, 70)]
    steps = [p.start for p in recognizer(recording, window=0.2, every=0.25)]  # 7.5 frames
    assert steps == [0, 8, 15, 22, 30, 38, 45, 52, 60, 64]
    empty = replace(recording, joints=recording.joints.copy(), present=recording.present.copy())
    empty.joints[:40], empty.present[:40] = 0, False
    assert [p.start for p in recognizer(empty, window=1)] == [30, 40]
    empty.joints[:], empty.present[:] = 0, False
    for options in ({}, {"window": 1}, {"per_person": True}):
        with pytest.raises(ValueError, match=r"^walk: nobody is in any frame$"):
            recognizer(empty, **options)
    for wrong, problem in (
        ({"every": 1}, "every: is the time from window to window"),
        ({"window": 0}, "window: 0 must be a number above 0"),
        ({"top_k": 0}, "top_k: 0 must be at least 1"),
    ):
        with pytest.raises(ValueError, match=problem):
            recognizer(recording, **wrong)


def test_every_person_gets_a_label(demo: Path) -> None:
    recognizer = Recognizer.load(demo / "joint" / "last.pt", device="cpu")
    crowd = walk(20, 4, identity=np.tile([7, 3, 12, 5], (20, 1)))
    order = np.random.default_rng(0).permuted(np.tile(np.arange(4), (20, 1)), axis=1)
    take = np.arange(20)[:, None], order  # another order in each frame
    mixed = replace(
        crowd, joints=crowd.joints[take], present=crowd.present[take], identity=np.asarray(crowd.identity)[take]
    )
    predictions = {p.person: p for p in recognizer(mixed, per_person=True)}
    assert sorted(predictions) == [3, 5, 7, 12]
    for place, number in enumerate([7, 3, 12, 5]):
        one = slice(place, place + 1)
        alone = replace(crowd, joints=crowd.joints[:, one], present=crowd.present[:, one], identity=None)
        np.testing.assert_allclose(predictions[number].logits, recognizer(alone)[0].logits, atol=1e-5)
    (together,) = recognizer(crowd)
    assert together.person is None
    assert "it has up to 4 persons, the model takes 2" in together.notes
    follow_up = walk(20, 1, identity=np.repeat([[5], [9]], 10, axis=0))  # one leaves, another comes
    first, second = recognizer(follow_up, per_person=True)
    assert (first.person, second.person) == (5, 9)
    (half,) = recognizer(follow_up.between(0, 9))
    np.testing.assert_allclose(first.logits, half.logits, atol=1e-5)


def test_what_a_model_does_not_take_is_told(demo: Path) -> None:
    recognizer = Recognizer.load(demo / "joint" / "last.pt", device="cpu")
    (long,) = recognizer(walk(330))
    assert (long.start, long.end) == (0, 300)
    assert "it has 330 frames, of which the model takes the first 300; a --window may be shorter" in long.notes
    assert not any("of which the model takes" in note for note in recognizer(walk(60), window=20)[0].notes)
    (given,) = recognizer(walk(30), frame_rate=10)  # NTU's reader assumes 30
    assert given.end_seconds == 3.0
    assert "its file or format tells 30 frames a second; 10 are taken, as you ask for" in given.notes
    assert [(p.start, p.end) for p in recognizer(walk(30), window=1, frame_rate=15)] == [(0, 15), (15, 30)]
    unknown = replace(walk(30), name="unknown", frame_rate=None)
    slow = recognizer(unknown, frame_rate=10)[0]
    assert (slow.end_seconds, any("movements look faster" in note for note in slow.notes)) == (3.0, True)
    with pytest.raises(ValueError, match=r"with C x, y, z expected, found \(5, 25, 2\)"):
        recognizer(np.ones((5, 25, 2)))
    with pytest.raises(ValueError, match=r"^input: nix\.json and no do not exist; --input takes files and folders"):
        recognizer(["nix.json", walk(30), "no"])
    arrays = [np.random.default_rng(0).normal(size=(9, 25, 3))] * 2
    assert [p.recording for p in recognizer(arrays)] == ["array", "array (2)"]


def test_logits_that_are_no_numbers_are_told_by_the_recording(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recognizer = Recognizer.load(demo / "joint" / "last.pt", device="cpu")
    stream, count = recognizer.streams[0], iter(range(9))

    def logits(_: Any, rows: Any) -> np.ndarray:
        return np.array([[np.nan if next(count) == 1 else 1.0] * 10 for _ in rows], np.float32)

    monkeypatch.setattr(type(stream), "logits", logits)
    recordings = [replace(walk(30), name=name) for name in ("a", "b", "c")]
    assert [p.recording for p in recognizer(recordings)] == ["a", "c"]
    assert recognizer.skipped == ["b: the logits of frames 0 to 30 are not finite; the weights may be damaged"]


def test_persons_of_another_format_have_one_place(demo: Path) -> None:
    crowd = walk(8, 2, identity=np.full((8, 2), -1))
    turned = np.arange(8)[:, None], np.array([[0, 1], [1, 0]] * 4)
    mixed = replace(crowd, joints=crowd.joints[turned], present=crowd.present[turned], format="alphapose")
    for script in ("pyskl_gendata.py", "ucla_gendata.py", "sbu_gendata.py"):
        made = {"script": script, "options": {}}
        np.testing.assert_array_equal(row_of(mixed, made, 8, 2).x, row_of(crowd, made, 8, 2).x)


def test_a_recording_of_250_000_frames_needs_the_memory_of_its_windows(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = Recognizer.load(demo / "joint" / "last.pt", device="cpu")
    joints = np.ones((1, 1, 25, 3), np.float32) + np.arange(25, dtype=np.float32)[:, None]
    long = replace(
        walk(1),
        joints=np.broadcast_to(joints, (250_000, 1, 25, 3)),
        present=np.broadcast_to(np.True_, (250_000, 1, 25)),
    )
    monkeypatch.setattr(type(recognizer.streams[0]), "logits", lambda _, rows: np.zeros((len(rows), 10), np.float32))
    tracemalloc.start()
    count = sum(1 for _ in recognizer.predict([long], window=100, every=20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 413
    assert peak < 40e6  # 32 rows of 300 frames; the recording itself would have 75 MB


def test_other_skeletons_are_mapped_with_a_note_or_refused(demo: Path) -> None:
    recognizer = Recognizer.load(demo / "joint" / "last.pt", device="cpu")
    millimetres = np.random.default_rng(1).uniform(0, 1700, (20, 1, 32, 3))
    azure = Recording.of("azure", millimetres, Channels(unit="millimetres"), skeleton=AZURE)
    (prediction,) = recognizer(azure)
    assert "made the joints of NTU RGB+D of those of Azure Kinect" in prediction.notes
    coco = Recording.of("coco", millimetres[:, :, :17], Channels(unit="metres"), skeleton=COCO)
    with pytest.raises(ValueError, match=r"^coco: COCO joints do not make these of NTU RGB\+D: "):
        recognizer(coco)
    assert [p.recording for p in recognizer([coco, azure])] == ["azure"]
    assert len(recognizer.skipped) == 1


def test_a_model_of_ones_own_skeleton_needs_none_of_its_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "s.yaml").write_text("name: arm\njoints: [a, b, '3']\nbones: [[a, b], [b, '3']]\ncenter: b\n")
    rng, rows = np.random.default_rng(0), ["file,label,split"]
    for number in range(8):
        joints = rng.normal(size=(5 + number, 3, 3))
        joints[2, 1] = np.nan
        np.save(tmp_path / "raw" / f"{number}.npy", joints)
        rows.append(f"{number}.npy,{['wave', 'walk'][number % 2]},{'train' if number < 4 else 'val'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    out = tmp_path / "out"
    gendata(tmp_path / "raw", tmp_path / "labels.csv", skeleton=tmp_path / "s.yaml", out_folder=out, max_frame=20)
    args = {
        part: {"data_path": str(out / f"{part}_data_joint.npy"), "label_path": str(out / f"{part}_label.pkl"), **EVEN}
        for part in ("train", "val")
    }
    model = {**MODEL, "num_class": 2, "num_point": 3, "num_person": 1, "graph": "graph.custom.Graph"}
    settings = config(
        tmp_path,
        "run",
        {},
        train_feeder_args={**args["train"], "stream": "bone"},
        test_feeder_args={**args["val"], "stream": "bone"},
        model_args={**model, "graph_args": {"path": str(out / "skeleton.yaml")}},
        class_names=None,
    )
    run = untrained(settings)
    for path in (*out.iterdir(), tmp_path / "s.yaml"):
        path.unlink()
    with caplog.at_level("INFO"):
        info(load_config(["--weights", str(run / "last.pt"), "--phase", "info"]))
    assert f"graph_args{{'path':'{out / 'skeleton.yaml'}'}}" in "".join(caplog.text.split())  # lines are broken
    build = model_of_weights("model.st_tr.Model", settings.model_args, read_weights(run / "last.pt"))
    assert build[1]["graph_args"] == {"path": str(out / "skeleton.yaml")}
    recognizer = Recognizer.load(run / "last.pt", device="cpu")
    assert recognizer.class_names == ("walk", "wave")
    predictions = recognizer(tmp_path / "raw")
    scores = load_scores(run / "test_score.npz")
    there = {p.recording: p.logits for p in predictions}
    assert len(there) == 8
    np.testing.assert_allclose([there[name] for name in scores.names], scores.scores, rtol=0, atol=1e-5)
    large = Recording.of("large", 100 * rng.normal(size=(6, 1, 3, 3)), Channels())
    assert any("is its unit another one?" in note for note in recognizer(large)[0].notes)


class TestCommand:
    def run(self, demo: Path, capsys: Any, caplog: Any, *words: object) -> tuple[int, str, str, str]:
        argv = ["--phase", "predict", "--device", "cpu", *map(str, words)]
        caplog.clear()
        status, said, error = say(argv, capsys, caplog)
        return status, "", said, error

    def test_json_and_csv(self, demo: Path, tmp_path: Path, capsys: Any, caplog: Any) -> None:
        weights, out = demo / "joint" / "last.pt", tmp_path / "new" / "p.json"
        names = load_scores(demo / "joint" / "test_score.npz").names[:3]
        words = ["--weights", weights, "--input", *files_of(demo, names), "--out", out, "--top-k", 2]
        status, _, _, error = self.run(demo, capsys, caplog, *words)
        assert (status, error) == (0, "")
        rows = json.loads(out.read_text(encoding="utf-8"))
        keys = ["recording", "person", "start", "end", "start_seconds", "end_seconds", "label", "probability", "top_k"]
        assert [list(row) for row in rows] == [keys] * 3
        assert [row["recording"] for row in rows] == list(names)
        assert (rows[0]["person"], rows[0]["start"], rows[0]["start_seconds"]) == (None, 0, 0.0)
        assert rows[0]["end"] == 30 * rows[0]["end_seconds"] == len(next(read(files_of(demo, names)[0])).joints)
        assert [len(row["top_k"]) for row in rows] == [2, 2, 2]
        assert rows[0]["top_k"][0] == {"label": rows[0]["label"], "probability": rows[0]["probability"]}
        table = list(csv.reader(out.with_suffix(".csv").open(encoding="utf-8")))
        assert table[0] == [*keys[:-1], "label_2", "probability_2"]
        assert table[1][6] == rows[0]["label"]
        assert sorted(path.name for path in out.parent.iterdir()) == ["p.csv", "p.json"]

    def test_a_folder_of_all_kinds_of_files(self, demo: Path, tmp_path: Path, capsys: Any, caplog: Any) -> None:
        (tmp_path / "in" / "deep").mkdir(parents=True)
        (name,) = load_scores(demo / "joint" / "test_score.npz").names[:1]
        content = Path(files_of(demo, (name,))[0]).read_bytes()
        (tmp_path / "in" / "deep" / "b.skeleton").write_bytes(content)
        (tmp_path / "in" / "a.skeleton").write_bytes(content)
        (tmp_path / "in" / "cut.skeleton").write_bytes(content[:5000])
        (tmp_path / "in" / "notes.pdf").write_bytes(b"\0\1\2")
        (tmp_path / "empty").mkdir()
        words = ["--weights", demo / "joint" / "last.pt", "--input", tmp_path / "empty", tmp_path / "in"]
        words += ["--window", 1, "--out"]
        status, _, said, error = self.run(demo, capsys, caplog, *words, tmp_path / "p.csv")
        assert (status, error) == (0, "")
        rows = json.loads((tmp_path / "p.json").read_text())
        assert sorted({row["recording"] for row in rows}) == ["a.skeleton", "deep/b.skeleton"]
        assert f"skipped {tmp_path / 'empty'}: the folder holds no file" in said
        assert "skipped cut.skeleton: line " in said
        assert "skipped notes.pdf: it is of no known format" in said
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")

    def test_names_of_recordings(self, demo: Path, tmp_path: Path, capsys: Any, caplog: Any) -> None:
        (name,) = load_scores(demo / "joint" / "test_score.npz").names[:1]
        content = Path(files_of(demo, (name,))[0]).read_bytes()
        name = "walk\udce9.skeleton" if sys.platform == "linux" else "walk.skeleton"  # of an archive in Latin-1
        inputs = [tmp_path / day / name for day in ("one", "two")]
        for path in inputs:
            path.parent.mkdir()
            path.write_bytes(content)
        words = ["--weights", demo / "joint" / "last.pt", "--input", *inputs, "--out", tmp_path / "p.json"]
        (tmp_path / "p.csv").write_text("file,label,split\n")
        status, _, _, error = self.run(demo, capsys, caplog, *words)
        assert (status, f"out: {tmp_path / 'p.csv'} would be replaced, and is no earlier prediction" in error) == (
            1,
            True,
        )
        (tmp_path / "p.csv").write_text("")  # of predictions that there were none of
        for _ in range(2):  # a second run replaces what the first one wrote
            status, _, _, error = self.run(demo, capsys, caplog, *words)
            assert (status, error) == (0, "")
        rows = json.loads((tmp_path / "p.json").read_text())
        assert [row["recording"] for row in rows] == [name, inputs[1].as_posix()]

    def test_files_of_others_are_kept(self, demo: Path, tmp_path: Path, capsys: Any, caplog: Any) -> None:
        names = load_scores(demo / "joint" / "test_score.npz").names[:1]
        words = ["--weights", demo / "joint" / "last.pt", "--input", *files_of(demo, names), "--out", tmp_path / "p"]
        for _ in range(2):  # its own picture is replaced
            assert self.run(demo, capsys, caplog, *words, "--window", 1)[0] == 0
        save_png(tmp_path / "p.png", new_figure(1, 1))
        before = (tmp_path / "p.png").read_bytes()
        assert self.run(demo, capsys, caplog, *words)[0] == 0  # which writes no picture
        status, _, _, error = self.run(demo, capsys, caplog, *words, "--window", 1)
        assert (status, "p.png would be replaced, and is no earlier prediction" in error) == (1, True)
        assert (tmp_path / "p.png").read_bytes() == before
        (tmp_path / "file").touch()
        words[-1] = tmp_path / "file" / "p.json"
        error = self.run(demo, capsys, caplog, *words)[3]
        assert error == f"error: out: {tmp_path / 'file'} is no folder; name another place\n"

    def test_a_file_of_the_user_is_kept(self, demo: Path, tmp_path: Path, capsys: Any, caplog: Any) -> None:
        names = load_scores(demo / "joint" / "test_score.npz").names[:1]
        words = ["--weights", demo / "joint" / "last.pt", "--input", *files_of(demo, names), "--out"]
        for file in (tmp_path / "labels.csv", tmp_path / "my.json"):
            file.write_text("name,label\n")
            error = self.run(demo, capsys, caplog, *words, file)[3]
            assert f"{file} would be replaced, and is no earlier prediction" in error
            assert file.read_text() == "name,label\n"
        assert self.run(demo, capsys, caplog, *words, tmp_path / "new.csv")[0] == 0
        assert self.run(demo, capsys, caplog, *words, tmp_path / "new.csv")[0] == 0

    def test_an_option_may_be_given_again(self) -> None:
        words = ["--phase", "predict", "--weights", "a.pt", "--input", "x"]
        args, _ = parser().read([*words, "--weights", "b.pt", "--input", "y", "z", "--alpha", "1", "--alpha", "2"])
        assert (args.weights, args.input) == ([Path("a.pt"), Path("b.pt")], [Path("x"), Path("y"), Path("z")])
        assert args.alpha == [1, 2]
        with pytest.raises(ValueError, match="predict: 'stray' is no option of it"):
            parser().read([*words, "--config", "c.yaml", "--top_k", "2", "stray"])

    def test_a_picture_tells_what_it_leaves_out(self) -> None:
        seconds = {"start_seconds": 0.0, "end_seconds": 1.0}
        rows = [{"recording": f"{n}", "person": None, "start": 0, "end": 9, **seconds, "label": "a"} for n in range(62)]
        assert draw(rows).axes[0].get_xlabel() == "seconds (the first 60 of 62; the tables have all)"
        assert draw(rows[:60]).axes[0].get_xlabel() == "seconds"

    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            (["--weights", "{w}", "--input", "nix.json"], "input: nix.json does not exist"),
            (["--weights", "nix.pt", "--input", "{f}"], "weights: nix.pt is no file"),
            (["--weights", "{w}"], "predict: the following arguments are required: --input"),
            (["--weights", "{w}", "--input", "{f}", "--tpo_k", "3"], "predict: '--tpo_k' is no option of it"),
            (["--weights", "{w}", "--input", "{f}", "--out", "p.txt"], "out: p.txt is no name of a .json or .csv file"),
            (["--weights", "{w}", "--input", "{w}"], "input: no recording could be labelled; last.pt: "),
            (["--weights", "{w}", "--input", "{f}", "--alpha", "1", "2"], "alpha: 2 weights for 1 stream;"),
            (["--weights", "{w}", "--input", "{f}", "--class_names", "no.txt"], "class_names: no.txt does not exist"),
            (
                ["--weights", "{w}", "--input", "{f}", "--device", "gpu"],
                "predict: argument --device: 'gpu' is none of auto",
            ),
            (
                ["--weights", "{w}", "--input", "{f}", "--device", "cpu", "banana"],
                "predict: 'banana' is no option of it",
            ),
        ],
    )
    def test_mistakes_are_one_sentence(
        self, demo: Path, tmp_path: Path, capsys: Any, caplog: Any, monkeypatch: Any, words: list[str], problem: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        names = load_scores(demo / "joint" / "test_score.npz").names[:1]
        places = {"w": demo / "joint" / "last.pt", "f": files_of(demo, names)[0]}
        words = [word.format(**places) for word in words]
        status, _, _, error = self.run(demo, capsys, caplog, *words)
        assert status == 1
        assert error.startswith(f"error: {problem}")
        assert error.count("\n") == 1
        assert list(tmp_path.iterdir()) == []

    def test_without_names_labels_are_numbers(self, demo: Path, tmp_path: Path, capsys: Any, caplog: Any) -> None:
        content = torch.load(demo / "joint" / "last.pt", weights_only=True)
        text = "\n".join(line for line in content["config"].split("\n") if not line.startswith(("class_names", "- ")))
        torch.save({**content, "class_names": None, "config": text}, tmp_path / "last.pt")
        names = load_scores(demo / "joint" / "test_score.npz").names[:1]
        words = ["--weights", tmp_path / "last.pt", "--input", *files_of(demo, names), "--out", tmp_path / "p.json"]
        status, _, said, _ = self.run(demo, capsys, caplog, *words)
        assert status == 0
        assert "the weights know no names of classes, so labels are numbers from 0" in said
        (row,) = json.loads((tmp_path / "p.json").read_text())
        assert row["label"].isdigit()
        (tmp_path / "names.txt").write_text("\n".join(f"class {i}" for i in range(10)))
        status, _, _, _ = self.run(demo, capsys, caplog, *words, "--class_names", tmp_path / "names.txt")
        (named,) = json.loads((tmp_path / "p.json").read_text())
        assert named["label"] == f"class {row['label']}"


def test_the_notebook_runs_from_top_to_bottom(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work_dir" / "demo" / "s-tr").mkdir(parents=True)
    (tmp_path / "work_dir" / "demo" / "s-tr" / "last.pt").write_bytes((demo / "joint" / "last.pt").read_bytes())
    name = "S001C001P003R001A001.skeleton"
    (tmp_path / "data" / "demo" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "demo" / "raw" / name).write_bytes((demo / "demo" / "raw" / name).read_bytes())
    notebook = json.loads((ROOT / "docs" / "predicting.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")  # where Jupyter begins
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile(cell, "predicting.ipynb", "exec"), names)
    assert names["result"][0].label in ACTIONS
    assert names["timeline"][0].person == 0
    assert len(cells) == 6
    assert names["result"][0].label in capsys.readouterr().out
