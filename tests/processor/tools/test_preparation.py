"""A recording becomes the row that the script wrote into its array, or is refused with what does not fit."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import random_bodies, skeleton_text

from data_gen import custom_gendata, kinetics_gendata, ntu_gendata, preprocess, pyskl_gendata, ucla_gendata
from data_gen.formats.reading import read
from data_gen.formats.recording import Recording
from feeders.arrays import load_missing, load_prepared
from graph import skeleton_of
from graph.azure_kinect import SKELETON as AZURE
from graph.channels import Channels
from graph.coco import SKELETON as COCO
from graph.ntu_rgb_d import SKELETON as NTU
from graph.tools import Skeleton
from processor.tools.preparation import fitted_to, row_of

METRES = Channels(unit="metres")
PREPROCESSED: dict[str, Any] = {"script": "preprocess.py", "options": {}}
RECORDED: dict[str, Any] = {"script": "custom_gendata.py", "options": {}}


def check(array: Path, recordings: list[Recording], skeleton: Skeleton | None, atol: float = 0) -> None:
    """Each recording gives the row of the array, its missing joints and its length, as `prepared.yaml` says."""
    x, prepared, missing = np.load(array), load_prepared(array), load_missing(array)
    lengths = np.load(array.with_name(array.name.replace("data_joint", "length").replace("data", "plain_length")))
    assert prepared is not None
    assert len(x) == len(recordings) > 0
    for number, recording in enumerate(recordings):
        fitted = fitted_to(recording, skeleton, prepared.channels, prepared.made)
        row = row_of(fitted, prepared.made, x.shape[2], x.shape[4])
        np.testing.assert_allclose(row.in_order(row.x), x[number], rtol=0, atol=atol)
        assert (min(row.num_frame, x.shape[2]) if row.length is None else row.length) == lengths[number]
        lost = np.zeros(x.shape[2:], bool) if row.missing is None else row.in_order(row.missing)
        assert np.array_equal(lost, missing[number] if missing is not None else np.zeros(x.shape[2:], bool))


@pytest.mark.parametrize("script", [preprocess.preprocess, ntu_gendata.gendata])
@pytest.mark.parametrize("persons", ["file", "track"])
def test_ntu(tmp_path: Path, script: Any, persons: str) -> None:
    (tmp_path / "raw").mkdir()
    names = [f"S001C001P00{number}R001A001.skeleton" for number in (1, 2, 4, 5)]
    for seed, name in enumerate(names):
        text = skeleton_text(random_bodies(np.random.default_rng(seed), 1 + seed, 9 + 100 * seed))
        lines = [  # each body of the file has its number, in another order than they appear
            line.replace("72057594037931101", str(900 - number % 7)) for number, line in enumerate(text.split("\n"))
        ]
        (tmp_path / "raw" / name).write_text("\n".join(lines))
    script(tmp_path / "raw", tmp_path / "out", persons=persons, strict=True)
    (array,) = (path for path in (tmp_path / "out" / "xsub").glob("train_data*.npy"))
    recordings = [recording for name in names for recording in read(tmp_path / "raw" / name)]
    check(array, recordings, NTU)


def test_kinetics(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "kinetics_train").mkdir()
    labels = {}
    for name, num_person in (("a", 1), ("b", 4)):
        frames = [
            {
                "frame_index": frame,
                "skeleton": [
                    {
                        "pose": rng.random(36).round(3).tolist(),
                        "score": (rng.random(18) * (rng.random(18) > 0.2)).round(3).tolist(),
                    }
                    for _ in range(num_person)
                ],
            }
            for frame in (1, 2, 5)
        ]
        content = {"data": frames, "label": "x", "label_index": 7}
        (tmp_path / "kinetics_train" / f"{name}.json").write_text(json.dumps(content))
        labels[name] = {"has_skeleton": True, "label": "x", "label_index": 7}
    (tmp_path / "kinetics_train_label.json").write_text(json.dumps(labels))
    kinetics_gendata.gendata(tmp_path, tmp_path / "out", strict=True)
    recordings = [next(read(tmp_path / "kinetics_train" / f"{name}.json")) for name in "ab"]
    check(tmp_path / "out" / "train_data_joint.npy", recordings, skeleton_of(18), atol=1e-6)


@pytest.mark.parametrize("flat", [True, False])
def test_pyskl(tmp_path: Path, flat: bool) -> None:
    rng = np.random.default_rng(1)
    clips = []
    for name in "ab":
        clip = {"frame_dir": name, "label": 0, "total_frames": 4}
        if flat:
            clip["keypoint"] = rng.random((3, 4, 17, 2)) * [1920, 1080]
            clip |= {"keypoint_score": rng.random((3, 4, 17)) * (rng.random((3, 4, 17)) > 0.2)}
            clip["img_shape"] = (1080, 1920)
        else:
            clip["keypoint"] = rng.normal(size=(1, 4, 25, 3))
        clips.append(clip)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"split": {"xsub_train": ["a", "b"]}, "annotations": clips}))
    pyskl_gendata.gendata(path, tmp_path / "out", max_frame=6, strict=True)
    check(tmp_path / "out" / "xsub" / "train_data_joint.npy", list(read(path)), COCO if flat else NTU)


def test_nw_ucla(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for T in (3, 5):
        joints = np.random.default_rng(T).normal(size=(T, 20, 3))
        joints[1, 4] = 0
        path = tmp_path / "raw" / f"a01_s01_e0{T}_v01.json"
        path.write_text(json.dumps({"file_name": "a", "skeletons": joints.tolist(), "label": 1}))
    ucla_gendata.gendata(tmp_path / "raw", tmp_path / "out")
    recordings = [recording for path in sorted((tmp_path / "raw").iterdir()) for recording in read(path)]
    check(tmp_path / "out" / "train_data_joint.npy", recordings, skeleton_of(20))


@pytest.mark.parametrize("persons", ["auto", "file", "track"])
def test_recordings_of_ones_own(tmp_path: Path, persons: Any) -> None:
    rng = np.random.default_rng(2)
    (tmp_path / "raw").mkdir()
    (tmp_path / "s.yaml").write_text("name: s\njoints: [a, b, c]\nbones: [[a, b], [b, c]]\ncenter: b\n")
    for name in ("a.json", "b.json"):
        frames = []
        for t in range(6):
            people = [
                {"track_id": number, "keypoints": (rng.random((3, 3)) * 100 + 300 * number).round(2).tolist()}
                for number in ((0, 1), (1, 0), (1,))[t % 3]
            ]
            frames.append({"frame_id": t, "instances": people})
        (tmp_path / "raw" / name).write_text(json.dumps(frames))
    (tmp_path / "labels.csv").write_text("file,label,split\na.json,x,train\nb.json,y,train\n")
    custom_gendata.gendata(
        tmp_path / "raw",
        tmp_path / "labels.csv",
        skeleton=tmp_path / "s.yaml",
        out_folder=tmp_path / "out",
        persons=persons,
        strict=True,
    )
    skeleton = Skeleton("s", ("a", "b", "c"), (1, 1, 1))
    recordings = [next(read(tmp_path / "raw" / name, skeleton=skeleton)) for name in ("a.json", "b.json")]
    check(tmp_path / "out" / "train_data_joint.npy", recordings, skeleton)


def moving(skeleton: Skeleton, channels: Channels = METRES, scale: float = 1) -> Recording:
    joints = scale * np.random.default_rng(3).uniform(0.1, 0.9, (4, 1, skeleton.num_point, len(channels.names)))
    return Recording.of("walk", joints, channels, skeleton=skeleton)


def test_another_skeleton_is_mapped_or_refused_with_what_it_lacks() -> None:
    azure = moving(AZURE)
    fitted = fitted_to(azure, NTU, METRES, PREPROCESSED)
    assert fitted.notes == ("made the joints of NTU RGB+D of those of Azure Kinect",)
    for wanted, source in (("left elbow", "left elbow"), ("spine base", "pelvis"), ("right thumb", "right thumb")):
        there = fitted.joints[..., NTU.joints.index(wanted), :]
        np.testing.assert_array_equal(there, azure.joints[..., AZURE.joints.index(source), :])
    with pytest.raises(ValueError, match=r"^COCO joints do not make these of NTU RGB\+D: .*left thumb"):
        fitted_to(moving(COCO), NTU, METRES, PREPROCESSED)
    unnamed = Recording.of("a", np.ones((2, 1, 17, 3)), METRES)
    with pytest.raises(ValueError, match=r"^it has 17 joints, the skeleton has 25$"):
        fitted_to(unnamed, NTU, METRES, PREPROCESSED)


def test_another_unit_is_noticed() -> None:
    for unit in ("millimetres", "unknown"):
        fitted = fitted_to(moving(NTU, Channels(unit=unit), 1000), NTU, METRES, PREPROCESSED)
        np.testing.assert_allclose(fitted.joints, moving(NTU).joints, rtol=1e-6)
        assert fitted.notes == ("its coordinates were taken as millimetres",)
    in_millimetres = Channels(unit="millimetres")
    for unit in ("metres", "unknown"):
        fitted = fitted_to(moving(NTU, Channels(unit=unit)), NTU, in_millimetres, RECORDED)
        np.testing.assert_allclose(fitted.joints, moving(NTU, scale=1000).joints, rtol=1e-6)
        assert fitted.notes == ("its metres became mm",)
        assert fitted.channels == in_millimetres
    for unit in ("millimetres", "unknown"):
        fitted = fitted_to(moving(NTU, Channels(unit=unit), 1000), NTU, in_millimetres, RECORDED)
        np.testing.assert_array_equal(fitted.joints, moving(NTU, scale=1000).joints)
    flat = Channels(("x", "y"), "millimetres")  # whose size tells nothing
    for unit in ("millimetres", "unknown"):
        fitted = fitted_to(moving(NTU, Channels(("x", "y"), unit)), NTU, flat, RECORDED)
        np.testing.assert_array_equal(fitted.joints, moving(NTU, flat).joints)
        assert fitted.notes == ()
    pixels = Channels(("x", "y", "score"), "pixels", (100, 50))
    shares = Channels(("x", "y", "score"), "normalised")
    fitted = fitted_to(moving(COCO, pixels, 50), COCO, shares, RECORDED)
    np.testing.assert_allclose(fitted.joints, moving(COCO, pixels, 50).joints * [0.01, 0.02, 1], rtol=1e-6)
    assert fitted.notes == ("its pixels became shares of the picture",)


@pytest.mark.parametrize(
    ("channels", "wanted", "problem"),
    [
        (Channels(("x", "y"), "pixels"), METRES, "its channels are x, y, the model takes x, y, z"),
        (METRES, Channels(("x", "y"), "pixels"), "its channels are x, y, z, the model takes x, y"),
        (Channels(unit="normalised"), METRES, "its coordinates are shares of a picture, the model takes metres"),
        (
            Channels(("x", "y"), "pixels"),
            Channels(("x", "y"), "normalised"),
            "its coordinates are pixels of a picture of unknown size, the model takes shares of a picture",
        ),
        (METRES, Channels(("x", "y", "z", "speed")), "it has no channel 'speed', which the model takes"),
    ],
)
def test_channels_that_do_not_fit_are_named(channels: Channels, wanted: Channels, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        fitted_to(moving(COCO, channels), COCO, wanted, RECORDED)


def test_a_score_that_is_not_there_is_one_and_one_that_is_not_asked_for_is_left_out() -> None:
    scored = Channels(("x", "y", "score"), "pixels")
    fitted = fitted_to(moving(COCO, Channels(("x", "y"), "pixels")), COCO, scored, RECORDED)
    assert (fitted.joints[..., 2] == 1).all()
    assert fitted.notes == ("it has no score; each joint that is there counts as sure",)
    fitted = fitted_to(moving(COCO, Channels(("x", "y", "visibility"), "pixels")), COCO, scored, RECORDED)
    np.testing.assert_array_equal(fitted.joints, moving(COCO, scored).joints)
    assert fitted_to(moving(COCO, scored), COCO, Channels(("x", "y")), RECORDED).joints.shape[3] == 2
