"""Fields of a dataclass have the types that the modules of its classes mean."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from graph.common import schema

BASE = """
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path as Folder
from typing import ClassVar
from graph.common.schema import Checked

@dataclass
class Options(Checked):
    FREE: ClassVar = ("folder",)
    folder: Folder = Folder()
    number: int = 1
"""
BELOW = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar, Optional as Maybe
import base_of_options

@dataclass
class Options(base_of_options.Options):
    FREE: ClassVar = ()
    number: Maybe[float] = None
"""


def as_python_3_10(target: Any, *names: Any) -> dict[str, Any]:
    """`get_type_hints`, which refuses there what later versions take."""
    for kind in target.__mro__ if inspect.isclass(target) else [target]:
        if "ClassVar" in vars(kind).get("__annotations__", {}).values():
            raise TypeError("Plain typing.ClassVar is not valid as type argument")
    return get_type_hints(target, *names)


def test_hints_are_those_of_the_fields_in_their_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base_of_options.py").write_text(BASE)
    (tmp_path / "options_below.py").write_text(BELOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(schema, "get_type_hints", as_python_3_10)
    options = importlib.import_module("options_below").Options
    assert schema.hints_of(options) == {"folder": Path, "number": float | None}
    assert schema.parameters(options)[0] == schema.hints_of(options)
    assert options(number=2).number == 2
    with pytest.raises(ValueError, match=r"^folder: 3 must be a path; number: 'two' must be a number or null$"):
        options(folder=3, number="two")
