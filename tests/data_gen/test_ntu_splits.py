"""The benchmarks divide the real sample names as published."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_gen.ntu.convert import read_ignored
from data_gen.ntu.splits import NTU60, NTU120, Dataset, parse_name


@pytest.mark.parametrize(
    ("dataset", "folder", "counts"),
    [
        (NTU60, "ntu60", {"xsub": (40_091, 16_487), "xview": (37_646, 18_932)}),
        (NTU120, "ntu120", {"xsub": (63_026, 50_919), "xset": (54_468, 59_477)}),
    ],
)
def test_counts_are_the_published_ones(
    samples: Path, dataset: Dataset, folder: str, counts: dict[str, tuple[int, int]]
) -> None:
    statistics = samples / "ntu_statistics" / folder
    names = [parse_name(name) for name in (statistics / "skes_available_name.txt").read_text().split()]
    for benchmark, (train, val) in counts.items():
        split = dataset.benchmarks[benchmark]
        assert Counter(map(split.part, names)) == {"train": train, "val": val}
    assert {dataset.label(name) for name in names} == set(range(dataset.num_class))
    (missing,) = statistics.glob("*missing_skeletons.txt")
    assert not read_ignored(missing) & set(names)


def test_a_name_says_its_numbers() -> None:
    assert parse_name("S012C003P034R002A056.skeleton") == (12, 3, 34, 2, 56)
    assert parse_name("S012C003P034R002A056") == (12, 3, 34, 2, 56)
    for wrong in (
        "S1C1P1R1A1",
        "._S012C003P034R002A056.skeleton",
        "S012C003P034R002A056.skeleton.bak",
        "S٠١٢C003P034R002A056",
    ):
        with pytest.raises(ValueError, match="no NTU sample name"):
            parse_name(wrong)


@given(st.text() | st.from_regex(r"\AS\w{3}C\d{3}P\d{2,4}R\d{3}A\d{3}(\.skeleton)?\n?\Z"))
@example("S001C001P001R001A001\n")
@example("S001C001P001R001A001.SKELETON")
def test_whatever_is_no_name_is_refused(text: str) -> None:
    try:
        name = parse_name(text)
    except ValueError:
        return
    assert text.removesuffix(".skeleton") == "S{:03}C{:03}P{:03}R{:03}A{:03}".format(*name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.binary(max_size=40),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    bom=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_a_list_to_leave_out_is_understood_or_refused(tmp_path: Path, before: bytes, end: bytes, bom: bytes) -> None:
    listed = tmp_path / "missing.txt"
    name = b"S012C003P034R002A056"
    listed.write_bytes(bom + name + end + before.replace(name, b"") + end + b" " + name[:-1] + b"7.skeleton " + end)
    assert {(12, 3, 34, 2, 56), (12, 3, 34, 2, 57)} <= read_ignored(listed)
    listed.write_bytes((bom + name + end).decode("utf-8").encode("utf-16"))
    with pytest.raises(ValueError, match="no line of it is a sample name"):
        read_ignored(listed)


def test_actions_of_another_release_have_no_label() -> None:
    assert NTU60.label(parse_name("S001C001P001R001A060")) == 59
    for name in ("S018C001P001R001A061", "S018C001P001R001A000"):
        with pytest.raises(ValueError, match=r"^A0.*: NTU RGB\+D 60 has the actions A001 to A060$"):
            NTU60.label(parse_name(name))
