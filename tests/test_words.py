"""Counts in messages read right, one too."""

from __future__ import annotations

import io

import numpy as np

from graph.words import plural, write_line


def test_plural() -> None:
    words = [plural(number, "sample") for number in (0, 1, 2, 2060)]
    assert words == ["0 samples", "1 sample", "2 samples", "2,060 samples"]
    assert [plural(number, "class", "classes") for number in (1, 60)] == ["1 class", "60 classes"]
    assert plural(np.int64(1), "tensor is", "tensors are") == "1 tensor is"


def test_a_terminal_without_the_letters_shows_their_numbers() -> None:
    for encoding, expected in (("cp1252", "läuft \\u8df3 \\udcff\n"), ("utf-8", "läuft \u8df3 \\udcff\n")):
        raw = io.BytesIO()
        terminal = io.TextIOWrapper(raw, encoding=encoding, newline="")
        write_line(terminal, "läuft \u8df3 \udcff")  # the last: of a file name that is no text
        terminal.flush()
        assert raw.getvalue().decode(encoding) == expected
