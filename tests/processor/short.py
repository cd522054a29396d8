"""S-TR with one block in each stage instead of three, so that small runs take half the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from model import st_tr


@dataclass
class Options(st_tr.Options):
    def blocks(self) -> list[tuple[int, int, int, int]]:
        return super().blocks()[::3]


class Model(st_tr.Model):
    Options: ClassVar = Options
