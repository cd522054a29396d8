"""Tables of text, the first row their head, in Markdown and in LaTeX; whatever the cells hold is shown as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

Cells = Sequence[str]  # a row
# what Markdown gives a meaning; an underscore between letters has none, nor brackets without an address behind them
MARKS = re.compile(r"[\\|`*<~$&]|(?<![^\W_])_|_(?![^\W_])|(?<=\])\(")


def markdown_table(rows: Sequence[Cells]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(MARKS.sub(r"\\\g<0>", " ".join(cell.split())) for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def latex_table(rows: Sequence[Cells]) -> str:
    """A `tabular` that needs no package; the first column to the left, the others to the right."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {letter: f"\\{letter}" for letter in "&%$#_{}"}
    lines = [" & ".join("".join(special.get(c, c) for c in " ".join(cell.split())) for cell in row) for row in rows]
    lines = [f"{line} \\\\" for line in lines]
    body = ["\\hline", lines[0], "\\hline", *lines[1:], "\\hline"]
    return "\n".join([f"\\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}", *body, "\\end{tabular}\n"])
