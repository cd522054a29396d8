"""Graphs equal the published ones, and skeletons are trees."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from graph import MODULES, adjacency, fitting_graph, graph_of, skeleton_of
from graph.nw_ucla import Graph
from graph.tools import LABELING_MODES, Skeleton
from graph.volleyball import AdjMatrixGraph

SKELETONS = ("ntu_rgb_d", "kinetics", "nw_ucla", "coco", "sbu", "mediapipe", "azure_kinect")
ALL = (*SKELETONS, "openpose")
BONES = {  # as published, (joint, parent): NTU RGB+D and NW-UCLA from 1, the others from 0
    "ntu_rgb_d": "1-2 2-21 3-21 4-3 5-21 6-5 7-6 8-7 9-21 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 19-18 "
    "20-19 22-23 21-21 23-8 24-25 25-12",
    "nw_ucla": "1-2 2-3 3-3 4-3 5-3 6-5 7-6 8-7 9-3 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 19-18 20-19",
    "kinetics": "0-0 1-0 2-1 3-2 4-3 5-1 6-5 7-6 8-2 9-8 10-9 11-5 12-11 13-12 14-0 15-0 16-14 17-15",
    "coco": "0-0 1-0 2-0 3-1 4-2 5-0 6-0 7-5 8-6 9-7 10-8 11-0 12-0 13-11 14-12 15-13 16-14",
    "openpose": "1-1 8-1 2-1 5-1 3-2 4-3 6-5 7-6 9-8 10-9 11-10 12-8 13-12 14-13 0-1 15-0 17-15 16-0 18-16 19-14 20-19 "
    "21-14 22-11 23-22 24-11",
    "azure_kinect": "0-0 1-0 2-1 3-2 4-2 5-4 6-5 7-6 8-7 9-8 10-7 11-2 12-11 13-12 14-13 15-14 16-15 17-14 18-0 19-18 "
    "20-19 21-20 22-0 23-22 24-23 25-24 26-3 27-26 28-26 29-26 30-26 31-26",
}
EDGES = {
    "ntu_rgb_d": BONES["ntu_rgb_d"].replace(" 21-21", ""),
    "nw_ucla": BONES["nw_ucla"].replace(" 3-3", ""),
    "kinetics": "4-3 3-2 7-6 6-5 13-12 12-11 10-9 9-8 11-5 8-2 5-1 2-1 0-1 15-0 14-0 17-15 16-14",
    "coco": "15-13 13-11 16-14 14-12 11-5 12-6 9-7 7-5 10-8 8-6 5-0 6-0 1-0 3-1 2-0 4-2",
}


@pytest.mark.parametrize("mode", [mode for mode in LABELING_MODES if mode != "spatial*"])
@pytest.mark.parametrize("name", ["ntu_rgb_d", "kinetics"])
def test_partitions_equal_the_published_ones(golden: Path, name: str, mode: str) -> None:
    expected = np.load(golden / "graphs.npz")[f"{name}.{mode}"]
    A = import_module(f"graph.{name}").Graph(mode).A
    assert A.dtype == np.float32
    np.testing.assert_allclose(A, expected.reshape(A.shape), atol=1e-7)


def test_zoom_transformer_s_partitions_are_not_normalised() -> None:
    A = Graph("spatial*").A
    assert set(np.unique(A)) == {0, 1}
    np.testing.assert_array_equal(A > 0, Graph("spatial").A > 0)
    volleyball = AdjMatrixGraph().A
    np.testing.assert_array_equal(volleyball.sum(axis=(1, 2)), [17, 18, 18])
    np.testing.assert_array_equal(volleyball[2], volleyball[1].T)
    assert volleyball[1, 8, 10] == 1  # the wrist is the elbow's child
    with pytest.raises(ValueError, match=r"labeling_mode: 'DAD'; graph\.volleyball\.AdjMatrixGraph has spatial only"):
        AdjMatrixGraph("DAD")


@pytest.mark.parametrize("name", ALL)
def test_every_joint_reaches_the_root(name: str) -> None:
    skeleton = import_module(f"graph.{name}").SKELETON
    assert len(skeleton.parents) == skeleton.num_point
    for joint in range(skeleton.num_point):
        for _ in range(skeleton.num_point):
            joint = skeleton.parents[joint]
        assert skeleton.parents[joint] == joint
    assert len(skeleton.edges) == skeleton.num_point - 1


@pytest.mark.parametrize("name", ALL)
def test_left_and_right_are_bones_of_one_form(name: str) -> None:
    skeleton = import_module(f"graph.{name}").SKELETON
    partners = skeleton.partners
    for joint, partner in enumerate(partners):
        assert partners[partner] == joint
        assert ("left" in skeleton.joints[joint]) == ("right" in skeleton.joints[partner])
        assert skeleton.parents[partner] == partners[skeleton.parents[joint]]
    assert {(partners[child], partners[parent]) for child, parent in skeleton.edges} == set(skeleton.edges)


def pairs(text: str, first: int) -> list[tuple[int, int]]:
    return sorted((int(child) - first, int(parent) - first) for child, parent in (p.split("-") for p in text.split()))


@pytest.mark.parametrize("name", BONES)
def test_bones_are_the_published_ones(name: str) -> None:
    skeleton = import_module(f"graph.{name}").SKELETON
    first = int(name in ("ntu_rgb_d", "nw_ucla"))
    assert list(enumerate(skeleton.parents)) == pairs(BONES[name], first)
    if name in EDGES:
        assert sorted(skeleton.edges) == pairs(EDGES[name], first)


def test_sides_of_a_skeleton_are_where_its_publication_has_them() -> None:
    """The joints of the left of each skeleton, by number."""
    left = {
        "ntu_rgb_d": [4, 5, 6, 7, 12, 13, 14, 15, 21, 22], "nw_ucla": [4, 5, 6, 7, 12, 13, 14, 15],
        "kinetics": [5, 6, 7, 11, 12, 13, 15, 17], "coco": [1, 3, 5, 7, 9, 11, 13, 15],
        "openpose": [5, 6, 7, 12, 13, 14, 16, 18, 19, 20, 21], "sbu": [3, 4, 5, 9, 10, 11],
        "mediapipe": [1, 2, 3, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31],
        "azure_kinect": [4, 5, 6, 7, 8, 9, 10, 18, 19, 20, 21, 28, 29],
    }  # fmt: skip
    for name, joints in left.items():
        skeleton = import_module(f"graph.{name}").SKELETON
        assert [i for i, joint in enumerate(skeleton.joints) if "left" in joint] == joints, name


@pytest.mark.parametrize("name", SKELETONS)
def test_a_skeleton_is_found_by_its_number_of_joints(name: str) -> None:
    module = import_module(f"graph.{name}")
    assert skeleton_of(module.SKELETON.num_point) is module.SKELETON
    assert graph_of(module.SKELETON.num_point) == f"graph.{name}.Graph"


def test_an_unknown_number_of_joints_is_named() -> None:
    with pytest.raises(ValueError, match=r"^21 joints are those of no known skeleton; known are .*17 \(COCO\)"):
        skeleton_of(21)


FAMILIES = pytest.mark.parametrize("family", ["model.st_tr", "model.zit_zot"])


@FAMILIES
@pytest.mark.parametrize("name", SKELETONS)
def test_a_model_without_a_graph_has_that_of_its_joints(family: str, name: str) -> None:
    options = import_module(family).Options(num_point=import_module(f"graph.{name}").SKELETON.num_point)
    assert options.graph == f"graph.{name}.Graph"


@FAMILIES
@pytest.mark.parametrize(("V", "named"), [(V, graph_of(other)) for V in MODULES for other in MODULES if other != V])
def test_where_a_known_graph_of_other_joints_is_named_the_fitting_one_is_taken_with_a_warning(
    family: str, V: int, named: str
) -> None:
    said = rf"{named} has \d+ joints, num_point is {V}: {graph_of(V)} is taken instead"
    with pytest.warns(UserWarning, match=said) as warnings:
        options = import_module(family).Options(num_point=V, graph=named)
    assert options.graph == graph_of(V)
    assert len(warnings) == 1
    assert fitting_graph(options.graph, V) == options.graph  # without a warning, which would be an error here


@FAMILIES
def test_the_warning_points_at_the_line_that_makes_the_model(family: str) -> None:
    with pytest.warns(UserWarning, match=r"graph\.coco\.Graph is taken instead") as warnings:
        model = import_module(family).Model(num_point=17, graph="graph.ntu_rgb_d.Graph")
    assert warnings[0].filename == __file__
    A = adjacency("graph.coco.Graph", {}, 17)
    assert next(x for name, x in model.named_buffers() if name.endswith(".A")).numpy() == pytest.approx(A)


@FAMILIES
def test_a_graph_that_nothing_here_fits_is_refused(family: str, tmp_path: Path) -> None:
    model = import_module(family).Model
    with pytest.raises(ValueError, match=r"num_point: 21 joints are those of no known .*; name the graph of your sk"):
        model(num_point=21)
    with pytest.raises(ValueError, match=r"graph\.ntu_rgb_d\.Graph has 25 joints, num_point is 21; take num_point: 25"):
        model(num_point=21, graph="graph.ntu_rgb_d.Graph")
    (tmp_path / "s.yaml").write_text("name: line\njoints: [a, b]\nbones: [[a, b]]\ncenter: a\n")
    with pytest.raises(ValueError, match=r"graph\.custom\.Graph has 2 joints, num_point is 17; take graph: graph"):
        model(num_point=17, graph="graph.custom.Graph", graph_args={"path": str(tmp_path / "s.yaml")})


@pytest.mark.parametrize("path", ["graph.import_module", "graph.tools.Skeleton", "graph.coco.SKELETON", "none", "a.b"])
def test_what_is_no_graph_is_called_by_nobody(path: str) -> None:
    with pytest.raises(ValueError, match=rf"^model_args: graph: {path} is no graph\.tools\.SkeletonGraph$"):
        adjacency(path, {"name": "antigravity"}, 25)


@FAMILIES
def test_arguments_that_a_graph_does_not_take_are_named(family: str) -> None:
    with pytest.raises(ValueError, match=r"graph_args: {'mode': 1} are not what graph\.coco\.Graph takes \(.*'mode'\)"):
        import_module(family).Model(num_point=17, graph_args={"mode": 1})


def test_unknown_labeling_mode_is_named() -> None:
    with pytest.raises(ValueError, match=r"labeling_mode: 'spatail' is none of uniform, distance\*"):
        import_module("graph.ntu_rgb_d").Graph("spatail")


def test_sides_are_found_in_any_spelling() -> None:
    joints = ("Hips", "LeftHand", "RightHand", "foot_left", "foot_right", "LEFT EYE", "left ear")
    assert Skeleton("s", joints, (0,) * 7).partners == (0, 2, 1, 4, 3, 5, 6)
