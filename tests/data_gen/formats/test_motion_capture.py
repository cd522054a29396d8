"""C3D as its programs write it: units, markers that were not seen, the frame rate, names; needs the extra `formats`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import moves, one

from data_gen.formats.recording import fitted
from graph.tools import Skeleton

ezc3d: Any = pytest.importorskip("ezc3d", reason="pip install ezc3d")
NAMES = ["LFHD", "Hips", "C7", "RKNE"]
POINTS = moves(5, 4, 3) * 900  # (T, V, C)


def write(path: Path, points: np.ndarray, names: list[str], unit: str = "mm", hidden: tuple[int, ...] = ()) -> None:
    """A file with forces beside the points; marker 1 of the `hidden` frames has a residual of -1."""
    content = ezc3d.c3d()
    T, V, _ = points.shape
    point, analog = content["parameters"]["POINT"], content["parameters"]["ANALOG"]
    point["RATE"]["value"], point["LABELS"]["value"], point["UNITS"]["value"] = [120.0], names, [unit]
    analog["RATE"]["value"], analog["LABELS"]["value"] = [1200.0], ["Force.Fx", "Force.Fy"]
    residuals = np.zeros((1, V, T))
    residuals[0, 1, list(hidden)] = -1
    content["data"]["points"] = np.concatenate([points.transpose(2, 1, 0), np.ones((1, V, T))])
    content["data"]["meta_points"]["residuals"] = residuals
    content["data"]["analogs"] = np.ones((1, 2, 10 * T))
    content.write(str(path))


@pytest.mark.parametrize(
    ("unit", "told"), [("mm", "millimetres"), ("m", "metres"), ("MM", "millimetres"), ("in", "unknown")]
)
def test_markers_have_names_a_unit_and_a_rate(tmp_path: Path, unit: str, told: str) -> None:
    write(tmp_path / "walk.c3d", POINTS, [f"Anna:{name}" for name in NAMES], unit)
    recording = one(tmp_path / "walk.c3d")
    assert recording.format == "c3d"
    np.testing.assert_array_equal(recording.joints[:, 0], np.float32(POINTS))
    assert recording.present.all()
    assert (recording.channels.unit, recording.frame_rate) == (told, 120)
    assert recording.skeleton is not None
    assert recording.skeleton.joints == tuple(NAMES)


def test_a_marker_that_was_not_seen_is_missing(tmp_path: Path) -> None:
    points = POINTS.copy()
    points[3, 2] = np.nan
    points[1, 1] = 0  # as programs write those whose residual is negative
    write(tmp_path / "walk.c3d", points, NAMES, hidden=(1, 4))
    recording = one(tmp_path / "walk.c3d")
    assert np.argwhere(~recording.present).tolist() == [[1, 0, 1], [3, 0, 2], [4, 0, 1]]
    assert not recording.joints[~recording.present].any()


def test_markers_are_found_by_their_names(tmp_path: Path) -> None:
    write(tmp_path / "walk.c3d", POINTS, NAMES)
    some = Skeleton("some", ("c7", "hips"), (0, 0))
    recording = one(tmp_path / "walk.c3d", skeleton=some)
    np.testing.assert_array_equal(fitted(recording, some).joints[:, 0], np.float32(POINTS[:, [2, 1]]))
    turned = Skeleton("turned", tuple(NAMES[::-1]), (0,) * 4)
    np.testing.assert_array_equal(fitted(one(tmp_path / "walk.c3d"), turned).joints[:, 0], np.float32(POINTS[:, ::-1]))
    with pytest.raises(ValueError, match="'T10' of the skeleton is not there"):
        one(tmp_path / "walk.c3d", skeleton=Skeleton("other", ("C7", "T10"), (0, 0)))


def test_names_of_more_than_255_markers_are_in_two_lists(tmp_path: Path) -> None:
    points = moves(2, 260, 3)
    write(tmp_path / "face.c3d", points, [f"M{v}" for v in range(260)])
    last = Skeleton("last", ("M259", "M3"), (0, 0))
    np.testing.assert_array_equal(
        one(tmp_path / "face.c3d", skeleton=last).joints[:, 0], np.float32(points[:, [259, 3]])
    )


def test_a_file_that_ends_early_is_named(tmp_path: Path) -> None:
    write(tmp_path / "walk.c3d", POINTS, NAMES)
    content = (tmp_path / "walk.c3d").read_bytes()
    (tmp_path / "half.c3d").write_bytes(content[:1100])
    with pytest.raises(ValueError, match="it is no complete C3D file"):
        one(tmp_path / "half.c3d")
    write(tmp_path / "walk.c3d", np.repeat(POINTS, 20, axis=0), NAMES)
    content = (tmp_path / "walk.c3d").read_bytes()
    (tmp_path / "half.c3d").write_bytes(content[:12_288])
    with pytest.raises(ValueError, match=r"it is no complete C3D file: its .. frames are fewer than its header counts"):
        one(tmp_path / "half.c3d")
