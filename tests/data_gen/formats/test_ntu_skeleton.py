"""The reader reads what was written, and answers every broken file with the line."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import random_bodies, skeleton_text

from data_gen.formats import ntu_skeleton
from data_gen.formats.ntu_skeleton import read_skeleton
from data_gen.ntu.convert import convert_file
from data_gen.ntu.steps import plain, preprocessed

NAME = "S001C001P001R001A001.skeleton"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / NAME


@pytest.fixture
def lines(path: Path) -> list[str]:
    """A sound recording: 3 frames, of 1, 0 and 2 bodies; line 1 + ((1 + 27) + 1 + (1 + 54)) = 85 is its last."""
    bodies = np.random.default_rng(0).normal(size=(2, 3, 25, 3))
    bodies[:, 1] = bodies[1, 0] = 0
    lines = skeleton_text(bodies).splitlines()
    assert len(lines) == 85
    return lines


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("seed", range(6))
def test_reads_back_what_was_written(path: Path, seed: int, end: str) -> None:
    rng = np.random.default_rng(seed)
    bodies = random_bodies(rng, int(rng.integers(1, 7)), int(rng.integers(1, 12)))
    path.write_bytes(skeleton_text(bodies, end).encode())
    read = read_skeleton(path)
    assert read.num_frame == bodies.shape[1]
    assert len(read.bodies) <= 4
    np.testing.assert_array_equal(read.bodies, bodies[: len(read.bodies)])
    assert not bodies[len(read.bodies) : 4].any()


def test_a_joint_with_nan_or_at_the_lens_is_missing(path: Path, lines: list[str]) -> None:
    for row, text in ((8, "0.5 NaN 3"), (9, "0 0 0"), (84, "nan nan nan")):
        lines[row] = text + " 4 5 6 7 8 9 10 11 12"
    path.write_text("\n".join(lines))
    bodies = read_skeleton(path).bodies
    lost = [(0, 0, 4), (0, 0, 5), (1, 2, 24)]
    assert [tuple(joint) for joint in np.argwhere(~bodies.any(axis=3)) if bodies[tuple(joint[:2])].any()] == lost


def test_identities_are_numbered_as_they_appear(path: Path, lines: list[str]) -> None:
    for row, number in ((2, "72057594037931101"), (31, "72057594037931102"), (58, "72057594037931101")):
        lines[row] = number + lines[row][lines[row].index(" ") :]
    for blank in (" ", "  "):  # the second form is read line by line
        path.write_text("\n".join(line.replace(" ", blank, 1) for line in lines))
        assert read_skeleton(path).identity.tolist() == [[0, -1, 1], [-1, -1, 0]]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_all_lines_at_once_are_what_line_by_line_gives(seed: int, end: str) -> None:
    rng = np.random.default_rng(seed)
    bodies = random_bodies(rng, 3, 9)
    words = ["0", "-0.0", "5", "1.", "12.5", "-9.87e-05", "0.12345678901234567", "-1.23456789012345", "NaN", "-7.0"]
    text = skeleton_text(np.where(rng.random(bodies.shape) < 0.5, bodies.round(int(rng.integers(2, 9))), bodies), end)
    parts = text.split(" ")
    for place in rng.integers(20, len(parts), 60):
        if "\n" not in parts[place]:
            parts[place] = str(rng.choice(words))
    content = " ".join(parts).encode()
    fast, slow = ntu_skeleton._regular(content), ntu_skeleton._any(content)
    assert fast is not None
    assert (fast.num_frame, fast.identity) == (slow.num_frame, slow.identity)
    for one, other in zip(fast[1:4], slow[1:4], strict=True):
        np.testing.assert_array_equal(one, other)
    assert fast.xyz.tobytes() == slow.xyz.tobytes()


def test_keeps_the_first_frames_but_counts_all(path: Path) -> None:
    bodies = np.random.default_rng(0).normal(size=(1, 9, 25, 3))
    path.write_text(skeleton_text(bodies))
    read = read_skeleton(path, max_body=2, max_frame=5)
    assert read.num_frame == 9
    np.testing.assert_array_equal(read.bodies[0], bodies[0, :5])
    assert read.bodies.shape == (1, 5, 25, 3)


def test_a_file_cut_after_any_line_names_its_last_line(path: Path, lines: list[str]) -> None:
    for length in range(len(lines)):
        path.write_text("\n".join(lines[:length]))
        with pytest.raises(ValueError, match=rf"^line {max(length, 1)}: the file ends"):
            read_skeleton(path)
    path.write_text("\n".join(lines))
    assert read_skeleton(path).num_frame == 3


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        *((line, 0, ("abc", "1.2.3", "0,5", "\xff")) for line in (4, 30, 60)),
        *((line, column, ("abc", "1.2.3", "1e", "0,5", "\xff")) for line in (5, 6, 85) for column in (0, 2)),
        # numbers that are not read only have to look like some
        *((line, column, ("abc", "0,5", "\xff", "0x1", "1_0")) for line in (3, 5, 85) for column in (3, -1)),
    ],
)
def test_a_word_among_numbers_is_named(
    path: Path, lines: list[str], line: int, column: int, words: tuple[str, ...]
) -> None:
    for word in words:
        broken, tokens = list(lines), lines[line - 1].split()
        tokens[column] = word
        broken[line - 1] = " ".join(tokens)
        path.write_text("\n".join(broken), encoding="latin-1")
        with pytest.raises(ValueError, match=rf"^line {line}: ") as error:
            read_skeleton(path)
        assert ascii(word) in str(error.value)


@pytest.mark.parametrize(
    ("line", "text", "read"),
    [
        (5, "1 2  3 4 5 6 7 8 9 10 11 12", [1, 2, 3]),
        (85, " 1\t2 3 4 5 6 7 8 9 10 11 12 ", [1, 2, 3]),
        (29, "1e-3 +2. -.5 4 5 6 7 8 9 10 NaN -inf", [0.001, 2, -0.5]),
    ],
)
def test_numbers_may_be_spaced_and_written_otherwise(
    path: Path, lines: list[str], line: int, text: str, read: list[float]
) -> None:
    lines[line - 1] = text
    path.write_text("\n".join(lines))
    assert read in read_skeleton(path).bodies.reshape(-1, 3).tolist()


@pytest.mark.parametrize("text", ["1 2 3 4 5  7 8 9 10 11 12", "1 2 3 4 5 6 7 8 9 10 11 ", " 2 3 4 5 6 7 8 9 10 11 12"])
def test_a_missing_number_is_noticed_where_its_blank_is_left(path: Path, lines: list[str], text: str) -> None:
    lines[4] = text
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"line 5: 12 numbers expected, found 11"):
        read_skeleton(path)


@pytest.mark.parametrize(
    ("line", "text", "problem"),
    [
        (1, "4", "line 85: the file ends where the number of bodies of frame 4 of 4 should follow"),
        (1, "2", "line 31: the file goes on after the last of its 2 frames"),
        (1, "3.5", "line 1: the number of frames expected, found '3.5'"),
        (1, "-3", "line 1: the number of frames expected, found '-3'"),
        (2, "99999999999999999999", "line 2: the number of bodies of frame 1 of 3 expected"),
        (2, "2", "line 31: 25 joints expected, found 2"),
        (3, "1 2 3", "line 3: 10 numbers expected, found 3"),
        (4, "24", "line 4: 25 joints expected, found 24"),
        (5, "", "line 5: 12 numbers expected, found 0"),
        (9, "1 2 3 4 5 6 7 8 9 10 11", "line 9: 12 numbers expected, found 11"),
        (85, "1 2 inf 4 5 6 7 8 9 10 11 12", "line 85: x y z .1.0, 2.0, inf. is no position"),
        (85, "1 1e300 3 4 5 6 7 8 9 10 11 12", "line 85: x y z .1.0, 1e.300, 3.0. is no position"),
    ],
)
def test_every_kind_of_fault_is_named(path: Path, lines: list[str], line: int, text: str, problem: str) -> None:
    lines[line - 1] = text
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=f"^{problem}"):
        read_skeleton(path)


def test_a_number_that_slipped_to_the_next_line_is_noticed(path: Path, lines: list[str]) -> None:
    *lines[9], slipped = lines[9].split()
    lines[9], lines[10] = " ".join(lines[9]), f"{slipped} {lines[10]}"
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"line 10: 12 numbers expected, found 11"):
        read_skeleton(path)


def test_a_file_of_absurd_size_is_not_even_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ntu_skeleton, "_MAX_BYTES", 1 << 20)
    path.write_bytes(b"0\n" * (1 << 20))
    with pytest.raises(ValueError, match="no recording is larger than 1 MB"):
        read_skeleton(path)


NASTY = [
    "",
    "nan",
    "inf",
    "1e400",
    "-1e39",
    "1e-50",
    "9" * 30,
    "1e5",
    "0x1",
    "1_0",
    "-",
    "--1",
    "0,5",
    "\x00",
    "\xa0",
    '"',
    "#",
]


def _garbled(draw: st.DrawFn, sound: list[str]) -> bytes:
    """The recording with a few words changed, lines moved, bytes lost, or written otherwise."""
    lines = [line.split(" ") for line in sound]
    for _ in range(draw(st.integers(0, 3))):
        line = draw(st.sampled_from(lines[:6] + lines[-3:]))
        line[draw(st.integers(0, len(line) - 1))] = draw(st.sampled_from(NASTY) | st.text(max_size=3))
    if draw(st.booleans()):
        start, length = draw(st.integers(0, 84)), draw(st.integers(0, 30))
        lines[start : start + length] = draw(st.sampled_from([[], lines[:5], lines[start : start + length][::-1]]))
    text = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n", " \n"])).join(map(" ".join, lines))
    content = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-16", "utf-8-sig", "utf-32-be"])), "replace")
    start = draw(st.integers(0, len(content)))
    return (
        content[:start]
        + draw(st.sampled_from([b"", b"", b"\r", b"\xff\xfe", b"7"]))
        + content[start + draw(st.integers(0, 40)) :]
    )


@pytest.mark.filterwarnings("error")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_happens_to_a_file_it_is_a_sample_or_named(path: Path, lines: list[str], data: st.DataObject) -> None:
    content = data.draw(st.composite(_garbled)(lines) | st.binary(max_size=100))
    path.write_bytes(content)
    problems = []
    for steps in (plain, preprocessed):
        try:
            sample = convert_file(path, steps=steps).x
        except ValueError as error:
            problems.append(str(error))
        else:
            assert np.isfinite(sample).all()
            assert sample.any()
    for problem in problems:
        assert re.match(r"^(line \d+: .|no body in any)", problem)
        assert len(problem) < 200


def test_numbers_beyond_all_bounds_take_no_memory(path: Path) -> None:
    tracemalloc.start()
    for text in ("9" * 30, "1e400", "999999999", "999999999\n0\n0", "1\n999999999\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"^line "):
            read_skeleton(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
