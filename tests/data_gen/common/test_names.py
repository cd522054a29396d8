"""Names are matched as people write them, never by a guess; links are followed once."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from data_gen.common.names import files_below, match


@pytest.mark.parametrize(
    ("listed", "on_disk", "how"),
    [
        ("s01/walk.csv", "s01/walk.csv", None),
        ("Müller.npy", unicodedata.normalize("NFD", "Müller.npy"), "Unicode form"),
        (unicodedata.normalize("NFD", "Müller.npy"), "Müller.npy", "Unicode form"),
        ("./s01\\walk.csv", "s01/walk.csv", "Unicode form"),
        ("Walk.CSV", "walk.csv", "letter case"),
        ("walk", "walk.csv", "suffix"),
        ("walk.avi", "walk.csv", "suffix"),
        ("walk.v2", "walk.v2.json", "suffix"),
        ("S001C001P001R001A001", "S001C001P001R001A001.skeleton", "suffix"),
        ("data/s01/walk.csv", "s01/walk.csv", "leading folder"),
        ("walk.csv", "s01/walk.csv", "leading folder"),
        ("/home/me/Walk.avi", "walk.csv", "leading folder and suffix"),
    ],
)
def test_a_name_that_differs_is_the_same(listed: str, on_disk: str, how: str | None) -> None:
    pairs = match([listed], ["other.csv", on_disk])
    assert pairs.paired == {listed: on_disk}
    assert pairs.differs == ({listed: how} if how else {})
    assert pairs.problems == {}


@pytest.mark.parametrize(
    ("listed", "on_disk", "problem"),
    [
        ("walk", ["walk.csv", "walk.npy"], "walk.csv and walk.npy differ from it in suffix alone; name one"),
        ("WALK.csv", ["Walk.csv", "walk.csv"], "Walk.csv and walk.csv differ from it in letter case alone; name one"),
        ("walk.csv", ["a/walk.csv", "b/walk.csv"], "differ from it in leading folder alone; name one"),
        ("a/walk.csv", ["b/walk.csv"], "b/walk.csv lies in another folder"),
        ("wlak.csv", ["walk.csv"], "the nearest is 'walk.csv'"),
        ("jump.csv", ["walk.npy"], ""),
    ],
)
def test_what_is_not_clear_is_no_match(listed: str, on_disk: list[str], problem: str) -> None:
    pairs = match([listed], on_disk)
    assert pairs.paired == {}
    assert problem in pairs.problems[listed]


def test_nothing_is_matched_twice() -> None:
    pairs = match(["walk", "walk.csv"], ["walk.csv"])
    assert pairs.paired == {"walk.csv": "walk.csv"}
    assert pairs.problems == {"walk": "walk.csv is named by another line already"}


@pytest.mark.parametrize("listed", [["s01/walk.npy", "s02/walk.npy"], ["walk.mp4", "walk.avi"]])
def test_two_names_for_one_file_are_both_refused(listed: list[str]) -> None:
    pairs = match(listed, ["walk.npy"])
    assert pairs.paired == {}
    assert pairs.problems == dict.fromkeys(listed, f"{' and '.join(listed)} could all be walk.npy; give its own name")


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    for name in ("elsewhere/b.csv", "data/a.csv", "data/.hidden", "data/.git/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "elsewhere")
    assert list(files_below(tmp_path / "data")) == ["a.csv", "again/b.csv", "linked/b.csv"]
