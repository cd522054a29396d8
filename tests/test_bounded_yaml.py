"""YAML is refused in a sentence where it is too large, too deep, or none, before anything is made of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from graph.common.bounded_yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, BoundedLoader, YamlError, read_text, yaml_errors


def compose(text: str) -> yaml.Node | None:
    with yaml_errors():
        return yaml.compose(text, Loader=BoundedLoader)


def bomb(form: str) -> str:
    """Ten lines, each with nine aliases of the line before it."""
    lines = ["a: &a {k: v}"]
    for before, name in zip("abcdefghi", "bcdefghij", strict=True):
        lines.append(f"{name}: &{name} {form.format(', '.join([f'*{before}'] * 9))}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "nested deeper than"),
        ("{a: " * 100_000, "nested deeper than"),
        ("- " * 100_000, "nested deeper than"),
        ("? " * 100_000, "nested deeper than"),
        ("a: &a [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1 if i else ''}]\n" for i in range(99)), "nested deeper than"),
        (bomb("[{}]"), "more than"),
        (bomb("{{<<: [{}]}}"), "more than"),
        ("[" + "a," * MAX_NODES + "]", "more than"),
        ("&a [*a]", "inside what it stands for"),
        ("a: &a {<<: *a}", "inside what it stands for"),
        ("x" * (MAX_BYTES + 1), "longer than 1 MB"),
        ("a: *b", "undefined alias"),
        ("a:\n\tb: 1", r"line 2.*indent by blanks, not tabs"),
        ("a: \0", "unacceptable character"),
        ('a: "\\0"', "holds the character"),
        ('a: "\\uD800"', "holds the character"),
        ('a: "\\UFFFFFFFF"', "not valid YAML"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(YamlError) as caught:
        compose(text)
    shown = f"line {caught.value.line}: {caught.value.problem}"
    assert re.search(problem, shown), shown
    assert len(shown) < 300


def test_what_is_sound_is_read() -> None:
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert compose(deep) is not None
    with pytest.raises(YamlError):
        compose(f"[{deep}]")
    names = "\n".join(f"- &n{i} {{<<: *base, number: {i}}}" for i in range(500))
    with yaml_errors():
        content = yaml.load(f"base: &base {{a: 1, b: [1, 2]}}\nall:\n{names}\nagain: [*n3, *n4]", Loader=BoundedLoader)
    assert content["again"] == [{"a": 1, "b": [1, 2], "number": 3}, {"a": 1, "b": [1, 2], "number": 4}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("a: 中".encode(encoding))
    assert read_text(path) == "a: 中"


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("a: 1\nb: é".encode("latin-1"))
    with pytest.raises(YamlError, match="not text in UTF-8") as caught:
        read_text(path)
    assert caught.value.line == 2
    path.write_bytes(b"\xff\xfea")
    with pytest.raises(YamlError, match="not text in UTF-8"):
        read_text(path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(YamlError, match="longer than 1 MB"):
        read_text(path)
    with pytest.raises(YamlError, match="folder"):
        read_text(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # to open it would wait for ever
        with pytest.raises(YamlError, match="no regular file"):
            read_text(tmp_path / "pipe")
