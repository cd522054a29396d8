"""Kinetics-skeleton becomes arrays as the published script makes them; what is no clip is named."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_gen.formats.kinetics_json import read_clip, read_labels
from data_gen.kinetics_gendata import convert_clip, gendata, main, to_sample
from data_gen.ntu_gen_bones import gen_bones
from graph.kinetics import SKELETON


def body(rng: np.random.Generator) -> dict[str, list[float]]:
    return {"pose": rng.uniform(0, 1.1, 36).round(3).tolist(), "score": rng.uniform(0.1, 1, 18).round(3).tolist()}


def clip(*, label: int = 7, frames: tuple[int, ...] = (1, 2), num_person: int = 1) -> dict[str, Any]:
    """A made-up clip as a file holds it."""
    rng = np.random.default_rng(label)
    data = [{"frame_index": frame, "skeleton": [body(rng) for _ in range(num_person)]} for frame in frames]
    return {"data": data, "label": f"class {label}", "label_index": label}


def write_part(folder: Path, clips: dict[str, Any], part: str = "train", **listed: dict[str, Any]) -> None:
    """Write clips, whole as bytes or as content, and the label file that lists them and `listed`."""
    (folder / f"kinetics_{part}").mkdir(parents=True)
    labels: dict[str, Any] = {}
    for name, content in clips.items():
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / f"kinetics_{part}" / f"{name}.json").write_bytes(content)
        labels[name] = {"has_skeleton": True, "label": "class 7", "label_index": 7}
    (folder / f"kinetics_{part}_label.json").write_text(json.dumps({**labels, **listed}))


def read_part(folder: Path, part: str = "train") -> tuple[np.ndarray, list[str], list[int]]:
    names, labels = pickle.loads((folder / f"{part}_label.pkl").read_bytes())
    return np.load(folder / f"{part}_data_joint.npy"), names, labels


def slow_sample(content: dict[str, Any]) -> np.ndarray:
    """The rules of the data set, one number at a time."""
    sample = np.zeros((3, 300, 18, 2), np.float32)
    for frame in content["data"]:
        if frame["frame_index"] >= 300:
            continue
        persons = []
        for person in frame["skeleton"][:5]:
            total = 0.0
            for score in person["score"]:
                total += score
            persons.append((total, person))
        persons.sort(key=lambda pair: -pair[0])
        for m, (_, person) in enumerate(persons[:2]):
            for v, score in enumerate(person["score"]):
                if score != 0:
                    sample[0, frame["frame_index"], v, m] = person["pose"][2 * v] - 0.5
                    sample[1, frame["frame_index"], v, m] = -(person["pose"][2 * v + 1] - 0.5)
                    sample[2, frame["frame_index"], v, m] = score
    return sample


def test_real_clips_equal_the_published_arrays(samples: Path, golden_of_samples: Path, tmp_path: Path) -> None:
    report = gendata(samples / "kinetics_skeleton", tmp_path)
    expected = np.load(golden_of_samples / "kinetics_val.npz")
    array, names, labels = read_part(tmp_path, "val")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, expected["joint"])
    assert names == expected["names"].tolist()
    assert labels == expected["label"].tolist()
    assert len(report.skipped) == 1
    assert report.skipped[0].startswith("kinetics_val: clips listed but absent: 19792 ('--07WQ2iBlw.json', ")
    assert report.notes == ["kinetics_val_label.json: clips without a skeleton, left out: 110"]
    train, names, labels = read_part(tmp_path, "train")
    assert (names, labels) == (["cU1fyH2QssA.json", "sAP-xS5P0Bw.json"], [91, 199])
    for sample, name in zip(train, names, strict=True):
        source = samples / "kinetics_skeleton" / "kinetics_train" / name
        np.testing.assert_array_equal(sample, slow_sample(json.loads(source.read_text())))


@pytest.mark.parametrize("seed", range(8))
def test_random_clips_equal_a_plain_loop(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = clip(frames=tuple(rng.permutation(330)[:60].tolist()), num_person=0)
    for frame in content["data"]:
        frame["skeleton"] = persons = [body(rng) for _ in range(rng.integers(0, 8))]
        for person in persons:
            hidden = np.flatnonzero(rng.random(18) < rng.choice([0, 0.3, 1]))
            person["score"] = [0 if v in hidden else score for v, score in enumerate(person["score"])]
        for person in persons[1::2]:  # equal totals, so that their order counts
            person["score"] = persons[0]["score"][::-1] if rng.random() < 0.5 else persons[0]["score"]
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = read_clip(tmp_path / "a.json")
    np.testing.assert_array_equal(to_sample(found), slow_sample(content))
    assert found.num_frame == 1 + max(frame["frame_index"] for frame in content["data"])


def test_rows_persons_and_channels(tmp_path: Path) -> None:
    content = clip(frames=(1, 5, 299, 300, 10**12), num_person=7)
    for place, person in enumerate(content["data"][1]["skeleton"]):
        person["score"] = [0.25, 0.0] + [0.25 * (1 + place % 4)] * 16
        person["pose"] = [place / 10, 0.75] * 18
    content["data"].insert(1, {"frame_index": 3, "skeleton": []})
    write_part(tmp_path, {"b": content, "a.b": clip(), "a": clip(frames=(1, 300))})
    report = gendata(tmp_path, tmp_path / "out", strict=True)
    array, names, labels = read_part(tmp_path / "out")
    assert (names, labels) == (["a.b.json", "a.json", "b.json"], [7, 7, 7])  # by the names as they are written
    assert np.flatnonzero(array[2].any(axis=(0, 2, 3))).tolist() == [1, 5, 299]
    # the fourth is the best; the third is the next, the seventh, its equal, is not looked at
    np.testing.assert_allclose(array[2, 0, 5, 0], [0.3 - 0.5, 0.2 - 0.5], rtol=1e-6)
    np.testing.assert_array_equal(array[2, :, 5, 1], 0)
    np.testing.assert_allclose(array[2, 1:, 5, 2], [[-0.25, -0.25], [1, 0.75]])
    assert report.notes == [
        f"{tmp_path / 'kinetics_val'} is no folder: there is no val part",
        "2 train clips have more than 300 frames; the first 300 are kept",
    ]
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    rest = ["train_data_joint.npy", "train_label.pkl", "train_length.npy", "train_missing.npy"]
    assert files == ["prepared.yaml", *rest]
    bits = np.unpackbits(np.load(tmp_path / "out" / "train_missing.npy")[2]).reshape(300, 18, 2)
    assert np.argwhere(bits).tolist() == [[5, 1, 0], [5, 1, 1]]


def test_a_joint_without_its_numbers_is_missing(tmp_path: Path) -> None:
    content = clip()
    content["data"][0]["skeleton"][0]["pose"][2 * 3 + 1] = float("nan")
    content["data"][1]["skeleton"][0]["score"][4] = float("nan")
    write_part(tmp_path, {"a": content})
    gendata(tmp_path, tmp_path / "out", strict=True)
    array = read_part(tmp_path / "out")[0][0]
    assert np.argwhere(~array[:, 1:3, :, 0].any(axis=0)).tolist() == [[0, 3], [1, 4]]


def test_bones_have_all_channels(tmp_path: Path) -> None:
    write_part(tmp_path, {"a": clip()}, "val")
    gendata(tmp_path, tmp_path / "out")
    gen_bones(tmp_path / "out")
    joints, bones = read_part(tmp_path / "out", "val")[0], np.load(tmp_path / "out" / "val_data_bone.npy")
    for v, parent in enumerate(SKELETON.parents):
        np.testing.assert_array_equal(bones[:, :, :, v], joints[:, :, :, v] - joints[:, :, :, parent])
    assert bones[:, 2].any()
    assert "build it again" in gendata(tmp_path, tmp_path / "out").notes[-1]


def test_clips_that_cannot_be_there_are_listed(tmp_path: Path) -> None:
    write_part(
        tmp_path,
        {"here": clip(), "empty": clip(frames=()), "hidden": clip(), "late": clip(frames=(300, 301))},
        hidden={"has_skeleton": False, "label": "x", "label_index": 3},
        lost={"has_skeleton": True, "label": "x", "label_index": 3},
        lost_too={"has_skeleton": True, "label": "x", "label_index": 3},
        other={"has_skeleton": True, "label": "x", "label_index": 3},
    )
    shutil.copy(tmp_path / "kinetics_train" / "here.json", tmp_path / "kinetics_train" / "guest.json")
    shutil.copy(tmp_path / "kinetics_train" / "here.json", tmp_path / "kinetics_train" / "other.json")
    report = gendata(tmp_path, tmp_path / "out")
    assert report.skipped == [
        "kinetics_train: clips listed but absent: 2 ('lost.json', 'lost_too.json')",
        "kinetics_train: clips not in kinetics_train_label.json: 1 ('guest.json')",
        "empty.json: no body in any of the first 300 frames",
        "late.json: no body in any of the first 300 frames",
        "other.json: its label_index is 7, in the label file it is 3",
    ]
    assert report.notes[0] == "kinetics_train_label.json: clips without a skeleton, left out: 1"
    assert read_part(tmp_path / "out")[1] == ["here.json"]
    with pytest.raises(ValueError, match="clips listed but absent: 2"):
        main(["--data_path", str(tmp_path), "--out-folder", str(tmp_path / "strict"), "--strict"])
    assert not (tmp_path / "strict").exists()


def changed(*keys: Any, to: Any) -> bytes:
    """A clip in which one value is another."""
    content = place = clip(frames=(4, 5))
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return json.dumps(content).encode()


_PERSON = ("data", 1, "skeleton", 0)
BROKEN = {
    "empty": (b"", "line 1, column 1: no JSON"),
    "truncated": (json.dumps(clip(), indent=0).encode()[:-300], "no JSON"),
    "binary": (b"\xff\xfe\x00", "no JSON that can be read"),
    "latin-1": (json.dumps(clip()).replace("class", "cl\xe4ss").encode("latin-1"), "no JSON that can be read"),
    "deep": (b"[" * 100_000, "no JSON that can be read"),
    "digits": (b"9" * 5000, "no JSON"),
    "list": (b"[1, 2]", "not of the form {data: [frames], label, label_index}"),
    "null": (b"null", "not of the form {data"),
    "no data": (b'{"label_index": 7}', "not of the form {data"),
    "data": (changed("data", to={"1": 2}), "not of the form {data"),
    "label": (changed("label_index", to="7"), "label_index '7' is no class from 0 to 399"),
    "label true": (changed("label_index", to=True), "label_index True is no class"),
    "label high": (changed("label_index", to=400), "label_index 400 is no class"),
    "label other": (changed("label_index", to=8), "its label_index is 8, in the label file it is 7"),
    "frame": (changed("data", 1, to=[]), "entry 2 of data is not of the form {frame_index"),
    "index negative": (changed("data", 1, "frame_index", to=-1), "frame_index -1 is no whole number from 0"),
    "index float": (changed("data", 1, "frame_index", to=5.0), "frame_index 5.0 is no whole number"),
    "index null": (changed("data", 1, "frame_index", to=None), "frame_index None is no whole number"),
    "index nan": (changed("data", 1, "frame_index", to=float("nan")), "frame_index nan is no whole number"),
    "index twice": (changed("data", 1, "frame_index", to=4), "frame_index 4 occurs twice"),
    "skeleton": (changed("data", 1, "skeleton", to=3), "entry 2 of data is not of the form"),
    "skeleton null": (changed("data", 1, "skeleton", to=None), "entry 2 of data is not of the form"),
    "person": (changed(*_PERSON, to=[1]), "entry 2 of data is not of the form"),
    "no score": (changed(*_PERSON, to={"pose": [0.5] * 36}), "entry 2 of data is not of the form"),
    "pose short": (changed(*_PERSON, "pose", to=[0.5] * 34), "frame_index 5: pose and score have 34 and 18 numbers"),
    "pose 3-D": (changed(*_PERSON, "pose", to=[0.5] * 54), "frame_index 5: pose and score have 54 and 18 numbers"),
    "score long": (changed(*_PERSON, "score", to=[0.5] * 25), "frame_index 5: pose and score have 36 and 25 numbers"),
    "pose text": (changed(*_PERSON, "pose", to="5" * 36), "entry 2 of data is not of the form"),
    "pose words": (changed(*_PERSON, "pose", 3, to="0.5"), "entry 2 of data is not of the form"),
    "pose null": (changed(*_PERSON, "pose", 3, to=None), "entry 2 of data is not of the form"),
    "pose vast": (changed(*_PERSON, "pose", 3, to=10**400), "entry 2 of data is not of the form"),
    "pose pixels": (changed(*_PERSON, "pose", 3, to=200.5), "frame_index 5: a number is no fraction of the picture"),
    "score infinite": (changed(*_PERSON, "score", 3, to=float("inf")), "frame_index 5: a number is no fraction"),
    "score negative": (changed(*_PERSON, "score", 3, to=-0.5), "frame_index 5: a number is no fraction"),
    "scores zero": (
        changed("data", to=[{"frame_index": 1, "skeleton": [{"pose": [0.4] * 36, "score": [0] * 18}]}]),
        "no body in any of the first 300 frames",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_clip_is_named_and_skipped(tmp_path: Path, case: str) -> None:
    content, problem = BROKEN[case]
    write_part(tmp_path, {"sound": clip(), "wrong": content})
    report = gendata(tmp_path, tmp_path / "out")
    assert len(report.skipped) == 1
    assert report.skipped[0].startswith("wrong.json: ")
    assert problem in report.skipped[0]
    assert read_part(tmp_path / "out")[1] == ["sound.json"]
    with pytest.raises(ValueError, match=r"^wrong\.json: "):
        gendata(tmp_path, tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_a_clip_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="it is no regular file"):
        convert_clip((tmp_path / "gone.json", 7))
    write_part(tmp_path, {"a": clip(), "b": clip()})
    read_bytes, broken = Path.read_bytes, tmp_path / "kinetics_train" / "a.json"
    monkeypatch.setattr(Path, "read_bytes", lambda path: read_bytes(tmp_path / "absent" if path == broken else path))
    assert gendata(tmp_path, tmp_path / "out").skipped == ["a.json: cannot be read (No such file or directory)"]


ENTRY = {"has_skeleton": True, "label": "x", "label_index": 7}
BROKEN_LABELS = {
    "empty": (b"", "line 1, column 1: no JSON"),
    "truncated": (json.dumps({"a": ENTRY}).encode()[:-5], "line 1, column .*: no JSON"),
    "binary": (b"\xff\xfe\x00", "no JSON that can be read"),
    "list": (b'["a"]', "not of the form {ID: {has_skeleton, label, label_index}}"),
    "other data set": (b'{"database": {}}', "entry 'database' is not of the form {has_skeleton: true or false"),
    "classes": (b'{"abseiling": 0}', "entry 'abseiling' is not of the form"),
    "label": (json.dumps({"a": {**ENTRY, "label_index": 400}}).encode(), "entry 'a' is not of the form"),
    "label text": (json.dumps({"a": {**ENTRY, "label_index": "7"}}).encode(), "entry 'a' is not of the form"),
    "skeleton": (json.dumps({"a": {**ENTRY, "has_skeleton": 1}}).encode(), "entry 'a' is not of the form"),
}


@pytest.mark.parametrize("case", BROKEN_LABELS)
def test_a_broken_label_file_is_named(tmp_path: Path, case: str) -> None:
    content, problem = BROKEN_LABELS[case]
    write_part(tmp_path, {"a": clip()})
    (tmp_path / "kinetics_train_label.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"kinetics_train_label\.json: {problem}.*take the label file"):
        gendata(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="kinetics_train and kinetics_val are not there; unpack"):
        gendata(tmp_path, tmp_path / "out")
    write_part(tmp_path, {"a": clip()}, "val")
    write_part(tmp_path, {"b": clip()}, "train")
    labels = tmp_path / "kinetics_val_label.json"
    shutil.copy(tmp_path / "kinetics_train_label.json", labels)
    with pytest.raises(ValueError, match=r"kinetics_val: none of the 1 clip that kinetics_val_label\.json lists"):
        gendata(tmp_path, tmp_path / "out")
    labels.unlink()
    with pytest.raises(FileNotFoundError, match=r"kinetics_val_label\.json is missing"):
        gendata(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_leaves_finished_files_alone(tmp_path: Path) -> None:
    write_part(tmp_path, {"a": clip()})
    gendata(tmp_path, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    (tmp_path / "kinetics_train" / "a.json").write_bytes(b"{")
    with pytest.raises(ValueError, match=r"no clip can be used; the last problem is a\.json: line 1, column 2"):
        gendata(tmp_path, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_the_need_of_disk_is_told_before_any_clip_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_part(tmp_path, {"a": clip(), "b": clip()}, "train")
    write_part(tmp_path, {"c": b"broken"}, "val")
    need = 3 * 3 * 300 * 18 * 2 * 4
    monkeypatch.setattr("data_gen.common.storage.shutil.disk_usage", lambda _: SimpleNamespace(free=need - 1))
    with pytest.raises(ValueError, match="GB are needed"):
        gendata(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("data_gen.common.storage.shutil.disk_usage", lambda _: SimpleNamespace(free=need))
    with pytest.raises(ValueError, match="kinetics_val: no clip can be used"):
        gendata(tmp_path, tmp_path / "out")
    assert read_part(tmp_path / "out")[1] == ["a.json", "b.json"]


def test_several_processes_write_the_same(tmp_path: Path) -> None:
    write_part(tmp_path, {f"{number:03}": clip(frames=(number,)) if number % 9 else b"" for number in range(130)})
    reports = [gendata(tmp_path, tmp_path / f"out{n}", num_worker=n) for n in (1, 2)]
    assert reports[0].skipped == reports[1].skipped
    assert len(reports[0].skipped) == 15
    for name in ("train_data_joint.npy", "train_label.pkl"):
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10**20) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["pose", "data", "x"]), inner),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_garbled_clips_make_a_named_problem_or_a_sound_sample(tmp_path: Path, data: st.DataObject) -> None:
    content: Any = clip(frames=(0, 299, 300), num_person=2)
    holder: Any = {"content": content}
    key: Any = "content"
    while isinstance(holder[key], dict | list) and holder[key] and data.draw(st.integers(0, 7)):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[key] = data.draw(JSON)
    path = tmp_path / "garbled.json"
    path.write_text(json.dumps(content))
    check_conversion(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_garbled_bytes_make_a_named_problem_or_a_sound_sample(tmp_path: Path, data: st.DataObject) -> None:
    content = json.dumps(clip()).encode()
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    inserted = data.draw(st.one_of(st.binary(max_size=9), st.text('0123456789.,-e[]{}"\r\n', max_size=9)))
    path = tmp_path / "garbled.json"
    path.write_bytes(content[:begin] + (inserted if isinstance(inserted, bytes) else inserted.encode()) + content[end:])
    check_conversion(path)


def check_conversion(path: Path) -> None:
    try:
        sample = convert_clip((path, 7)).x
    except ValueError as error:
        problem = str(error)
    else:
        assert np.isfinite(sample).all()
        np.testing.assert_array_equal(sample, slow_sample(json.loads(path.read_bytes())))
        return
    assert len(problem) < 200


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=50), st.dictionaries(st.text(max_size=5), JSON | st.just(ENTRY)), JSON))
def test_garbled_labels_make_a_named_error_or_classes(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    try:
        labels = read_labels(path)
    except ValueError as error:
        message = str(error)
    else:
        assert set(labels.values()) <= {7}
        assert set(labels) == {f"{name}.json" for name in json.loads(path.read_bytes())}
        return
    assert message.startswith(f"{path}: ")
