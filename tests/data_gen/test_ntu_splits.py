"""The benchmarks divide the real sample names as published."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from data_gen.ntu_convert import read_ignored
from data_gen.ntu_splits import NTU60, NTU120, Dataset, parse_name


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


def test_actions_of_another_release_have_no_label() -> None:
    assert NTU60.label(parse_name("S001C001P001R001A060")) == 59
    for name in ("S018C001P001R001A061", "S018C001P001R001A000"):
        with pytest.raises(ValueError, match=r"^A0.*: NTU RGB\+D 60 has the actions A001 to A060$"):
            NTU60.label(parse_name(name))
