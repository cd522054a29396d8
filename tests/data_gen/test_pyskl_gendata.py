"""pyskl's pickles become our arrays, value for value; what does not fit is named, and nothing in them runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_gen.formats.reading import read as read_any
from data_gen.pyskl_gendata import gendata, main

rng = np.random.default_rng(0)


def clip_3d(name: str, num_frame: int = 4, num_person: int = 1, **changes: Any) -> dict[str, Any]:
    keypoint = rng.normal(size=(num_person, num_frame, 25, 3)).astype(np.float16)
    return {"frame_dir": name, "label": 0, "keypoint": keypoint, "total_frames": num_frame, **changes}


def clip_2d(name: str, num_frame: int = 4, num_person: int = 1, without: str = "", **changes: Any) -> dict[str, Any]:
    clip = {
        "frame_dir": name,
        "label": 0,
        "img_shape": (1080, 1920),
        "original_shape": (1080, 1920),
        "total_frames": num_frame,
        "keypoint": (rng.random((num_person, num_frame, 17, 2)) * [1920, 1080]).astype(np.float16),
        "keypoint_score": rng.uniform(0.1, 1, (num_person, num_frame, 17)).astype(np.float16),
        **changes,
    }
    return {key: value for key, value in clip.items() if key != without}


def write(path: Path, split: Any, annotations: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}, protocol=protocol))
    return path


def read(folder: Path, part: str) -> tuple[np.ndarray, list[str], list[int]]:
    names, labels = pickle.loads((folder / f"{part}_label.pkl").read_bytes())
    return np.load(folder / f"{part}_data_joint.npy"), names, labels


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_three_dimensions(tmp_path: Path, protocol: int) -> None:
    first, second = clip_3d("S001C001P002R001A060", 5, 1, label=59), clip_3d("S001C002P001R001A001", 7, 3)
    splits = {
        "xsub_train": ["S001C002P001R001A001"],
        "xsub_val": ["S001C001P002R001A060"],
        "xview_train": ["S001C002P001R001A001", "S001C001P002R001A060"],
        "xview_val": [],
    }
    path = write(tmp_path / "ntu60_3danno.pkl", splits, [second, first], protocol)
    report = main(["--data-path", str(path), "--out_folder", str(tmp_path / "out"), "--strict"])
    array, names, labels = read(tmp_path / "out" / "xview", "train")
    assert array.shape == (2, 3, 300, 25, 2)
    assert array.dtype == np.float32
    assert (names, labels) == (["S001C001P002R001A060", "S001C002P001R001A001"], [59, 0])
    np.testing.assert_array_equal(array[0, :, :5, :, 0], first["keypoint"][0].transpose(2, 0, 1))
    np.testing.assert_array_equal(array[1, :, :7], second["keypoint"][:2].transpose(3, 1, 2, 0))
    assert not array[0, :, 5:].any()
    assert not array[0, :, :, :, 1].any()
    assert not array[1, :, 7:].any()
    for part, row in (("val", 0), ("train", 1)):
        same, names, _ = read(tmp_path / "out" / "xsub", part)
        np.testing.assert_array_equal(same, array[row : row + 1])
    assert len(read(tmp_path / "out" / "xview", "val")[0]) == 0
    assert report.notes == [
        "1 clip has more than 2 persons; the first 2 are kept",
        "2 classes, labels 0 to 59",
    ]


def test_two_dimensions_equal_a_loop_over_joints(tmp_path: Path) -> None:
    clip = clip_2d("a", 6, 2, img_shape=(480, 640))
    clip["keypoint_score"][0, 2, 5], clip["keypoint_score"][1, 3] = 0, -0.01
    gendata(write(tmp_path / "gym.pkl", {"train": ["a"]}, [clip]), tmp_path / "out", max_frame=5, num_person=3)
    array, _, _ = read(tmp_path / "out", "train")
    assert array.shape == (1, 3, 5, 17, 3)
    for t, v, m in np.ndindex(5, 17, 2):
        (x, y), score = clip["keypoint"][m, t, v].tolist(), float(clip["keypoint_score"][m, t, v])
        expected = [x / 640 - 0.5, 0.5 - y / 480, score] if score > 0 else [0, 0, 0]
        np.testing.assert_allclose(array[0, :, t, v, m], expected, rtol=1e-6, atol=1e-7)
    assert not array[0, :, 2, 5, 0].any()
    assert not array[0, :, 3, :, 1].any()
    assert not array[..., 2].any()


@pytest.mark.parametrize(
    ("file", "part"), [("data.pkl", "train"), ("ntu60_xsub_val.pkl", "val"), ("gym_train.pkl", "train")]
)
def test_a_list_of_annotations_is_one_part(tmp_path: Path, file: str, part: str) -> None:
    clips = [clip_2d("b", label=1), clip_2d("a")]
    (tmp_path / file).write_bytes(pickle.dumps(clips))
    report = gendata(tmp_path / file, tmp_path / "out", strict=True)
    assert read(tmp_path / "out", part)[1:] == (["a", "b"], [0, 1])
    assert f"{file} has no splits: all its clips are {part}" in report.notes


@pytest.mark.parametrize("kind", [tuple, set, frozenset, np.array])
def test_a_split_is_any_iterable_of_names(tmp_path: Path, kind: Any) -> None:
    path = write(tmp_path / "a.pkl", {"train": kind(["b", "a"])}, [clip_3d("a"), clip_3d("b")])
    gendata(path, tmp_path / "out", strict=True)
    assert read(tmp_path / "out", "train")[1] == ["a", "b"]


def test_x_y_and_score_in_three_channels_is_no_depth(tmp_path: Path) -> None:
    two = clip_2d("a", 4, 2, img_shape=(480, 640))
    two["keypoint"] = (two["keypoint"] / 3).astype(np.float16)
    joined = np.concatenate([two["keypoint"], two["keypoint_score"][..., None]], axis=3)
    three = {key: value for key, value in two.items() if key != "keypoint_score"} | {"keypoint": joined}
    for name, clip in (("two", two), ("three", three)):
        gendata(write(tmp_path / f"{name}.pkl", {"train": ["a"]}, [clip]), tmp_path / name)
    np.testing.assert_array_equal(read(tmp_path / "two", "train")[0], read(tmp_path / "three", "train")[0])


def test_a_picture_without_scores_has_two_channels(tmp_path: Path) -> None:
    clip = clip_2d("a", img_shape=(480, 640))
    del clip["keypoint_score"]
    clip["keypoint"][0, 1, 3] = 0
    gendata(write(tmp_path / "a.pkl", {"train": ["a"]}, [clip]), tmp_path / "out", strict=True)
    array = read(tmp_path / "out", "train")[0]
    assert array.shape == (1, 2, 300, 17, 2)
    x, y = clip["keypoint"][0, 2, 5].tolist()
    np.testing.assert_allclose(array[0, :, 2, 5, 0], [x / 640 - 0.5, 0.5 - y / 480], rtol=1e-6)
    assert not array[0, :, 1, 3].any()


def test_bodies_of_kinetics_400_are_put_into_their_frames(tmp_path: Path) -> None:
    bodies = rng.uniform(1, 200, (4, 17, 3)).astype(np.float16)
    clip = {"frame_dir": "v", "label": 3, "img_shape": (256, 340), "total_frames": 5, "raw_file": "kpfiles/0.pkl"}
    clip["frame_inds"] = np.array([0, 0, 2, 4], np.int16)
    path = write(tmp_path / "k400.pkl", {"train": ["v"]}, [clip])
    with pytest.raises(ValueError, match=r"v: its keypoints are in kpfiles/0\.pkl, which is not beside"):
        gendata(path, tmp_path / "out")
    (tmp_path / "kpfiles").mkdir()
    (tmp_path / "kpfiles" / "0.pkl").write_bytes(pickle.dumps({"v": {"keypoint": bodies}}))
    gendata(path, tmp_path / "out", strict=True)
    array = read(tmp_path / "out", "train")[0][0]
    for t, m, body in ((0, 0, 0), (0, 1, 1), (2, 0, 2), (4, 0, 3)):
        x, y, score = bodies[body].astype(np.float64).T
        np.testing.assert_allclose(array[:, t, :, m], [x / 340 - 0.5, 0.5 - y / 256, score], rtol=1e-5, atol=1e-6)
    assert np.argwhere(array.any(axis=(0, 2))).tolist() == [[0, 0], [0, 1], [2, 0], [4, 0]]


def test_a_picture_whose_sides_are_exchanged_is_told(tmp_path: Path) -> None:
    clip = clip_2d("a", img_shape=(1920, 1080))
    clip["keypoint"][0, 0, 0] = 1900, 10
    report = gendata(write(tmp_path / "a.pkl", {"train": ["a"]}, [clip]), tmp_path / "out", strict=True)
    assert "1 clip has joints outside the picture" in report.notes[-1]
    assert report.notes[-1].endswith(
        "in 1 of them all would be inside if width and height were exchanged (is img_shape turned?)"
    )


@pytest.mark.parametrize(
    ("split", "place"),
    [
        ("xset_train", "xset/train"),
        ("XSub_val", "xsub/val"),
        ("train", "train"),
        ("val", "val"),
        ("test", "val"),
        ("train1", "split1/train"),
        ("test3", "split3/val"),
        ("sports_test2", "sports2/val"),
    ],
)
def test_a_splits_name_says_where_it_goes(tmp_path: Path, split: str, place: str) -> None:
    gendata(write(tmp_path / "a.pkl", {split: ["a"]}, [clip_3d("a")]), tmp_path / "out", strict=True)
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    folder = place.rpartition("/")[0]
    made = {f"{place}_data_joint.npy", f"{place}_label.pkl", f"{place}_length.npy"}
    assert files == made | {f"{folder}/prepared.yaml".lstrip("/")}


def test_a_test_split_beside_val_keeps_its_name(tmp_path: Path) -> None:
    splits = {"train": ["a"], "val": ["b"], "test": ["c"], "x_test": ["a"]}
    gendata(write(tmp_path / "a.pkl", splits, [clip_3d(name) for name in "abc"]), tmp_path / "out", strict=True)
    assert [read(tmp_path / "out", part)[1] for part in ("train", "val", "test")] == [["a"], ["b"], ["c"]]
    assert read(tmp_path / "out" / "x", "val")[1] == ["a"]


@pytest.mark.parametrize(
    "split", ["mini", "../x_train", "/x_train", "C:\\x_train", "_train", "x_training", "", 5, None]
)
def test_other_splits_are_named_and_left_out(tmp_path: Path, split: Any) -> None:
    path = write(tmp_path / "a.pkl", {"train": ["a"], split: ["a"]}, [clip_3d("a")])
    report = gendata(path, tmp_path / "out" / "deep")
    assert report.skipped == [
        f"split {split!r}: its name is not of the form xsub_train, train or train1 (or val, or test)"
    ]
    files = sorted(path.name for path in tmp_path.rglob("*.*"))
    assert files == ["a.pkl", "prepared.yaml", "train_data_joint.npy", "train_label.pkl", "train_length.npy"]


NAN_SCORE = np.full((1, 4, 17), np.nan, dtype=np.float32)
BROKEN: dict[str, tuple[Any, str]] = {
    "no keypoint": ({"frame_dir": "b", "label": 0, "total_frames": 4}, "it has no keypoint"),
    "negative label": (clip_3d("b", label=-1), "label -1 is no class"),
    "huge label": (clip_3d("b", label=1 << 70), "label 1180591620717411303424 is no class"),
    "text label": (clip_3d("b", label="0"), "label is no whole number"),
    "true label": (clip_3d("b", label=True), "label is no whole number"),
    "frames disagree": (clip_3d("b", total_frames=5), "total_frames is 5, keypoint has 4 frames"),
    "two axes": (clip_3d("b", keypoint=np.ones((4, 75))), "keypoint is no array of numbers (M, T, V, C)"),
    "lists": (clip_3d("b", keypoint=[[[[1.0], []]]]), "keypoint is no array of numbers (M, T, V, C)"),
    "text": (clip_3d("b", keypoint=np.full((1, 4, 25, 3), "1")), "keypoint is no array of numbers"),
    "channels": (clip_3d("b", keypoint=np.ones((1, 4, 25, 4))), "keypoint has 4 channels, 2 or 3 are expected"),
    "plane": (clip_3d("b", keypoint=np.ones((1, 4, 25, 2))), "25 joints in 2-D without score and img_shape, where"),
    "nan": (clip_3d("b", keypoint=np.full((1, 4, 25, 3), np.nan)), "no body in any frame"),
    "infinite": (clip_3d("b", keypoint=np.full((1, 4, 25, 3), -np.inf)), "a coordinate is beyond any measure"),
    "huge": (clip_3d("b", keypoint=np.full((1, 4, 25, 3), 1e300)), "a coordinate is beyond any measure"),
    "empty": (clip_3d("b", keypoint=np.zeros((1, 4, 25, 3))), "no body in any frame"),
    "tiny": (clip_3d("b", keypoint=np.full((1, 4, 25, 3), 1e-300)), "no body in any frame"),
    "no person": (clip_3d("b", num_person=0), "no body in any frame"),
    "no frame": (clip_3d("b", num_frame=0), "no body in any frame"),
    "joints": (clip_3d("b", keypoint=np.ones((1, 4, 20, 3))), "20 joints in 3-D, where most clips have 25"),
    "other kind": (clip_2d("b"), "17 joints in 2-D, where most clips have 25 joints in 3-D"),
    "score": (clip_2d("b", keypoint_score=np.ones((1, 3, 17))), "keypoint (1, 4, 17, 2) and keypoint_score (1, 3, 17)"),
    "score nan": (clip_2d("b", keypoint_score=NAN_SCORE), "no body in any frame"),
    "score zero": (clip_2d("b", keypoint_score=np.zeros((1, 4, 17))), "no body in any frame"),
    "no picture": (clip_2d("b", without="img_shape"), "17 joints in 2-D in pixels without img_shape, wh"),
    "picture zero": (clip_2d("b", img_shape=(0, 1920)), "img_shape is not (height, width) in pixels"),
    "picture nan": (clip_2d("b", img_shape=(float("nan"), 1920)), "img_shape is not (height, width) in pixels"),
    "picture text": (clip_2d("b", img_shape="no"), "img_shape is not (height, width) in pixels"),
    "picture number": (clip_2d("b", img_shape=10**400), "img_shape is not (height, width) in pixels"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_annotation_is_named_once_and_skipped(tmp_path: Path, case: str) -> None:
    annotation, problem = BROKEN[case]
    splits = {"xsub_train": ["a", "b", "c"], "xview_train": ["c", "b", "a"]}
    path = write(tmp_path / "a.pkl", splits, [clip_3d("a"), annotation, clip_3d("c")])
    report = gendata(path, tmp_path / "out")
    assert len(report.skipped) == 1
    assert report.skipped[0].startswith(f"b: {problem}")
    assert read(tmp_path / "out" / "xview", "train")[1] == ["a", "c"]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared whole
        gendata(path, tmp_path / "strict", strict=True)
    assert str(caught.value) == report.skipped[0]
    assert not (tmp_path / "strict").exists()


LOOSE = {  # forms that mean the same
    "no total_frames": lambda a: {key: value for key, value in a.items() if key != "total_frames"},
    "numbers as floats": lambda a: a | {"total_frames": np.float64(4), "label": np.array(0)},
    "one person": lambda a: a | {"keypoint": a["keypoint"][0], "keypoint_score": a["keypoint_score"][0]},
    "lists": lambda a: a | {"keypoint": a["keypoint"].tolist(), "keypoint_score": a["keypoint_score"].tolist()},
    "an axis for the score": lambda a: a | {"keypoint_score": a["keypoint_score"][..., None]},
    "the score twice": lambda a: (
        a | {"keypoint": np.concatenate([a["keypoint"], a["keypoint_score"][..., None]], axis=3)}
    ),
    "a picture's channels": lambda a: a | {"img_shape": (*a["img_shape"], 3)},
}


@pytest.mark.parametrize("form", LOOSE)
def test_other_forms_of_an_annotation_are_read(tmp_path: Path, form: str) -> None:
    plain = clip_2d("a", label=0)
    plain["keypoint_score"] = np.random.default_rng(0).uniform(0.1, 1, (1, 4, 17))
    arrays = []
    for number, clip in enumerate((plain, LOOSE[form](plain))):
        gendata(write(tmp_path / f"{number}.pkl", {"train": ["a"]}, [clip]), tmp_path / str(number))
        arrays.append(np.load(tmp_path / str(number) / "train_data_joint.npy"))
    np.testing.assert_array_equal(*arrays)


@pytest.mark.parametrize(
    "annotation", [None, {}, [], clip_3d("a") | {"frame_dir": 5}, clip_3d("a") | {"frame_dir": ["a"]}]
)
def test_an_annotation_without_a_name_is_counted_out(tmp_path: Path, annotation: Any) -> None:
    report = gendata(write(tmp_path / "a.pkl", {"train": ["a"]}, [clip_3d("a"), annotation]), tmp_path / "out")
    assert report.skipped == ["annotation 1: it has no frame_dir"]


@pytest.mark.parametrize("second", ["XSub_train", "xSUB_train"])
def test_splits_that_would_share_a_folder_are_named(tmp_path: Path, second: str) -> None:
    path = write(tmp_path / "a.pkl", {"xsub_train": ["a"], second: ["b"]}, [clip_3d("a"), clip_3d("b")])
    report = gendata(path, tmp_path / "out")
    assert report.skipped == [f"split {second!r}: another split goes to xsub/train_data_joint.npy"]
    assert read(tmp_path / "out" / "xsub", "train")[1] == ["a"]


def test_names_and_annotations_that_do_not_meet_are_told(tmp_path: Path) -> None:
    splits = {"train": ["a", "gone", "b", "a"], "val": ["b"], "xsub_val": 5, "xset_val": [5], "TRAIN": ["a"]}
    annotations = [clip_3d(name, label=label) for label, name in enumerate(["a", "b", "unused", "a"])]
    report = gendata(write(tmp_path / "a.pkl", splits, annotations), tmp_path / "out")
    assert report.skipped == [
        "a: a second annotation of this frame_dir; the first is taken",
        "split 'train': a is listed 2 times and taken once",
        "split 'train': gone has no annotation",
        "split 'xsub_val': a list of frame_dirs is expected",
        "split 'xset_val': a list of frame_dirs is expected",
        "split 'TRAIN': another split goes to train_data_joint.npy",
    ]
    assert report.notes == [
        "2 classes, labels 0 to 1",
        "1 annotation is in no split (unused ...)",
        "val_data_joint.npy: 1 of its clips is a training one too (b ...)",
    ]
    assert read(tmp_path / "out", "train")[1:] == (["a", "b"], [0, 1])


def test_long_clips_are_cut_and_said(tmp_path: Path) -> None:
    late = np.zeros((1, 301, 25, 3), dtype=np.float32)
    late[:, 300] = 1
    clips = [clip_3d("a", 302), clip_3d("b", 300), clip_3d("late", 301, keypoint=late)]
    report = gendata(write(tmp_path / "a.pkl", {"train": ["a", "b", "late"]}, clips), tmp_path / "out")
    array, _, _ = read(tmp_path / "out", "train")
    np.testing.assert_array_equal(array[0, :, :, :, 0], clips[0]["keypoint"][0, :300].transpose(2, 0, 1))
    assert report.skipped == ["late: no body in any frame"]
    assert "1 clip has more than 300 frames; the first 300 are kept" in report.notes


@pytest.mark.parametrize(
    "make", [lambda clips: {"annotations": clips}, lambda clips: {"split": None, "annotations": clips}, tuple]
)
def test_a_file_may_have_no_splits(tmp_path: Path, make: Any) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(make([clip_3d("a"), clip_3d("b", label=1)])))
    report = gendata(tmp_path / "a.pkl", tmp_path / "out")
    assert report.notes[0] == "a.pkl has no splits: all its clips are train"
    assert read(tmp_path / "out", "train")[1:] == (["a", "b"], [0, 1])


def test_capital_letters_name_splits_too(tmp_path: Path) -> None:
    gendata(write(tmp_path / "a.pkl", {"Train": ["a"], "Test": ["b"]}, [clip_3d("a"), clip_3d("b")]), tmp_path / "out")
    assert read(tmp_path / "out", "val")[1] == ["b"]


def test_bodies_by_frame_may_have_their_scores_beside_them(tmp_path: Path) -> None:
    clip = {"frame_dir": "a", "label": 0, "total_frames": 4, "img_shape": (200, 400), "frame_inds": np.array([3, 0, 3])}
    clip["keypoint"] = np.stack([np.full((17, 2), 100.0 * (1 + body)) for body in range(3)])
    clip["keypoint_score"] = np.full((3, 17), 0.5)
    gendata(write(tmp_path / "a.pkl", {"train": ["a"]}, [clip]), tmp_path / "out")
    array, _, _ = read(tmp_path / "out", "train")
    assert array[0, :, 0, 0].T.tolist() == [[0.0, -0.5, 0.5], [0.0, 0.0, 0.0]]
    assert array[0, :, 3, 0].T.tolist() == [[-0.25, 0.0, 0.5], [0.25, -1.0, 0.5]]


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("place", ["split", "frame_dir", "keypoint", "label"])
def test_a_hostile_pickle_does_not_run(tmp_path: Path, place: str) -> None:
    target = tmp_path / "touched"
    call = Calls(os.mkdir, str(target))
    content: dict[str, Any] = {"split": {"train": ["a"]}, "annotations": [clip_3d("a")]}
    (content if place == "split" else content["annotations"][0])[place] = call
    data = pickle.dumps(content)
    pickle.loads(data)
    assert target.exists()  # the payload is a real one
    target.rmdir()
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.pkl names \w+\.mkdir, .*; it was not loaded$"):
        gendata(tmp_path / "a.pkl", tmp_path / "out")
    assert not target.exists()
    assert not (tmp_path / "out").exists()


FORM, NOTHING = (
    "split and annotations, or a list of annotations, are expected",
    "no split has an annotation that can be used",
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], FORM),
        ([clip_3d("a"), 5], FORM),
        ({"split": {}}, FORM),
        ({"split": [], "annotations": []}, FORM),
        ({"split": {}, "annotations": [clip_3d("a")]}, NOTHING),
        ({"split": {"train": []}, "annotations": [clip_3d("a")]}, NOTHING),
        (
            {"split": {"train": ["a"]}, "annotations": [{"frame_dir": "a", "label": 0, "total_frames": 4}]},
            f"{NOTHING}; the last problem is a: it has no keypoint",
        ),
    ],
)
def test_a_file_that_gives_nothing_is_named(tmp_path: Path, content: Any, problem: str) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=rf"a\.pkl: {problem}$"):
        gendata(tmp_path / "a.pkl", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pkl is no file; --data_path takes"):
        gendata(tmp_path / "absent.pkl", tmp_path)
    with pytest.raises(ValueError, match="max_frame 0 and num_person 2 must be at least 1"):
        gendata(tmp_path / "absent.pkl", tmp_path, max_frame=0)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["train", "a", "label"]), inner),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.sampled_from(["split", "names", "annotations", *clip_2d("a")]), value=ODD)
def test_anything_anywhere_is_a_sentence_or_a_skip(tmp_path: Path, where: str, value: Any) -> None:
    content: dict[str, Any] = {"split": {"train": ["a", "b"]}, "annotations": [clip_2d("a"), clip_2d("b")]}
    if where in content:
        content[where] = value
    elif where == "names":
        content["split"]["train"] = value
    else:
        content["annotations"][0][where] = value
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    try:
        gendata(tmp_path / "a.pkl", tmp_path / "out", max_frame=6)
    except ValueError as error:
        message = str(error)
    else:
        array, names, labels = read(tmp_path / "out", "train")
        assert len(array) == len(names) == len(labels)
        assert array.any(axis=(1, 2, 3, 4)).all()
        return
    assert "a.pkl: " in message


def test_an_annotation_of_nobody_is_left_out_of_own_data_too(tmp_path: Path) -> None:
    clips = [clip_2d("a"), clip_2d("b", num_person=0), clip_2d("c")]
    path = write(tmp_path / "a.pkl", {"train": ["a", "b"], "val": ["c"]}, clips)
    problems: list[str] = []
    assert [recording.name for recording in read_any(path, problems=problems)] == ["a", "c"]
    assert problems == ["b: no body in any frame"]
    with pytest.raises(ValueError, match="b: no body in any frame"):
        list(read_any(path))


def test_clips_without_img_shape_stay_in_pixels(tmp_path: Path) -> None:
    clips = [clip_2d(name, without="img_shape") for name in "ab"]
    clips[0]["img_shape"] = None
    report = gendata(write(tmp_path / "a.pkl", {"train": ["a"], "val": ["b"]}, clips), tmp_path / "out")
    assert "no clip has an img_shape: coordinates stay as they are, with y downwards" in report.notes
    array, _, _ = read(tmp_path / "out", "val")
    np.testing.assert_array_equal(array[0, :2, :4, :, 0], clips[1]["keypoint"][0].transpose(2, 0, 1))
