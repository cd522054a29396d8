"""Models of both families with fewer blocks, so that what does not depend on their number takes half the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from unittest.mock import patch

from model import st_tr, zit_zot

FEW = {"ZIT": ((48, 48, 1), (48, 192, 2)), "ZOT": ((192, 276),)}


@dataclass
class Options(st_tr.Options):
    def blocks(self) -> list[tuple[int, int, int, int]]:
        first: dict[int, tuple[int, int, int, int]] = {}
        for block in super().blocks():
            first.setdefault(block[0], block)
        return [*first.values()]


class Model(st_tr.Model):
    """S-TR, T-TR or one-stream with one block in each stage instead of three."""

    Options: ClassVar = Options


class ZitZot(zit_zot.Model):
    """ZiT-ZoT with two blocks for joints and one for persons, instead of six and two."""

    def __init__(self, **model_args: Any) -> None:
        with patch.multiple(zit_zot, **FEW):
            super().__init__(**model_args)
