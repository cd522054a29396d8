"""The releases of NTU RGB+D: their sample names, their splits, and where raw files come from and lie.

Sources: Shahroudy et al., *NTU RGB+D*, CVPR 2016, section 3.3 (X-Sub, X-View); Liu et al., *NTU RGB+D 120*,
TPAMI 2019, section 3.4 (X-Sub, X-Set).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

LISTS = (
    "NTU_RGBD_samples_with_missing_skeletons.txt and, for both parts, NTU_RGBD120_samples_with_missing_skeletons.txt "
    "are at https://github.com/shahroudy/NTURGB-D/tree/master/Matlab"
)
SUFFIX = ".skeleton"
_NUMBERS = r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})"
_NAME = re.compile(rf"{_NUMBERS}(?:\{SUFFIX})?", re.ASCII | re.IGNORECASE)
_ANYWHERE = re.compile(rf"(?<![0-9A-Z]){_NUMBERS}(?![0-9A-Z])", re.ASCII | re.IGNORECASE)


class SampleName(NamedTuple):
    """The numbers in the name `SsssCcccPpppRrrrAaaa`, which count from 1."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int

    @property
    def file(self) -> str:
        """The name of the sample's file."""
        return "S{:03}C{:03}P{:03}R{:03}A{:03}".format(*self) + SUFFIX


def parse_name(name: str) -> SampleName:
    """The numbers of a sample's name, in capitals or small letters, with or without `.skeleton`.

    Raises:
        ValueError: `name` is no NTU name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError("no NTU sample name (they read S001C001P001R001A001.skeleton)")
    return SampleName(*map(int, match.groups()))


def find_names(text: str) -> list[SampleName]:
    """The samples that are named anywhere in a text."""
    return [SampleName(*map(int, numbers)) for numbers in _ANYWHERE.findall(text)]


@dataclass(frozen=True)
class Split:
    """A benchmark: samples whose `field` (of `SampleName`) is in `train` are for training, the others for testing."""

    field: str
    train: frozenset[int]

    def part(self, sample: SampleName) -> str:
        """`train` or `val`."""
        return "train" if getattr(sample, self.field) in self.train else "val"


class RawFolder(NamedTuple):
    """A folder of raw files: its usual path, and the setups that it holds."""

    path: str
    setups: range

    def __str__(self) -> str:
        return f"S{self.setups[0]:03} to S{self.setups[-1]:03}"


@dataclass(frozen=True)
class Dataset:
    """A release of NTU RGB+D."""

    name: str  # what messages call it
    num_class: int  # number of actions
    benchmarks: dict[str, Split]  # by the name of the folder that gets their arrays
    raw: dict[str, RawFolder]  # the folders of the release, by the command-line option that names each
    out_folder: str  # the default folder of its arrays

    @property
    def setups(self) -> frozenset[int]:
        """The setups of the release."""
        return frozenset(setup for raw in self.raw.values() for setup in raw.setups)

    def label(self, sample: SampleName) -> int:
        """The sample's class, 0-based.

        Raises:
            ValueError: this release has no such action.
        """
        if not 1 <= sample.action <= self.num_class:
            raise ValueError(f"A{sample.action:03}: {self.name} has the actions A001 to A{self.num_class:03}")
        return sample.action - 1

    def where(self, option: str) -> str:
        """For messages: what to do if the folder of `option` has no files."""
        files = f"{SUFFIX} files of {self.name} ({self.raw[option]})"
        return f"unpack the {files} there, or name their folder with --{option}"


_TRAIN_60 = frozenset((1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38))
_TRAIN_120 = _TRAIN_60 | frozenset(
    (45, 46, 47, 49, 50, *range(52, 60), 70, 74, 78, *range(80, 87), 89, *range(91, 96), 97, 98, 100, 103)
)

_RAW_60 = RawFolder("data/nturgbd_raw/nturgb+d_skeletons", range(1, 18))
_RAW_120 = RawFolder("data/nturgbd_raw/nturgb+d_skeletons120", range(18, 33))

NTU60 = Dataset(
    "NTU RGB+D 60",
    60,
    {"xsub": Split("performer", _TRAIN_60), "xview": Split("camera", frozenset((2, 3)))},
    {"data_path": _RAW_60},
    "data/ntu",
)
NTU120 = Dataset(
    "NTU RGB+D 120",
    120,
    {"xsub": Split("performer", _TRAIN_120), "xset": Split("setup", frozenset(range(2, 33, 2)))},
    {"part1_path": _RAW_60, "part2_path": _RAW_120},
    "data/ntu120",
)
