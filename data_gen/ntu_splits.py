"""NTU RGB+D sample names, and which of them train and which test.

Sources: Shahroudy et al., *NTU RGB+D*, CVPR 2016, section 3.3 (X-Sub, X-View); Liu et al., *NTU RGB+D 120*,
TPAMI 2019, section 3.4 (X-Sub, X-Set).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})(?:\.skeleton)?", re.ASCII)


class SampleName(NamedTuple):
    """The numbers in `SsssCcccPpppRrrrAaaa`, as written there (they count from 1)."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int


def parse_name(name: str) -> SampleName:
    """The numbers of a sample's name, with or without `.skeleton`.

    Raises:
        ValueError: it is no NTU name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError("no NTU sample name (they read S001C001P001R001A001.skeleton)")
    return SampleName(*map(int, match.groups()))


@dataclass(frozen=True)
class Split:
    """A benchmark: samples whose `field` (of `SampleName`) is in `train` train; the others test."""

    field: str
    train: frozenset[int]

    def part(self, sample: SampleName) -> str:
        """`train` or `val`."""
        return "train" if getattr(sample, self.field) in self.train else "val"


@dataclass(frozen=True)
class Dataset:
    """A release of NTU RGB+D: its number of actions, and its benchmarks by name of their folder."""

    name: str
    num_class: int
    benchmarks: dict[str, Split]

    def label(self, sample: SampleName) -> int:
        """The sample's class, 0-based.

        Raises:
            ValueError: the action is none of this release's.
        """
        if not 1 <= sample.action <= self.num_class:
            raise ValueError(f"A{sample.action:03}: {self.name} has the actions A001 to A{self.num_class:03}")
        return sample.action - 1


_TRAIN_60 = frozenset((1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38))
_TRAIN_120 = _TRAIN_60 | frozenset(
    (45, 46, 47, 49, 50, *range(52, 60), 70, 74, 78, *range(80, 87), 89, *range(91, 96), 97, 98, 100, 103)
)

NTU60 = Dataset(
    "NTU RGB+D 60",
    60,
    {"xsub": Split("performer", _TRAIN_60), "xview": Split("camera", frozenset((2, 3)))},
)
NTU120 = Dataset(
    "NTU RGB+D 120",
    120,
    {"xsub": Split("performer", _TRAIN_120), "xset": Split("setup", frozenset(range(2, 33, 2)))},
)
