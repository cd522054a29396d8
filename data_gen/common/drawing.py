"""The parts of matplotlib that pictures and reports use, without a window and independent of the user's settings.

`MPLBACKEND` may name a backend that is not installed, the home folder may be unknown, and a `matplotlibrc` may ask for
LaTeX: pictures look the same and raise no error.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Inside, importing matplotlib ignores `MPLBACKEND` and logs nothing about cache folders."""
    backend, log = os.environ.pop("MPLBACKEND", None), logging.getLogger("matplotlib")
    level, is_first = log.level, "matplotlib" not in sys.modules
    if os.path.expanduser("~") == "~":  # matplotlib fails without a home folder
        os.environ.setdefault("MPLCONFIGDIR", os.path.join(os.devnull, "none"))  # a temporary one
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend and is_first:
        with suppress(ValueError):  # for a user's pyplot, which is not used here
            matplotlib.rcParams["backend"] = backend


with _undisturbed():
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm
    from matplotlib.colors import to_rgb as rgb
    from matplotlib.figure import Figure
    from matplotlib.font_manager import findfont, fontManager, get_font
    from matplotlib.image import imread

__all__ = ["Axes", "Figure", "LineCollection", "LinearSegmentedColormap", "PowerNorm"]
__all__ += ["colormap", "font_file", "imread", "new_figure", "plain_style", "rgb", "save_pdf", "save_png", "shown"]

# for letters that matplotlib's font lacks; those that are installed are used
FURTHER_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei",
    "PingFang SC", "Hiragino Sans GB", "Malgun Gothic", "Apple SD Gothic Neo", "Arial Unicode MS",
)  # fmt: skip
LONGEST = 60  # letters of a name that are drawn
MOST_PIXELS = 8_000  # along a side

_further: list[str] = []  # fonts that were found to have letters which those above lack
_nowhere: set[str] = set()  # letters that no installed font has
_warned: set[str] = set()  # letters that a warning named

log = logging.getLogger(__name__)


def colormap(name: str, count: int) -> np.ndarray:
    """(count, 3): colours of a map from its lowest to its highest, 0 to 255."""
    return np.asarray(matplotlib.colormaps[name](np.linspace(0, 1, count)))[:, :3] * 255


@contextmanager
def plain_style() -> Iterator[None]:
    """Inside, matplotlib has its defaults and no formulas (`$` is a letter). Make and write figures inside."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        matplotlib.rcParams["axes.formatter.useoffset"] = False  # ticks say their numbers in full
        matplotlib.rcParams["font.family"] = _fonts()
        yield


def new_figure(width: float, height: float, *, dpi: int = 120) -> Figure:
    """An empty white figure of `width` x `height` inches; large figures get fewer dots per inch."""
    dots = min(dpi, MOST_PIXELS / max(width, height))
    figure = Figure(figsize=(width, height), dpi=dots, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_png(path: Path | BinaryIO, figure: Figure, *, cut: bool = False, title: str | None = None) -> None:
    """Write `figure` to a path or an open file; with `cut` the picture ends a narrow margin around what is drawn.

    `title` is written beside the picture, so that a program can tell what it is.
    """
    with plain_style():
        extent: Literal["tight"] | None = "tight" if cut else None
        about = {"Title": title} if title else None
        FigureCanvasAgg(figure).print_figure(path, format="png", bbox_inches=extent, pad_inches=0.3, metadata=about)


def save_pdf(path: Path, figure: Figure) -> None:
    """Write `figure` to `path`, with letters that can be searched."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells each step of cutting a font
    with plain_style():
        matplotlib.rcParams["pdf.fonttype"] = 42
        FigureCanvasPdf(figure).print_figure(path, format="pdf", metadata={"CreationDate": None})
        FigureCanvasAgg(figure)


def shown(names: Sequence[str]) -> list[str]:
    """Names as they are drawn: on one line and cut; a name with letters that no font has gets its number before it."""
    lines = [" ".join(name.split()) for name in names]
    unknown = _unknown(set().union(*lines))
    if letters := {c for c in unknown if c.isprintable()} - _warned:
        _warned.update(letters)
        some = " ".join(sorted(letters)[:10])
        log.warning("no font here has the letters %s; numbers stand for such names (install Noto Sans)", some)
    drawn = []
    for number, line in enumerate(lines):
        known = "".join("?" if c in unknown else c for c in line)
        text = known if known == line and line else f"{number}: {known}".rstrip(": ")
        drawn.append(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")
    return drawn


def font_file(text: str) -> str:
    """The file of a font that has all letters of a text which `shown` gave, or matplotlib's font."""
    files = [findfont(family) for family in _fonts()]
    return next((file for file in files if all(get_font(file).get_char_index(ord(c)) for c in text)), files[0])


def _unknown(letters: set[str]) -> set[str]:
    """The letters that no font has; of installed fonts those that have others are used from now on."""
    charts = [get_font(findfont(family)) for family in _fonts()]
    unknown = {c for c in letters if not any(chart.get_char_index(ord(c)) for chart in charts)} - _nowhere
    for entry in fontManager.ttflist if unknown else []:
        has = set()
        if "Last Resort" not in entry.name:  # whose glyphs are boxes
            with suppress(OSError, RuntimeError):  # a damaged font
                has = {c for c in unknown if get_font(entry.fname).get_char_index(ord(c))}
        if has:
            _further.append(entry.name)
            unknown -= has
    _nowhere.update(unknown)  # is not searched again
    matplotlib.rcParams["font.family"] = _fonts()  # of what is drawn next, inside `plain_style`
    return letters & _nowhere


def _fonts() -> list[str]:
    installed = set(fontManager.get_font_names())
    families = ("DejaVu Sans", *(family for family in FURTHER_FONTS if family in installed), *_further)
    return list(dict.fromkeys(families))
