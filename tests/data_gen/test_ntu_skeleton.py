"""The parser reads what was written, and answers every broken file with its name and line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import random_bodies, skeleton_text

from data_gen import ntu_skeleton
from data_gen.ntu_skeleton import BrokenFileError, read_skeleton

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
    expected = np.zeros((4, *bodies.shape[1:]))
    expected[: len(bodies)] = bodies[:4]
    assert read.num_frame == bodies.shape[1]
    np.testing.assert_array_equal(read.bodies, expected)


def test_keeps_the_first_frames_but_counts_all(path: Path) -> None:
    bodies = np.random.default_rng(0).normal(size=(1, 9, 25, 3))
    path.write_text(skeleton_text(bodies))
    read = read_skeleton(path, max_body=2, max_frame=5)
    assert read.num_frame == 9
    np.testing.assert_array_equal(read.bodies[0], bodies[0, :5])
    assert read.bodies.shape == (2, 5, 25, 3)


def test_a_file_cut_after_any_line_names_its_last_line(path: Path, lines: list[str]) -> None:
    for length in range(len(lines)):
        path.write_text("\n".join(lines[:length]))
        with pytest.raises(BrokenFileError, match=rf"^{NAME}, line {max(length, 1)}: the file ends"):
            read_skeleton(path)
    path.write_text("\n".join(lines))
    assert read_skeleton(path).num_frame == 3


@pytest.mark.parametrize("line", [4, 5, 6, 30, 60, 85])
def test_a_word_among_numbers_is_named(path: Path, lines: list[str], line: int) -> None:
    for word in ("abc", "1.2.3", "0,5", "\xff"):
        broken = list(lines)
        broken[line - 1] = " ".join([*lines[line - 1].split()[:-1], word])
        path.write_text("\n".join(broken), encoding="latin-1")
        with pytest.raises(BrokenFileError, match=rf"^{NAME}, line {line}: ") as error:
            read_skeleton(path)
        assert ascii(word) in str(error.value)


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
        (5, "", "line 5: the line is empty"),
        (9, "1 2 3 4 5 6 7 8 9 10 11", "line 9: 12 numbers expected, found 11"),
        (9, "nan 2 3 4 5 6 7 8 9 10 11 12", "line 9: x y z .nan, 2.0, 3.0. is no position"),
        (85, "1 2 inf 4 5 6 7 8 9 10 11 12", "line 85: x y z .1.0, 2.0, inf. is no position"),
        (85, "1 1e300 3 4 5 6 7 8 9 10 11 12", "line 85: x y z .1.0, 1e.300, 3.0. is no position"),
    ],
)
def test_every_kind_of_fault_is_named(path: Path, lines: list[str], line: int, text: str, problem: str) -> None:
    lines[line - 1] = text
    path.write_text("\n".join(lines))
    with pytest.raises(BrokenFileError, match=f"^{NAME}, {problem}"):
        read_skeleton(path)


def test_a_number_that_slipped_to_the_next_line_is_noticed(path: Path, lines: list[str]) -> None:
    *lines[9], slipped = lines[9].split()
    lines[9], lines[10] = " ".join(lines[9]), f"{slipped} {lines[10]}"
    path.write_text("\n".join(lines))
    with pytest.raises(BrokenFileError, match=r"line 10: 12 numbers expected, found 11"):
        read_skeleton(path)


def test_a_file_of_absurd_size_is_not_even_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ntu_skeleton, "_MAX_BYTES", 1 << 20)
    path.write_bytes(b"0\n" * (1 << 20))
    with pytest.raises(BrokenFileError, match="no recording is larger than 1 MB"):
        read_skeleton(path)


@pytest.mark.filterwarnings("error")
def test_whatever_happens_to_a_file_it_is_read_or_named(path: Path, lines: list[str]) -> None:
    rng = np.random.default_rng(1)
    sound = "\n".join(lines).encode()
    insertions = [
        b" ",
        b"\n",
        b"\r",
        b"\0",
        b"\x85",
        b"\xa0",
        b"1_0",
        b"nan",
        b"-",
        b'"',
        b"#",
        b"1e400",
        b"\x1c",
        b"0x1",
    ]
    num_broken = 0
    for _ in range(400):
        data, at = bytearray(sound), int(rng.integers(len(sound)))
        match rng.integers(4):
            case 0:
                data[at] = rng.integers(256)
            case 1:
                del data[at : at + rng.integers(1, 40)]
            case 2:
                data[at:at] = insertions[rng.integers(len(insertions))]
            case _:
                del data[at:]
        path.write_bytes(data)
        problem = ""
        try:
            bodies = read_skeleton(path).bodies
        except BrokenFileError as error:
            problem = str(error)
            num_broken += 1
        assert problem.startswith(f"{NAME}, line ") or np.isfinite(bodies).all()
    assert num_broken > 100
