"""Tables of text, the first row their head, in Markdown and in LaTeX; whatever the cells hold is shown as it is."""

from __future__ import annotations

from collections.abc import Sequence

Row = Sequence[str]


def markdown_table(rows: Sequence[Row]) -> str:
    """A table in Markdown."""
    cells = [[" ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def latex_table(rows: Sequence[Row]) -> str:
    """A `tabular` that needs no package; the first column to the left, the others to the right."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {letter: f"\\{letter}" for letter in "&%$#_{}"}
    lines = [" & ".join("".join(special.get(c, c) for c in " ".join(cell.split())) for cell in row) for row in rows]
    lines = [f"{line} \\\\" for line in lines]
    body = ["\\hline", lines[0], "\\hline", *lines[1:], "\\hline"]
    return "\n".join([f"\\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}", *body, "\\end{tabular}\n"])
