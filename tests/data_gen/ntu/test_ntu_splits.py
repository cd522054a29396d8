"""The benchmarks divide the real sample names as published."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from data_gen.common.command_line import Report
from data_gen.ntu.files import read_ignored
from data_gen.ntu.splits import NTU60, NTU120, Dataset, SampleName, find_names, parse_name


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
    assert not read_ignored(missing, Report()) & set(names)


def test_a_name_says_its_numbers() -> None:
    assert parse_name("S012C003P034R002A056.skeleton") == (12, 3, 34, 2, 56)
    assert parse_name("S012C003P034R002A056") == parse_name("s012c003p034r002a056.SKELETON") == (12, 3, 34, 2, 56)
    assert SampleName(12, 3, 34, 2, 56).file == "S012C003P034R002A056.skeleton"
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
    assert name.file in (text.upper().removesuffix(".SKELETON") + ".skeleton", text)


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
    assert {(12, 3, 34, 2, 56), (12, 3, 34, 2, 57)} <= read_ignored(listed, Report())
    listed.write_bytes((bom + name + end).decode("utf-8").encode("utf-16"))
    with pytest.raises(ValueError, match="no line of it names a sample"):
        read_ignored(listed, Report())


def test_a_line_may_name_samples_in_any_clear_form(tmp_path: Path) -> None:
    listed, report = tmp_path / "missing.txt", Report()
    forms = [
        "{}",
        '"{}"',
        "ntu/{}.skeleton",
        "{}.skeleton.npy",
        "  [{}],",
        "C:\\raw\\{}.skeleton;1",
        "{}_rgb.avi",
        "'{}',",
    ]
    names = [f"S001C001P001R001A{number:03}" for number in range(len(forms))]
    lines = [form.format(name) for form, name in zip(forms, names, strict=True)]
    strange = ["Missing skeletons:", "S001C001P001R001A1", "xS001C001P001R001A099", "S001C001P001R001A0990"]
    listed.write_text("\n".join([*strange, *lines, "", "s001c001p001r001a050, S001C001P001R001A051"]))
    assert read_ignored(listed, report) == {(1, 1, 1, 1, action) for action in (*range(len(forms)), 50, 51)}
    shown = "1: 'Missing skeletons:', 2: 'S001C001P001R001A1', 3: 'xS001C001P001R001A099' and 1 more"
    assert report.notes == [f"{listed}: 4 lines without a sample's name left out ({shown})"]
    assert find_names("S001C001P001R001A0") == []


def test_actions_of_another_release_have_no_label() -> None:
    assert NTU60.label(parse_name("S001C001P001R001A060")) == 59
    for name in ("S018C001P001R001A061", "S018C001P001R001A000"):
        with pytest.raises(ValueError, match=r"^A0.*: NTU RGB\+D 60 has the actions A001 to A060$"):
            NTU60.label(parse_name(name))
