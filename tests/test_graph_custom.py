"""A described skeleton is the one that was meant, and a wrong description is told everything that is wrong with it."""

from __future__ import annotations

import itertools
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeders.arrays import SKELETON as BESIDE_DATA
from feeders.arrays import skeleton_of_array
from graph.custom import Graph, load_skeleton
from graph.tools import Skeleton
from model.st_tr import Model

EXAMPLE = Path(__file__).resolve().parents[1] / "config" / "custom" / "_skeleton.yaml"
SOUND = {"name": "arm", "joints": ["neck", "shoulder", "elbow", "hand"], "bones": [[0, 1], [1, 2], [2, 3]], "center": 0}
FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(folder: Path, content: Any, name: str = "skeleton.yaml") -> Path:
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["ntu_rgb_d", "nw_ucla", "kinetics", "coco", "sbu"])
def test_a_description_of_a_known_skeleton_gives_the_same(tmp_path: Path, name: str) -> None:
    known: Skeleton = import_module(f"graph.{name}").SKELETON
    joints = list(known.joints)
    bones = [[joints[child], joints[parent]] for child, parent in enumerate(known.parents) if child != parent]
    (center,) = (joint for joint, parent in zip(joints, known.parents, strict=True) if joints[parent] == joint)
    path = write(tmp_path, {"name": known.name, "joints": joints, "bones": bones, "center": center})
    skeleton = load_skeleton(path)
    assert skeleton == Skeleton(known.name, known.joints, known.parents)
    assert skeleton.partners == known.partners
    if known.graph_parents is None:
        np.testing.assert_array_equal(
            Graph(str(path), "distance").A, import_module(f"graph.{name}").Graph("distance").A
        )


@settings(FUZZ, max_examples=30)
@given(st.data())
def test_bones_point_to_the_center_by_the_shortest_way(tmp_path: Path, data: st.DataObject) -> None:
    num_point = data.draw(st.integers(1, 12))
    tree = [(joint, data.draw(st.integers(0, joint - 1))) for joint in range(1, num_point)]
    place = data.draw(st.permutations(range(num_point)))
    bones = [tuple(data.draw(st.permutations([place[a], place[b]]))) for a, b in data.draw(st.permutations(tree))]
    center = data.draw(st.integers(0, num_point - 1))
    joints = [f"joint {number}" for number in range(num_point)]
    written = [[data.draw(st.sampled_from([joints[end], end])) for end in bone] for bone in bones]
    path = write(tmp_path, {"name": "tree", "joints": joints, "bones": written, "center": joints[center]})
    parents = load_skeleton(path).parents
    steps = np.full((num_point, num_point), 99)
    np.fill_diagonal(steps, 0)
    for a, b in bones:
        steps[a, b] = steps[b, a] = 1
    for k, i, j in itertools.product(range(num_point), repeat=3):
        steps[i, j] = min(steps[i, j], steps[i, k] + steps[k, j])
    assert parents[center] == center
    for joint, parent in enumerate(parents):
        if joint != center:
            assert steps[joint, parent] == 1
            assert steps[parent, center] == steps[joint, center] - 1


def test_names_come_before_numbers_and_are_text_as_written(tmp_path: Path) -> None:
    path = write(tmp_path, "name: 1.0\njoints: [1, 0, on, 3]\nbones: [[1, 0], [0, on], [on, 3]]\ncenter: 1\n")
    assert load_skeleton(path) == Skeleton("1.0", ("1", "0", "on", "3"), (0, 0, 1, 2))


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "nam: x\njoints: [a, b, c, c, left hip]\nbones:\n- [a, b]\n- [b, a]\n- [b, c]\n- [a, c]\n- [a, a]\n"
        "- [a, Left hop]\n- [1, 9]\n- [a]\n- b\ncenter: ''\n",
    )
    with pytest.raises(ValueError, match="describes no skeleton") as error:
        load_skeleton(path)
    assert str(error.value).splitlines() == [
        f"{path} describes no skeleton:",
        "  line 1: unknown key 'nam' (did you mean 'name'?)",
        "  the key name is missing",
        "  line 13: center must be text",
        "  line 2: joints: 'c' is listed on line 2 already",
        "  line 5: bones: [b, a] joins what a bone on line 4 joins already",
        "  line 8: bones: [a, a] joins a joint to itself",
        "  line 9: there is no joint 'Left hop' (did you mean 'left hip'?)",
        "  line 10: there is no joint 9; 4 joints count from 0 to 3",
        "  line 11: a bone must be a pair of joints, such as [neck, head]",
        "  line 12: a bone must be a pair of joints, such as [neck, head]",
        "  line 6: bones: [b, c] closes a circle; leave out one of the circle's bones",
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bones": [[0, 1], [2, 3]]}, "none joins these to the centre '0': 'elbow', 'hand'"),
        ({"bones": []}, "none joins these to the centre '0': 'shoulder', 'elbow', 'hand'"),
        ({"bones": [[0, 1], [1, 2], [2, 3], [3, 0]]}, r"\[2, 3\] closes a circle"),
        ({"bones": [[0, 1], [2, 3], [3, 2]]}, r"\[3, 2\] joins what a bone on line \d+ joins already"),
        ({"bones": [["neck", "sholder"]]}, r"no joint 'sholder' \(did you mean 'shoulder'\?\)"),
        ({"bones": [[0, -1]]}, "there is no joint '-1'$"),
        ({"bones": [[0, "9" * 5000]]}, "there is no joint '999"),
        ({"bones": {"neck": "hand"}}, "bones must be a list"),
        ({"bones": [[[0], 1]]}, "a bone must be a pair of joints"),
        ({"joints": "neck"}, "joints must be a list"),
        ({"joints": []}, "joints: there are none"),
        ({"joints": ["neck", ["hand"]]}, "a joint's name must be text"),
        ({"joints": ["neck", ""]}, "a joint's name must be text"),
        ({"center": "head"}, r"line \d+: there is no joint 'head' \(did you mean 'hand'\?\)"),
        ({"center": 4}, "there is no joint 4; 4 joints count from 0 to 3"),
        ({"center": ["neck"]}, "center must be text"),
        ({"name": None, "center": {}}, "center must be text"),
        ({"graph": "neck"}, "unknown key 'graph'$"),
    ],
)
def test_every_kind_of_mistake_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    content = {**SOUND, **change}
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=problem) as error:
        load_skeleton(path)
    assert str(error.value).startswith(f"{path} describes no skeleton:\n  line ")


@pytest.mark.parametrize("key", SOUND)
def test_missing_and_double_keys_are_named(tmp_path: Path, key: str) -> None:
    without = {other: value for other, value in SOUND.items() if other != key}
    with pytest.raises(ValueError, match=f"the key {key} is missing"):
        load_skeleton(write(tmp_path, without))
    with pytest.raises(ValueError, match=rf"line \d+: the key {key} is given twice"):
        load_skeleton(write(tmp_path, yaml.safe_dump(SOUND) + yaml.safe_dump({key: SOUND[key]})))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "`key: value` are expected, with the keys name, joints, bones, center"),
        (b"- neck\n- hand\n", "`key: value` are expected"),
        (b"name: [\n", ", line 2: not valid YAML"),
        (b"name: a\n---\nname: b\n", ", line 2: not valid YAML: but found another document"),
        (b"name: a\n\xff\n", "yaml, line 2: not text in UTF-8; save it in this encoding"),
        (b"name: \0\n", "not valid YAML"),
        (b'name: "\\UFFFFFFFF"\n', "not valid YAML"),
        (b"[" * 100_000, "not valid YAML"),
        (b" " * (1 << 20) + b" ", ": longer than 1 MB"),
    ],
)
def test_what_is_no_yaml_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=problem) as error:
        load_skeleton(path)
    assert str(error.value).startswith(str(path))
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml: there is no such skeleton file"):
        load_skeleton(tmp_path / "absent.yaml")


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    tag = f"!!python/object/apply:pathlib.Path.touch [{ran.as_posix()}]"
    path = write(tmp_path, yaml.safe_dump(SOUND).replace("name: arm", f"name: {tag}"))
    with pytest.raises(ValueError, match="name must be text"):
        load_skeleton(path)
    assert not ran.exists()


def _check(path: Path) -> bool:
    """Whether the file describes a skeleton; it does, and a sound one, or it is refused by its name."""
    problem = ""
    try:
        skeleton = load_skeleton(path)
    except ValueError as error:
        problem = str(error)
    if problem:
        assert problem.startswith(str(path))
        return False
    assert len(skeleton.parents) == len(set(skeleton.joints)) == skeleton.num_point > 0
    joints = np.arange(skeleton.num_point)
    for _ in skeleton.joints:
        joints = np.array(skeleton.parents)[joints]
    assert len(set(joints)) == 1  # all come to the centre
    return True


@FUZZ
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_whatever_a_file_holds_is_refused(tmp_path: Path, content: bytes) -> None:
    assert not _check(write(tmp_path, content))


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists)


@FUZZ
@given(st.dictionaries(st.sampled_from(list(SOUND)), VALUES | st.lists(st.lists(st.integers(0, 4), max_size=3))))
def test_whatever_the_values_are_they_are_read_or_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    _check(write(tmp_path, {**SOUND, **change}))


@FUZZ
@given(st.integers(0), st.integers(0, 30), st.binary(max_size=3))
def test_a_file_that_was_damaged_is_read_or_refused(tmp_path: Path, at: int, size: int, put: bytes) -> None:
    content = EXAMPLE.read_bytes()
    at %= len(content)
    _check(write(tmp_path, content[:at] + put + content[at + size :]))


def test_the_skeleton_of_an_array_lies_beside_it(tmp_path: Path) -> None:
    array = tmp_path / "train_data_joint.npy"
    assert skeleton_of_array(array, 20).name == "NW-UCLA"
    path = write(tmp_path, SOUND, BESIDE_DATA)
    assert skeleton_of_array(str(array), 4) == load_skeleton(path)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))} has 4 joints, .*train_data_joint.npy 20"):
        skeleton_of_array(array, 20)
    write(tmp_path, "name: x", BESIDE_DATA)
    with pytest.raises(ValueError, match="the key joints is missing"):
        skeleton_of_array(array, 4)


def test_a_model_takes_the_graph_or_says_why_not(tmp_path: Path) -> None:
    args = {
        "num_class": 3,
        "window_size": 8,
        "num_person": 1,
        "channels": [8, 8, 8],
        "Nh": 2,
        "graph": "graph.custom.Graph",
    }
    Model(**args, num_point=20, graph_args={"path": str(EXAMPLE), "labeling_mode": "spatial"})
    with pytest.raises(ValueError, match=r"graph graph\.custom\.Graph has 20 joints, num_point is 25"):
        Model(**args, num_point=25, graph_args={"path": str(EXAMPLE)})
    with pytest.raises(ValueError, match="labeling_mode: 'spatail' is none of"):
        Graph(EXAMPLE, "spatail")
