"""The house: which room may import which, and which rooms load without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

# a room may import itself and those before it in this list
ROOMS = (
    "graph.common", "graph", "feeders",
    "data_gen.common", "data_gen.formats", "data_gen.ntu", "data_gen.demo", "data_gen.class_names", "data_gen",
    "model.replaceable", "model.layers", "model.fast", "model", "model.published",
    "processor.runtime", "processor.config", "processor.state", "processor.results", "processor.engine",
    "processor.tools", "processor", "main", "ensemble", "processor.command",
)  # fmt: skip


def room_of(module: str) -> str:
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len)


def imports_of(path: Path) -> set[str]:
    """The modules of this project that a file imports, `from a import b` as both `a` and `a.b`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {name if is_module(name := f"{node.module}.{alias.name}") else node.module for alias in node.names}
    return {name for name in found if name.split(".")[0] in {room.split(".")[0] for room in ROOMS}}


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


FILES = [
    path.relative_to(ROOT)
    for name in ("graph", "feeders", "data_gen", "model", "processor", "main.py", "ensemble.py")
    for path in sorted((ROOT / name).rglob("*.py") if (ROOT / name).is_dir() else [ROOT / name])
]


def test_every_file_is_seen() -> None:
    assert len(FILES) > 80
    assert room_of("processor.engine.train") == "processor.engine"


@pytest.mark.parametrize("file", FILES, ids=str)
def test_arrows_run_one_way(file: Path) -> None:
    module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
    room = ROOMS.index(room_of(module))
    upwards = {name for name in imports_of(ROOT / file) if ROOMS.index(room_of(name)) > room}
    assert not upwards


@pytest.mark.parametrize("file", FILES, ids=str)
def test_names_are_nouns(file: Path) -> None:
    """A reader learns nothing from `own`, `there`, `found` or `whole`."""
    nodes = list(ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))))
    names = {node.id for node in nodes if isinstance(node, ast.Name)} | {n.arg for n in nodes if isinstance(n, ast.arg)}
    assert not names & {"own", "there", "found", "whole"}


def test_rooms_of_data_load_without_torch() -> None:
    modules = [".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in FILES]
    modules = [name for name in modules if name.startswith(("graph", "feeders", "data_gen"))]
    modules.remove("feeders.feeder")
    code = f"import {', '.join(modules)}, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
