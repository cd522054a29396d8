"""What pose estimators write is read as their documentation says; a joint that they did not find is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import chain, moves, one, read_content, read_text

from data_gen.formats.kinetics_json import read_clip
from data_gen.formats.persons import follow
from data_gen.formats.reading import is_folder_of_frames
from data_gen.formats.recording import fitted
from graph import azure_kinect, coco, kinetics, mediapipe, ntu_rgb_d, nw_ucla, openpose
from graph.tools import Skeleton

JOINTS = moves(17, 3) * [300, 300, 0.5]  # of a person: x, y, score
FLAT = JOINTS.ravel().tolist()
OTHER = np.add(JOINTS, [50, 0, 0]).tolist()
FLAT_OTHER = np.ravel(OTHER).tolist()


def frame_of(persons: list[Any], **more: Any) -> dict[str, Any]:
    return {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": p, **more} for p in persons]}


@pytest.mark.parametrize("num_point", [18, 25])
def test_openpose_has_a_file_a_frame(tmp_path: Path, num_point: int) -> None:
    persons = moves(4, 2, num_point, 3) * [300, 300, 0.5]
    persons[1, 0, 9] = 0
    folder = tmp_path / "walk"
    folder.mkdir()
    for t in (0, 1, 3, 10):  # OpenPose writes every frame; one that was deleted counts
        content = frame_of([p.ravel().tolist() for p in persons[min(t, 3)]], face_keypoints_2d=[])
        content = frame_of([]) if t == 3 else content
        (folder / f"walk_{t:012}_keypoints.json").write_text(json.dumps(content))
    recording = one(folder)
    assert recording.format == "openpose"
    assert recording.joints.shape == (11, 2, num_point, 3)
    assert recording.channels.names == ("x", "y", "score")
    assert recording.channels.unit == "pixels"
    np.testing.assert_allclose(recording.joints[1], persons[1], rtol=1e-6)
    assert recording.present.any(axis=(1, 2)).tolist() == [True, True] + [False] * 8 + [True]
    assert np.argwhere(~recording.present[1]).tolist() == [[0, 9]]
    assert recording.skeleton is not None
    assert recording.skeleton.name == {18: "Kinetics-skeleton", 25: "OpenPose"}[num_point]
    file = one(folder / "walk_000000000000_keypoints.json")
    np.testing.assert_array_equal(file.joints[0], recording.joints[0])


PROGRAMS: dict[str, tuple[str, Any]] = {  # two persons in frame 0, nobody in frame 1, the first one in frame 2
    "alphapose": (
        "alphapose",
        [
            {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": p, "score": 2.9, "box": [1, 2, 3, 4], "idx": idx}
            for t, p, idx in ((0, FLAT, [3.0]), (0, FLAT_OTHER, 4), (2, FLAT, 3))
        ],
    ),
    "alphapose --format open": (
        "alphapose",
        {"2.jpg": frame_of([FLAT]), "0.jpg": frame_of([FLAT, FLAT_OTHER])},
    ),
    "alphapose --format cmu": (
        "alphapose",
        {"0.jpg": {"bodies": [{"joints": FLAT}, {"joints": FLAT_OTHER}]}, "2.jpg": {"bodies": [{"joints": FLAT}]}},
    ),
    "coco results": (
        "alphapose",
        [
            {"image_id": 100 + t, "category_id": 1, "keypoints": p, "score": 0.9}
            for t, p in ((0, FLAT), (0, FLAT_OTHER), (2, FLAT))
        ],
    ),
    "mmpose demo": (
        "mmpose",
        {
            "meta_info": {"dataset_name": "coco"},
            "instance_info": [
                {
                    "frame_id": t + 1,
                    "instances": [
                        {"keypoints": [j[:2] for j in p], "keypoint_scores": [j[2] for j in p], "bbox": [[1, 2, 3, 4]]}
                        for p in people
                    ],
                }
                for t, people in ((0, [JOINTS.tolist(), OTHER]), (1, []), (2, [JOINTS.tolist()]))
            ],
        },
    ),
    "mmpose inferencer": (
        "mmpose",
        [
            {
                "frame_id": t,
                "instances": [{"keypoints": [j[:2] for j in p], "keypoint_scores": [j[2] for j in p]} for p in people],
            }
            for t, people in ((0, [JOINTS.tolist(), OTHER]), (1, []), (2, [JOINTS.tolist()]))
        ],
    ),
    "mmskeleton": (
        "mmskeleton",
        {
            "info": {"resolution": [340, 256], "num_frame": 3, "keypoint_channels": ["x", "y", "score"]},
            "annotations": [
                {"frame_index": t, "id": 0, "person_id": None, "keypoints": p}
                for t, p in ((0, JOINTS.tolist()), (0, OTHER), (2, JOINTS.tolist()))
            ],
            "category_id": 4,
        },
    ),
    "yolo": (
        "yolo",
        [
            [
                {
                    "name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 1, "y1": 2, "x2": 3, "y2": 4},
                    "keypoints": dict(zip(("x", "y", "visible"), np.transpose(p).tolist(), strict=True)),
                }
                for p in people
            ]
            for people in ([JOINTS, OTHER], [], [JOINTS])
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_gives_the_same_persons(tmp_path: Path, program: str) -> None:
    format, content = PROGRAMS[program]
    recording = read_content(tmp_path, content)
    assert recording.format == format
    assert recording.joints.shape == (3, 2, 17, 3)
    np.testing.assert_allclose(recording.joints[0, 0], JOINTS, rtol=1e-6)
    np.testing.assert_allclose(recording.joints[0, 1], OTHER, rtol=1e-6)
    np.testing.assert_allclose(recording.joints[2, 0], JOINTS, rtol=1e-6)
    assert recording.present.any(axis=2).tolist() == [[True, True], [False, False], [True, False]]
    assert recording.channels.names == ("x", "y", "score")
    assert recording.label == (4 if program == "mmskeleton" else None)
    assert recording.channels.picture == ((340, 256) if program == "mmskeleton" else None)
    assert recording.identity is not None
    expected = [[3, 4], [-1, -1], [3, -1]] if program == "alphapose" else [[-1, -1]] * 3
    assert recording.identity.tolist() == expected


def test_yolos_text_has_a_file_a_frame(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    joints = moves(17, 3) / 3
    joints[5, :2] = 0  # YOLO puts what it is not sure of to the corner, and keeps its score
    line = "0 0.5 0.5 0.2 0.4 " + " ".join(map(str, joints.ravel()))
    (folder / "clip_1.txt").write_text(f"{line} 0.91 7\n{line} 8\n")
    (folder / "clip_3.txt").write_text(f"{line}\n")
    recording = one(folder)
    assert recording.format == "yolo-txt"
    assert recording.joints.shape == (3, 2, 17, 3)
    assert (recording.channels.unit, recording.channels.picture) == ("normalised", (1, 1))
    assert recording.identity is not None
    assert recording.identity.tolist() == [[7, 8], [-1, -1], [-1, -1]]
    assert np.argwhere(~recording.present[0]).tolist() == [[0, 5], [1, 5]]
    np.testing.assert_allclose(recording.joints[2, 0, 6:], joints[6:], rtol=1e-6)


LANDMARKS = [{"x": x, "y": y, "z": z, "visibility": v} for x, y, z, v in (moves(33, 4) / 3).tolist()]


@pytest.mark.parametrize(
    "content",
    [
        [LANDMARKS, None, LANDMARKS],
        [{"frame": t, "landmarks": marks} for t, marks in ((5, LANDMARKS), (6, []), (7, LANDMARKS))],
        {"fps": 30, "frames": [{"frame": t, "pose_landmarks": LANDMARKS} for t in (0, 2)]},
        {"0": LANDMARKS, "2": LANDMARKS},
        [{"timestamp_ms": 33 * t, "landmarks": [LANDMARKS] if t != 1 else []} for t in range(3)],
    ],
)
def test_mediapipe_writes_landmarks_by_frame(tmp_path: Path, content: Any) -> None:
    recording = read_content(tmp_path, content)
    assert recording.format == "mediapipe"
    assert recording.joints.shape == (3, 1, 33, 4)
    assert recording.channels.names == ("x", "y", "z", "score")
    assert recording.present.any(axis=(1, 2)).tolist() == [True, False, True]
    np.testing.assert_allclose(recording.joints[2, 0, 4], list(LANDMARKS[4].values()), rtol=1e-6)
    assert recording.frame_rate == (30 if isinstance(content, dict) and "fps" in content else None)


@pytest.mark.parametrize("key", ["pose_landmarks", "poseWorldLandmarks", "landmarks", "keypoints", "frames", "walk1"])
@pytest.mark.parametrize("more", [{}, {"fps": 30, "video": "a.mp4"}])
def test_all_frames_of_landmarks_may_be_under_one_key(tmp_path: Path, key: str, more: dict[str, Any]) -> None:
    other = [{**mark, "x": mark["x"] / 2} for mark in LANDMARKS]
    for frames in ([LANDMARKS, None, other], [LANDMARKS, [], [other]], {"5": LANDMARKS, "7": other}):
        recording = read_content(tmp_path, {**more, key: frames})
        assert recording.joints.shape == (3, 1, 33, 4)
        assert recording.present.any(axis=(1, 2)).tolist() == [True, False, True]
        np.testing.assert_allclose(recording.joints[2, 0, 4], list(other[4].values()), rtol=1e-6)
        assert recording.channels.unit == ("metres" if "World" in key else "normalised")
        assert recording.frame_rate == (30 if more else None)
    assert read_content(tmp_path, {**more, key: LANDMARKS}).joints.shape == (1, 1, 33, 4)
    assert read_content(tmp_path, LANDMARKS).joints.shape == (1, 1, 33, 4)


def test_what_is_beside_frames_is_no_frame(tmp_path: Path) -> None:
    content = {"video": "a.mp4", "fps": 25, "0": LANDMARKS, "1": None, "2": LANDMARKS}
    recording = read_content(tmp_path, content)
    assert recording.present.any(axis=(1, 2)).tolist() == [True, False, True]
    assert read_content(tmp_path, {"clip.mp4": [LANDMARKS, LANDMARKS]}).joints.shape == (1, 2, 33, 4)
    both = {"pose_landmarks": [LANDMARKS] * 2, "pose_world_landmarks": [LANDMARKS] * 2}
    recording = read_content(tmp_path, both)
    assert (len(recording.joints), recording.channels.unit) == (2, "metres")


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("pose_world_landmarks", "metres"),
        ("worldLandmarks", "metres"),
        ("pose_landmarks", "normalised"),
        ("landmarks", "normalised"),
    ],
)
@pytest.mark.parametrize("nest", [lambda marks: marks, lambda marks: {"landmark": marks}, lambda marks: [marks]])
def test_the_key_of_landmarks_tells_their_unit(tmp_path: Path, key: str, unit: str, nest: Any) -> None:
    frames = [{"frame": t, "landmarks": nest(LANDMARKS[::-1]), key: nest(LANDMARKS)} for t in (3, 5)]
    recording = read_content(tmp_path, {"video": "world_cup.mp4", "frames": frames})
    assert recording.format == "mediapipe"
    assert recording.channels.unit == unit
    assert recording.joints.shape == (3, 1, 33, 4)
    np.testing.assert_allclose(recording.joints[0, 0, 0], list(LANDMARKS[0].values()), rtol=1e-6)
    assert recording.frames is not None
    assert recording.frames.tolist() == [3, 4, 5]


def test_landmarks_of_the_picture_and_of_the_world_are_not_mixed(tmp_path: Path) -> None:
    frames = [{"pose_landmarks": LANDMARKS, "pose_world_landmarks": marks} for marks in (LANDMARKS, [])]
    with pytest.raises(ValueError, match="some persons are in the picture, others in space"):
        read_content(tmp_path, frames)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"people": []}, "nobody is in any frame"),
        ({"people": [{"pose_keypoints_2d": [1, 2, 3, 4]}]}, "not numbers x, y"),
        ({"people": [{"pose_keypoints_2d": [1, "a", 3]}]}, "not numbers x, y"),
        (frame_of([FLAT, FLAT[:-3]]), "persons have different joints: 16 in 3 channels, and 17 in 3"),
        ([{"image_id": 1, "keypoints": [1e300] * 6}], "beyond any measure"),
    ],
)
def test_what_is_no_person_is_named(tmp_path: Path, content: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_content(tmp_path, content)


def test_joints_of_one_program_are_not_taken_for_those_of_another(tmp_path: Path) -> None:
    recording = read_content(tmp_path, frame_of([moves(25, 3).ravel().tolist()]))
    with pytest.raises(ValueError, match=r"OpenPose joints do not make these of NTU RGB\+D: .*left thumb"):
        fitted(recording, ntu_rgb_d.SKELETON)
    assert fitted(recording, chain(25)).notes == ("took the joints of OpenPose for those of chain, in order",)
    assert fitted(recording, openpose.SKELETON) is recording
    with pytest.raises(ValueError, match="do not make these of chain"):
        fitted(recording, chain(24))


def test_numbers_of_pictures_are_no_frames(tmp_path: Path) -> None:
    content = [{"image_id": number, "keypoints": FLAT} for number in (139, 10**12, 285)]
    recording = read_content(tmp_path, content)
    assert recording.joints.shape[0] == 3
    assert recording.frames is not None
    assert recording.frames.tolist() == [139, 285, 10**12]
    assert recording.between(200, 300).joints.shape[0] == 1
    assert recording.notes == ("took only the frames with persons",)


def test_one_number_for_everybody_is_no_trackers(tmp_path: Path) -> None:
    content = [{"image_id": f"{t}.jpg", "keypoints": p, "idx": [0.0]} for t in range(3) for p in (FLAT, FLAT_OTHER)]
    recording = read_content(tmp_path, [*content, {"image_id": "3.jpg", "keypoints": FLAT, "idx": [0.0]}])
    assert recording.identity is not None
    assert recording.identity.max() == -1
    assert not follow(recording)[1]


def test_a_third_number_is_a_depth_where_it_cannot_be_a_score(tmp_path: Path) -> None:
    marks = moves(33, 3)
    for content in (
        [{"frame": 0, "pose_world_landmarks": marks.tolist()}],
        [{"frame_id": 0, "instances": [{"keypoints": (marks - [0, 0, 1]).tolist()}]}],
        [{"frame": 0, "landmarks": [marks.tolist(), (marks + 1).tolist()]}],
    ):
        assert read_content(tmp_path, content).channels.names == ("x", "y", "z")
    assert read_content(tmp_path, content).joints.shape == (1, 2, 33, 3)


@pytest.mark.parametrize(
    ("third", "scale", "names"),
    [
        ([2.5, 1.5, 0.5], 1, "x y z"),  # metres
        ([-0.5, 0.5, 0.1], 1, "x y z"),
        ([2500, 1500, 900], 1000, "x y z"),  # millimetres
        ([0.5, 1.0, 0.1], 1, "x y score"),
        ([2, 0, 1], 1, "x y score"),  # COCO's flags beside fractions
        ([1.5, 0.5, 3.5], 300, "x y score"),  # heat maps of a picture
    ],
)
@pytest.mark.parametrize("flat", [False, True])
def test_a_third_number_is_a_score_or_a_depth(
    tmp_path: Path, third: list[float], scale: float, names: str, flat: bool
) -> None:
    joints = np.column_stack([moves(3, 2) * scale, third])
    points = joints.ravel().tolist() if flat else joints.tolist()
    recording = read_content(tmp_path, [{"frame_id": 0.0, "keypoints": points}, {"frame_id": 2.0, "keypoints": points}])
    assert recording.channels.names == tuple(names.split())
    np.testing.assert_array_equal(recording.joints[2, 0], np.float32(joints))


@pytest.mark.parametrize(("third", "name"), [("z", "z"), ("score", "score"), ("confidence", "score")])
def test_mmskeleton_tells_its_channels(tmp_path: Path, third: str, name: str) -> None:
    for value in (0.5, 2.5):
        people = [{"frame_index": 0, "id": 0, "keypoints": [[0.5, 0.25, value]] * 3}]
        recording = read_content(tmp_path, {"info": {"keypoint_channels": ["x", "y", third]}, "annotations": people})
        assert recording.channels.names == ("x", "y", name)


def test_a_key_tells_scores_whatever_they_are(tmp_path: Path) -> None:
    person = {"keypoints": [[0.5, 0.25]] * 3, "keypoint_scores": [2.5, 1.5, 0.5]}
    assert read_content(tmp_path, [{"frame_id": 0, "instances": [person]}]).channels.names == ("x", "y", "score")


def test_joints_of_persons_may_be_null(tmp_path: Path) -> None:
    for points in ([None, *LANDMARKS[1:]], [None, *(list(mark.values()) for mark in LANDMARKS[1:])]):
        recording = read_content(tmp_path, [{"frame": 0, "landmarks": points}])
        assert np.argwhere(~recording.present).tolist() == [[0, 0, 0]]


def test_seventeen_joints_in_depth_are_not_cocos(tmp_path: Path) -> None:
    people = {"instances": [{"keypoints": moves(17, 3).tolist(), "keypoint_scores": [1.0] * 17}]}
    recording = read_content(tmp_path, [{"frame_id": 0, **people}])
    assert recording.channels.names == ("x", "y", "z", "score")
    assert recording.skeleton is None
    names = {str(v): f"j{v}" for v in range(17)}
    content = {"meta_info": {"keypoint_id2name": names}, "instance_info": [{"frame_id": 0, **people}]}
    turned = Skeleton("turned", tuple(f"j{v}" for v in reversed(range(17))), (0,) * 17)
    recording = read_content(tmp_path, content)
    np.testing.assert_array_equal(fitted(recording, turned).joints, recording.joints[:, :, ::-1])


def test_yolos_joints_are_cocos_whatever_the_skeleton(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "1.txt").write_text("0 0.5 0.5 0.2 0.4 " + " ".join(map(str, (moves(17, 3) / 3).ravel())))
    for skeleton in (openpose.SKELETON, kinetics.SKELETON):
        recording = one(folder, skeleton=skeleton)
        assert recording.joints.shape == (1, 1, 17, 3)
        assert fitted(recording, kinetics.SKELETON).joints.shape == (1, 1, 18, 3)


def test_alphapose_may_name_its_version(tmp_path: Path) -> None:
    folder = tmp_path / "sep-json"
    folder.mkdir()
    for t in range(2):
        content = {"version": "AlphaPose v0.3", "people": [{"pose_keypoints_2d": FLAT}]}
        (folder / f"{t}.json").write_text(json.dumps(content))
    assert one(folder).joints.shape == (2, 1, 17, 3)


def test_clips_of_kinetics_form_are_read_to_their_end(tmp_path: Path) -> None:
    body = {"pose": [0.5, 0.6] * 18, "score": [0.9] * 18}
    frames = [{"frame_index": t, "skeleton": [body] * (7 if t == 0 else 1)} for t in range(400)]
    for label in ({"label_index": -1}, {"label_index": None}, {}):
        recording = read_content(tmp_path, {"data": frames, "label": "unknown", **label})
        assert recording.format == "kinetics"
        assert recording.joints.shape == (400, 7, 18, 3)
        assert recording.label is None
    assert read_content(tmp_path, {"data": frames, "label_index": 3}).label == 3
    (tmp_path / "a.json").write_text(json.dumps({"data": frames}))
    with pytest.raises(ValueError, match="it has no label_index, the class of the clip"):
        read_clip(tmp_path / "a.json")


def test_joints_of_ntu_become_those_of_another_kinect(tmp_path: Path) -> None:
    text = "1\n1\n72057594037931101 0 1 1 1 1 0 0.1 0.2 2\n25\n" + "0.1 0.2 3 0 0 0 0 0 0 0 0 2\n" * 25
    recording = read_text(tmp_path, text, "S001C001P001R001A001.skeleton", skeleton=nw_ucla.SKELETON)
    assert fitted(recording, nw_ucla.SKELETON).joints.shape == (1, 1, 20, 3)


def test_the_one_picture_of_several_persons_is_one_frame(tmp_path: Path) -> None:
    persons = [
        {"keypoints": [j[:2] for j in p], "keypoint_scores": [j[2] for j in p], "bbox": [1]}
        for p in (JOINTS.tolist(), OTHER)
    ]
    assert read_content(tmp_path, persons).joints.shape == (1, 2, 17, 3)


@pytest.mark.parametrize("nest", [lambda frames: frames, lambda frames: {"predictions": frames}])
def test_lists_of_frames_may_be_in_any_mapping(tmp_path: Path, nest: Any) -> None:
    """OpenPose's frames in one list, and persons of earlier versions of MMPose: x, y, score, and a track."""
    frames = [frame_of([FLAT, FLAT_OTHER]), frame_of([]), frame_of([FLAT])]
    persons = [[{"keypoints": JOINTS.tolist(), "track_id": 3}, {"keypoints": OTHER, "track_id": 5}], [],
               [{"keypoints": JOINTS.tolist(), "track_id": 3}]]  # fmt: skip
    for content in (frames, persons):
        recording = read_content(tmp_path, nest(content))
        assert recording.present.any(axis=2).tolist() == [[True, True], [False, False], [True, False]]
        np.testing.assert_allclose(recording.joints[0], [JOINTS, OTHER], rtol=1e-6)
    assert recording.identity is not None
    assert recording.identity.tolist() == [[3, 5], [-1, -1], [3, -1]]


@pytest.mark.parametrize("key", ["instances", "bodies", "persons", "detections"])
def test_a_mapping_of_persons_is_a_frame(tmp_path: Path, key: str) -> None:
    persons = [
        {"keypoints": [j[:2] for j in p], "keypoint_scores": [j[2] for j in p]} for p in (JOINTS.tolist(), OTHER)
    ]
    assert read_content(tmp_path, {key: persons}, format="mmpose").joints.shape == (1, 2, 17, 3)


def test_mmpose_has_a_file_a_picture(tmp_path: Path) -> None:
    person = {"keypoints": JOINTS[:, :2].tolist(), "keypoint_scores": JOINTS[:, 2].tolist(), "bbox": [[1, 2, 3, 4]]}
    for number, content in ((7, []), (8, [person, person]), (10, [person])):
        (tmp_path / f"000{number:02}.json").write_text(json.dumps(content))
    recording = one(tmp_path)
    assert recording.format == "mmpose"
    assert recording.present.any(axis=2).tolist() == [[False] * 2, [True] * 2, [False] * 2, [True, False]]
    np.testing.assert_allclose(recording.joints[3, 0], JOINTS, rtol=1e-6)
    assert recording.frames is not None
    assert recording.frames.tolist() == [7, 8, 9, 10]
    assert is_folder_of_frames(tmp_path)
    for number, more in ((8, {"frame_id": 1}), (10, {"frame_id": 2})):
        (tmp_path / f"000{number:02}.json").write_text(json.dumps([{**person, **more}]))
    assert not is_folder_of_frames(tmp_path)


@pytest.mark.parametrize("pack", [lambda texts: texts, lambda texts: json.dumps([json.loads(text) for text in texts])])
def test_results_of_yolo_may_be_texts_of_json(tmp_path: Path, pack: Any) -> None:
    frames = PROGRAMS["yolo"][1]
    recording = read_content(tmp_path, pack([json.dumps(frame, indent=2) for frame in frames]))
    assert recording.format == "yolo"
    np.testing.assert_array_equal(recording.joints, read_content(tmp_path, frames).joints)
    lines = "".join(json.dumps(json.dumps(frame)) + "\n" for frame in frames)
    np.testing.assert_array_equal(read_text(tmp_path, lines, "a.jsonl").joints, recording.joints)


def test_other_files_beside_frames_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "a_2_keypoints.json").write_text(json.dumps(frame_of([FLAT])))
    (tmp_path / "a.json").write_text('{"fps": 30}')
    assert one(tmp_path).joints.shape == (1, 1, 17, 3)


def test_files_of_several_frames_are_no_frames(tmp_path: Path) -> None:
    for name, content in (("a", [frame_of([FLAT])]), ("b", {"0.json": frame_of([FLAT])})):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="its files are frames of no known format"):
        one(tmp_path)


def test_the_first_frames_of_yolo_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a_1.txt").write_text("")
    (tmp_path / "a_2.txt").write_text("0 0.5 0.5 0.2 0.3 " + " ".join(["0.4 0.6 0.9"] * 17))
    recording = one(tmp_path)
    assert (recording.format, recording.joints.shape) == ("yolo-txt", (2, 1, 17, 3))
    (tmp_path / "a_2.txt").write_text(" ".join(map(str, range(100, 161))))  # a frame of UTKinect
    with pytest.raises(ValueError, match="its files are frames of no known format"):
        one(tmp_path)


def test_boxes_are_nobody(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nobody is in any frame; persons without joints, such as boxes, do not"):
        read_content(tmp_path, [{"image_id": "0.jpg", "box": [1, 2, 3, 4], "score": 2.5}])


def test_mediapipe_for_the_web_writes_other_names(tmp_path: Path) -> None:
    points = [{"x": 0.25, "y": 0.5, "z": -0.1, "visibility": 0.9}] * 33
    assert read_content(tmp_path, [{"poseLandmarks": points}]).joints.shape == (1, 1, 33, 4)


def uav_human(width: int) -> str:
    """Two frames of UAV-Human: one body, then two; the second of them lost joint 3."""
    lines = ["2"]
    for bodies in ([1], [1, 2]):
        lines.append(str(len(bodies)))
        for body in bodies:
            lines += [f"{body} 0 1 1 1 1 0 0.1 -0.2 2", "17"]
            for v in range(17):
                x, y = (0, 0) if body == 2 and v == 3 else (100 * body + v, 50 + v)
                lines.append(" ".join([f"{x}.5" if x else "0", f"{y}", *["0"] * (width - 2)]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("width", [2, 3, 12])
def test_uav_human_counts_as_ntu_does(tmp_path: Path, width: int) -> None:
    recording = read_text(tmp_path, uav_human(width), "P000S00G10B10H10UC022000LC021000A000R0_08241716.txt")
    assert recording.format == "ntu"
    assert recording.joints.shape == (2, 2, 17, 2)
    assert recording.channels.unit == "pixels"
    assert recording.joints[1, 1, 4].tolist() == [204.5, 54]
    assert np.argwhere(~recording.present).tolist() == [[0, 1, v] for v in range(17)] + [[1, 1, 3]]
    assert recording.identity is not None
    assert recording.identity.tolist() == [[1, -1], [1, 2]]
    with pytest.raises(ValueError, match="it has 17 joints, the skeleton has 16"):
        fitted(recording, chain(16))
    with pytest.raises(ValueError, match=r"line \d+: the file ends"):
        read_text(tmp_path, uav_human(width)[:-40])


def test_persons_in_frames_are_found_whatever_is_around_them(tmp_path: Path) -> None:
    """As scripts around pose estimators write them; the first frames may be empty."""
    persons = [[], [{"id": 0, "keypoints": JOINTS.tolist()}, {"id": 1, "keypoints": OTHER}], [{"keypoints": OTHER}]]
    yolo = [[{"keypoints": dict(zip("xy", np.transpose(p["keypoints"])[:2].tolist(), strict=True))}
             for p in people] for people in persons]  # fmt: skip
    for key, frames, format in (("persons", persons, "alphapose"), ("detections", yolo, "yolo")):
        recording = read_content(
            tmp_path, [{"frame": t, "time": t / 30, key: people} for t, people in enumerate(frames)]
        )
        assert recording.format == format
        assert recording.present.any(axis=2).tolist() == [[False, False], [True, True], [True, False]]
        np.testing.assert_allclose(recording.joints[1, 0, :, :2], JOINTS[:, :2], rtol=1e-6)


def test_persons_of_a_frame_may_be_one_array(tmp_path: Path) -> None:
    """As rtmlib's keypoints and scores, and YOLO's keypoints.xy, are."""
    xy, scores = [JOINTS[:, :2].tolist(), np.array(OTHER)[:, :2].tolist()], [JOINTS[:, 2].tolist()] * 2
    both = [(xy, scores), ([], []), (xy[:1], scores[:1])]
    recording = read_content(tmp_path, [{"frame": t, "keypoints": k, "scores": s} for t, (k, s) in enumerate(both)])
    assert recording.channels.names == ("x", "y", "score")
    assert recording.present.any(axis=2).tolist() == [[True, True], [False, False], [True, False]]
    np.testing.assert_allclose(recording.joints[0, 1], OTHER, rtol=1e-6)
    lists = {"keypoints": [k for k, _ in both], "scores": [s for _, s in both]}
    np.testing.assert_array_equal(read_content(tmp_path, lists).joints, recording.joints)
    recording = read_content(tmp_path, [{"frame": t, "keypoints": k or [[]]} for t, (k, _) in enumerate(both)])
    assert recording.present.any(axis=2).tolist() == [[True, True], [False, False], [True, False]]
    with pytest.raises(ValueError, match="not numbers x, y"):
        read_content(tmp_path, [{"frame": 0, "keypoints": xy, "scores": scores[:1]}])


def test_joints_may_be_a_mapping_from_their_names(tmp_path: Path) -> None:
    names = [name.upper().replace(" ", "_") for name in mediapipe.SKELETON.joints]
    turned = dict(reversed(list(zip(names, LANDMARKS, strict=True))))
    for content in ([turned], [{"frame": 0, "landmarks": turned}], {"frames": {"7": {"pose_landmarks": turned}}}):
        recording = read_content(tmp_path, content)
        assert recording.skeleton == mediapipe.SKELETON
        np.testing.assert_allclose(recording.joints[0, 0], [list(mark.values()) for mark in LANDMARKS], rtol=1e-6)
    joints = dict(reversed(list(zip(coco.SKELETON.joints, JOINTS.tolist(), strict=True))))
    recording = read_content(tmp_path, [{"frame_id": 0, "keypoints": joints}])
    np.testing.assert_allclose(recording.joints[0, 0], JOINTS, rtol=1e-6)
    content = [{"frame_id": 0, "keypoints": {"a": [1, 2, 0.5], "b": [3, 4, 0.5]}}]
    with pytest.raises(ValueError, match="its joints have names; give a skeleton"):
        read_content(tmp_path, content)
    recording = read_content(tmp_path, content, skeleton=Skeleton("own", ("b", "a"), (0, 0)))
    assert recording.joints[0, 0, :, 0].tolist() == [3, 1]


def test_landmarks_may_be_numbers_one_after_the_other(tmp_path: Path) -> None:
    numbers = [value for mark in LANDMARKS for value in mark.values()]
    recording = read_content(tmp_path, [{"frame": 0, "landmarks": numbers}])
    np.testing.assert_allclose(recording.joints[0, 0].ravel(), numbers, rtol=1e-6)
    assert recording.channels.names == ("x", "y", "z", "score")


def test_landmarks_need_no_visibility(tmp_path: Path) -> None:
    marks = [{name: mark[name] for name in "xyz"} for mark in LANDMARKS]
    for content in ([marks, marks], {"0": marks, "1": marks}):
        recording = read_content(tmp_path, content)
        assert recording.skeleton == mediapipe.SKELETON
        assert recording.joints.shape == (2, 1, 33, 3)


def test_json_may_be_utf_16_as_powershell_writes_it(tmp_path: Path) -> None:
    for text in (json.dumps([LANDMARKS] * 2), f"{json.dumps(LANDMARKS)}\r\n" * 2):
        assert read_text(tmp_path, text.encode("utf-16")).joints.shape == (2, 1, 33, 4)
    assert read_text(tmp_path, ("\ufeff" + uav_human(3)).encode("utf-16-le")).joints.shape == (2, 2, 17, 2)


@pytest.mark.parametrize("text", ['\ufeff{"version":1.3,"people":[%s]}', '{"info": {"width": 3}, "people": [%s]}'])
def test_a_frame_of_openpose_may_begin_in_any_way(tmp_path: Path, text: str) -> None:
    for t in range(2):
        (tmp_path / f"{t}.json").write_text(text % json.dumps({"pose_keypoints_2d": FLAT}), encoding="utf-8")
    recording = one(tmp_path)
    assert (recording.format, recording.joints.shape) == ("openpose", (2, 1, 17, 3))


def test_a_frame_of_openpose_that_ends_early_is_named(tmp_path: Path) -> None:
    for t in range(3):
        (tmp_path / f"{t}.json").write_text(json.dumps(frame_of([FLAT]))[: 50 if t == 0 else None])
    with pytest.raises(ValueError, match=r"0\.json: line 1, column \d+: no JSON"):
        one(tmp_path)


def test_blank_lines_and_names_of_classes_are_no_persons_of_yolo(tmp_path: Path) -> None:
    line = "0 0.5 0.5 0.2 0.3 " + " ".join(["0.4 0.6 0.9"] * 17)
    (tmp_path / "classes.txt").write_text("person\n")
    (tmp_path / "v_1.txt").write_bytes(f"{line}\r\n\r\n".encode())
    (tmp_path / "v_2.txt").write_text(f"{line}\n")
    recording = one(tmp_path)
    assert (recording.format, recording.joints.shape) == ("yolo-txt", (2, 1, 17, 3))


def test_joints_of_an_azure_kinect_become_those_of_another(tmp_path: Path) -> None:
    """As its `offline_processor` writes them, in millimetres."""
    names = [name.upper().replace(" ", "_") for name in azure_kinect.SKELETON.joints]
    joints = (moves(3, 32, 3) * 900 - 700).tolist()
    bodies = [[], [{"body_id": 7, "joint_orientations": [[1, 0, 0, 0]] * 32, "joint_positions": joints[1]}],
              [{"body_id": 7, "joint_positions": joints[2]}]]  # fmt: skip
    frames = [
        {"frame_id": t, "num_bodies": len(b), "timestamp_usec": 33333 * t, "bodies": b} for t, b in enumerate(bodies)
    ]
    content = {"bone_list": [["PELVIS", "SPINE_NAVEL"]], "frames": frames, "joint_names": names}
    recording = read_content(tmp_path, content)
    assert recording.channels.names == ("x", "y", "z")
    assert recording.identity is not None
    assert recording.identity.tolist() == [[-1], [7], [7]]
    np.testing.assert_allclose(recording.joints[2, 0], joints[2], rtol=1e-6)
    assert fitted(recording, nw_ucla.SKELETON).joints.shape == (3, 1, 20, 3)


def test_yolo_may_write_a_json_file_a_frame(tmp_path: Path) -> None:
    body = moves(17, 2) * 100
    keypoints = {"x": body[:, 0].tolist(), "y": body[:, 1].tolist(), "visible": [0.5] * 17}
    for t in (1, 2, 4):
        person = {"name": "person", "class": 0, "confidence": 0.9, "box": {"x1": 0}, "keypoints": keypoints}
        (tmp_path / f"walk_{t}.json").write_text(json.dumps([person]))
    recording = one(tmp_path)
    assert recording.present[:, 0, 0].tolist() == [True, True, False, True]
    np.testing.assert_allclose(recording.joints[0, 0, :, :2], body, rtol=1e-6)
