"""Draws the pictures of the documents: `python docs/make_pictures.py --data_folder data/demo`.

`demo.png` shows samples of the demo, which are synthetic: nobody was recorded. `flow.svg` shows how data flow.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from data_gen.common.command_line import Parser
from data_gen.common.pictures import draw, write_picture
from data_gen.demo.actions import ACTIONS
from feeders.arrays import load_array, load_labels
from graph.ntu_rgb_d import SKELETON

SHOWN = ("wave", "kick", "shake hands")
BLUE, GREEN, GREY = "#ddf4ff", "#dafbe1", "#f6f8fa"

# left, top, width, lines of text (the first one bold), colour
BOXES = (
    (10, 60, 130, ("recording", ".skeleton .json", ".csv .npy .pkl"), GREY),
    (170, 60, 130, ("reader", "data_gen/formats", "(T, M, V, C)"), BLUE),
    (330, 60, 130, ("prepared set", ".npy .pkl", "(N, C, T, V, M)"), GREY),
    (490, 60, 130, ("Feeder", "stream, window,", "augmentation"), BLUE),
    (650, 60, 130, ("batch", "feeders", "(N, C, T, V, M)"), GREY),
    (650, 190, 130, ("model", "model/", "layers, fast"), BLUE),
    (490, 190, 130, ("logits", "", "(N, classes)"), GREY),
    (330, 190, 130, ("scores", "test_score.npz", "by sample name"), GREY),
    (170, 190, 130, ("report", "accuracy,", "confusion"), GREEN),
    (170, 290, 130, ("ensemble", "several runs,", "one score"), GREEN),
    (650, 290, 130, ("training", "loss, optimiser,", "checkpoints"), GREEN),
)
# points of each arrow
ARROWS = (
    ((140, 95), (168, 95)), ((300, 95), (328, 95)), ((460, 95), (488, 95)), ((620, 95), (648, 95)),
    ((715, 130), (715, 188)), ((650, 225), (622, 225)), ((490, 225), (462, 225)), ((330, 225), (302, 225)),
    ((395, 260), (395, 325), (302, 325)), ((555, 260), (555, 325), (648, 325)), ((715, 290), (715, 262)),
)  # fmt: skip


def flow() -> str:
    """The drawing of how data flow, as SVG."""
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 790 370" font-family="sans-serif" font-size="12">',
        '<rect width="790" height="370" fill="white"/>',
        (
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
            '<path d="M0,0 L8,4 L0,8 z"/></marker></defs>'
        ),
        '<text x="10" y="30" font-size="16" font-weight="bold">From a recording to a score</text>',
    ]
    for left, top, width, (title, *more), color in BOXES:
        middle = left + width // 2
        lines += [
            f'<rect x="{left}" y="{top}" width="{width}" height="70" rx="6" fill="{color}" stroke="#57606a"/>',
            f'<text x="{middle}" y="{top + 22}" text-anchor="middle" font-weight="bold">{title}</text>',
            *(
                f'<text x="{middle}" y="{top + 40 + 17 * i}" text-anchor="middle">{text}</text>'
                for i, text in enumerate(more)
            ),
        ]
    for points in ARROWS:
        path = " ".join(f"{x},{y}" for x, y in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="black" marker-end="url(#tip)"/>')
    return "\n".join([*lines, "</svg>\n"])


def main() -> None:
    """Draws both."""
    parser = Parser(description=__doc__)
    parser.option("data_folder", type=Path, default=Path("data/demo"), help="folder of the demo (default: %(default)s)")
    folder = parser.parse_args().data_folder / "xsub"
    array, (_, labels) = load_array(folder / "train_data_joint.npy"), load_labels(folder / "train_label.pkl")
    numbers = [int((labels == ACTIONS.index(action)).argmax()) for action in SHOWN]
    samples = [(f"{action} (synthetic)", array[number]) for action, number in zip(SHOWN, numbers, strict=True)]
    write_picture(HERE / "demo.png", draw(samples, SKELETON))
    (HERE / "flow.svg").write_text(flow(), encoding="utf-8")


if __name__ == "__main__":
    main()
